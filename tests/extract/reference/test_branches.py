"""What only a branch of training reads costs no reference: placeholders, queues, iterators."""

from __future__ import annotations

from typing import Any, Callable

import numpy
import pytest
import tensorflow

from stage_extract.graph.describe import describe
from stage_extract.graph.meta_file import MetaFile
from stage_extract.jobs import ExtractOptions
from stage_extract.reference.filling import RestoringFiller
from stage_extract.reference.record import record
from tests.extract.reference.conftest import read_safetensors

compat = tensorflow.compat.v1


def placeholders(is_training: Any) -> Any:
    """Teacher forcing: labels, and a length of text, that nobody feeds in inference."""
    image = compat.placeholder("float32", [None, 5], name="image")
    label = compat.placeholder("float32", [None, 5], name="label")
    word = compat.placeholder("string", [2], name="word")
    length = compat.cast(compat.strings.length(word)[0], "float32")
    return tensorflow.cond(is_training, lambda: label + length, lambda: image)


def queue(rows: int, name: str) -> Any:
    """A queue of rows [5], as slim's and the old input pipelines had them."""
    made = compat.FIFOQueue(9, ["float32"], [[5]], name=name)
    compat.train.add_queue_runner(
        compat.train.QueueRunner(made, [made.enqueue_many([compat.ones([rows, 5])])])
    )
    return made


def queues_before_the_branches(is_training: Any) -> Any:
    batches = [compat.reshape(queue(n, name).dequeue_many(n), [n, 5]) for n, name in SPLITS]
    return tensorflow.cond(is_training, lambda: batches[0], lambda: batches[1])


def queues_in_the_branches(is_training: Any) -> Any:
    train, test = (queue(rows, name) for rows, name in SPLITS)
    return tensorflow.cond(is_training, lambda: train.dequeue_many(4), lambda: test.dequeue_many(3))


def iterators_before_the_branches(is_training: Any) -> Any:
    batches = [
        compat.data.make_one_shot_iterator(
            compat.data.Dataset.from_tensors(compat.ones([rows, 5]))
        ).get_next(name)
        for rows, name in SPLITS
    ]
    return tensorflow.cond(is_training, lambda: batches[0], lambda: batches[1])


def in_a_nested_branch(is_training: Any) -> Any:
    """The placeholder lies in the branch that one inside of the taken branch does not take."""
    image = compat.placeholder("float32", [None, 5], name="image")
    label = compat.placeholder("float32", [None, 5], name="label")

    def inference() -> Any:
        return tensorflow.cond(compat.logical_not(is_training), lambda: image, lambda: label)

    return tensorflow.cond(is_training, lambda: label * 2.0, inference)


SPLITS = ((4, "train"), (3, "test"))


@pytest.mark.parametrize(
    ("data", "source"),
    [
        pytest.param(placeholders, "image", id="placeholders"),
        pytest.param(queues_before_the_branches, "test_Dequeue", id="queues-before-the-branches"),
        pytest.param(queues_in_the_branches, "test_Dequeue", id="queues-in-the-branches"),
        pytest.param(iterators_before_the_branches, "test", id="iterators-before-the-branches"),
        pytest.param(in_a_nested_branch, "image", id="nested"),
    ],
)
def test_reference(data: Callable[[Any], Any], source: str, tmp_path: Any) -> None:
    prefix = str(tmp_path / "model.ckpt")
    with compat.Graph().as_default(), compat.Session() as session:
        is_training = compat.placeholder("bool", [], name="is_training")
        compat.layers.dense(data(is_training), 3, name="scores")
        session.run(compat.global_variables_initializer())
        compat.train.Saver().save(session, prefix)
        kernel, bias = session.run(compat.trainable_variables())
    description = describe(
        MetaFile(f"{prefix}.meta"), RestoringFiller(prefix).variables(), ExtractOptions()
    )
    [given] = description.to_json()["inputs"]
    path = tmp_path / "reference.safetensors"
    result = record(
        MetaFile(f"{prefix}.meta"),
        RestoringFiller(prefix),
        description,
        ExtractOptions(),
        str(path),
    )
    assert (result.state, result.reason) == ("recorded", None)
    assert source in given["tensor"]
    [warning] = result.warnings
    assert "leaves out the branches that inference does not take" in warning
    tensors = read_safetensors(path)
    expected = tensors[given["tensor"]] @ kernel + bias
    numpy.testing.assert_allclose(tensors["scores/BiasAdd:0"], expected, rtol=1e-4, atol=1e-5)


def test_branches_run_as_they_were_saved_where_they_can(
    save_graph: Any, run_reference: Any
) -> None:
    """The run is TensorFlow's word on which branch is taken: a wrong rewrite has no part in it."""

    def build() -> None:
        image = compat.placeholder("float32", [None, 5], name="image")
        is_training = compat.placeholder("bool", [], name="is_training")
        weight = compat.get_variable("weight", [5])
        made = tensorflow.cond(is_training, lambda: image * 2.0, lambda: image * weight)
        compat.identity(made, name="out")

    saved = save_graph(build)
    wrong = {"node": "cond/Merge", "op": "Merge", "becomes": "image:0", "why": "a mistake"}
    result, tensors = run_reference(
        saved, ["image:0"], ["out:0"], switches={"is_training:0": False}, rewrites=[wrong]
    )
    assert (result.state, result.warnings) == ("recorded", [])
    expected = tensors["image:0"] * saved.values["weight"]
    numpy.testing.assert_allclose(tensors["out:0"], expected, rtol=1e-5)
