"""V2 checkpoints whose data shards do not lie beside the index."""

from __future__ import annotations

import os
import shutil

import numpy
import pytest
import tensorflow

compat = tensorflow.compat.v1
HEX = "0123456789abcdef" * 2
VALUES = {"a": numpy.arange(5, dtype="float32"), "b": numpy.arange(7, dtype="int64")}


@pytest.fixture
def parts(tmp_path, save_bundle):
    """What a sharded save leaves before its last step; gives the prefixes of the parts."""
    folder = tmp_path / "run" / f"model_temp_{HEX}"
    folder.mkdir(parents=True)
    return [
        save_bundle(folder / f"part-0000{number}-of-00002", {name: values})
        for number, (name, values) in enumerate(sorted(VALUES.items()))
    ]


@pytest.fixture
def sharded(tmp_path, parts):
    """The prefix of a checkpoint of two shards."""
    prefix = str(tmp_path / "run" / "model")
    with compat.Graph().as_default(), compat.Session() as session:
        merge = compat.raw_ops.MergeV2Checkpoints(
            checkpoint_prefixes=parts, destination_prefix=prefix
        )
        session.run(merge)
    return prefix


def move(prefix, folder, *numbers):
    folder.mkdir(parents=True)
    for number in numbers:
        shutil.move(f"{prefix}.data-0000{number}-of-00002", str(folder))
    return folder


@pytest.mark.parametrize("numbers", [(0,), (1,), (0, 1)])
def test_shards_in_the_given_folder(tmp_path, sharded, out, run_extraction, numbers):
    folder = move(sharded, tmp_path / "disk" / "data", *numbers)
    outcome = run_extraction(sharded, out, data_folder=str(folder))
    assert outcome.result["variables"] == len(VALUES)
    hashed = {entry["name"] for entry in outcome.result["checkpoint"]["files"]}
    assert {f"model.data-0000{number}-of-00002" for number in (0, 1)} <= hashed


@pytest.mark.parametrize("place", ["run/data", "data"], ids=["below", "beside"])
def test_the_error_tells_where_the_shards_lie(tmp_path, sharded, run_extraction, place):
    folder = move(sharded, tmp_path / place, 1)
    error = run_extraction(sharded, command="inspect").error
    assert error["class"] == "DataFileMissing"
    assert f"--data-folder {folder}" in error["remedy"]


def test_the_error_names_the_option(tmp_path, sharded, run_extraction):
    folder = move(sharded, tmp_path / "far" / "away" / "data", 1)
    error = run_extraction(sharded, command="inspect").error
    assert error["class"] == "DataFileMissing"
    assert "--data-folder FOLDER" in error["remedy"]
    # The other one is wrong too.
    error = run_extraction(sharded, command="inspect", data_folder=str(folder.parent)).error
    assert repr(str(folder.parent)) in error["expected"]


def test_a_part_of_an_unfinished_save_is_told(parts, run_extraction):
    folder = os.path.dirname(parts[0])
    for given in (folder, parts[0], parts[1] + ".index"):
        error = run_extraction(given, command="inspect").error
        assert error["class"] in ("UnsupportedFormat", "AmbiguousCheckpoint")
    assert "'model'" in run_extraction(parts[0], command="inspect").error["happened"]
