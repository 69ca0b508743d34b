"""Object graphs that are missing, damaged or odd: keys are names then, and the user is told."""

from __future__ import annotations

import numpy
import pytest
import tensorflow
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from stage_extract.reader import VariableInfo
from stage_extract.selecting.object_graph import (
    OBJECT_GRAPH_KEY,
    ObjectGraphUnreadable,
    read_object_graph,
)
from tests.extract.formats.object_files import (
    VALUE,
    graph_of,
    object_graph,
    rewrite,
    save_keras,
)


def with_number(proto: TrackableObjectGraph, number: int) -> bytes:
    proto.nodes[0].children[0].node_id = number
    return proto.SerializeToString()


def with_other_keys(proto: TrackableObjectGraph) -> bytes:
    for node in proto.nodes:
        for attribute in node.attributes:
            attribute.checkpoint_key = "other/" + attribute.checkpoint_key
    return proto.SerializeToString()


BROKEN = [
    pytest.param(lambda proto: None, "there is no text", id="missing"),
    pytest.param(lambda proto: b"\xff\xff", "cannot be decoded", id="noise"),
    pytest.param(lambda proto: b"", "names none of its tensors", id="empty"),
    pytest.param(lambda proto: with_number(proto, 10**6), "that it lacks", id="number-too-large"),
    pytest.param(lambda proto: with_number(proto, -1), "that it lacks", id="negative-number"),
    pytest.param(with_other_keys, "names none of its tensors", id="of-another-checkpoint"),
]


@pytest.mark.parametrize(("spoil", "words"), BROKEN)
def test_without_a_usable_object_graph_keys_are_names(
    tmp_path, out, run_extraction, save_bundle, spoil, words
):
    prefix = save_keras(tmp_path / "model")
    spoiled = rewrite(prefix, tmp_path / "spoiled", save_bundle, spoil(object_graph(prefix)))
    outcome = run_extraction(spoiled, out)
    (warning,) = outcome.warnings
    assert "have their keys for names" in warning
    assert words in warning
    names = {one["name"] for one in graph_of(out)["variables"]}
    assert "layer_with_weights-0/kernel" + VALUE in names
    assert len(names) == 10
    assert not any("key" in one for one in graph_of(out)["variables"])


def test_a_damaged_text_is_told(tmp_path, out, run_extraction):
    prefix = save_keras(tmp_path / "model")
    for path in sorted(tmp_path.glob("model.data-*")):
        content = path.read_bytes()
        place = content.find(b"layer_with_weights-0")
        if place >= 0:
            path.write_bytes(content[:place] + b"L" + content[place + 1 :])
    (warning,) = run_extraction(prefix, out).warnings
    assert "without its stored checksum" in warning


def test_cycles_of_objects_are_no_fault(tmp_path, out, run_extraction, save_bundle):
    prefix = save_keras(tmp_path / "model")
    proto = object_graph(prefix)
    proto.nodes[1].children.add(node_id=0, local_name="model")
    proto.nodes[0].children.add(node_id=0, local_name="self")
    again = rewrite(prefix, tmp_path / "again", save_bundle, proto.SerializeToString())
    assert run_extraction(again, out).warnings == []
    assert [one["name"] for one in graph_of(out)["layers"]] == ["zebra", "middle", "ant", "Alpha"]


def test_tensors_that_no_object_owns_keep_their_keys(tmp_path, out, run_extraction, save_bundle):
    prefix = save_keras(tmp_path / "model")
    reader = tensorflow.train.load_checkpoint(prefix)
    arrays = {
        name: numpy.asarray(reader.get_tensor(name))
        for name in reader.get_variable_to_shape_map()
        if name != OBJECT_GRAPH_KEY
    }
    arrays[OBJECT_GRAPH_KEY] = numpy.array(object_graph(prefix).SerializeToString(), object)
    arrays["plain/kernel"] = numpy.ones((2, 3), "float32")
    arrays["plain/kernel/Adam"] = numpy.ones((2, 3), "float32")
    run_extraction(save_bundle(tmp_path / "mixed", arrays), out)
    graph = graph_of(out)
    assert "plain/kernel" in {one["name"] for one in graph["variables"]}
    # Of these the objects say nothing: names decide, as they do elsewhere.
    assert {one["name"]: one["category"] for one in graph["skipped"]}["plain/kernel/Adam"] == (
        "optimizer_slot"
    )


def test_names_that_would_meet_stay_keys():
    proto = TrackableObjectGraph()
    keys = ["a/b" + VALUE, "a.Sb" + VALUE]
    for key in keys:
        proto.nodes.add().attributes.add(name="VARIABLE_VALUE", checkpoint_key=key)
    infos = [VariableInfo(key, "float32", (2,)) for key in keys]
    objects = read_object_graph(proto.SerializeToString(), infos)
    assert objects.names == {key: key for key in keys}


def test_a_name_of_an_object_that_another_tensor_has_is_not_taken():
    proto = TrackableObjectGraph()
    key = "a/b" + VALUE
    proto.nodes.add().attributes.add(name="VARIABLE_VALUE", full_name="w", checkpoint_key=key)
    infos = [VariableInfo(key, "float32", (2,)), VariableInfo("w", "float32", (3,))]
    objects = read_object_graph(proto.SerializeToString(), infos)
    assert objects.names == {key: "a/b", "w": "w"}


def test_an_empty_checkpoint_has_no_object_graph():
    with pytest.raises(ObjectGraphUnreadable, match="names none"):
        read_object_graph(TrackableObjectGraph().SerializeToString(), [])
