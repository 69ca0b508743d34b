"""What lies in the place of a model's file: of every format, each file in turn."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.fuzz.samples import FORMATS

MOST_S = 60
# A folder's `checkpoint` file is a hint alone, and a graph that cannot be read is told of.
MAY_BE_DONE = ("checkpoint", ".meta")


@pytest.fixture(scope="module", params=sorted(FORMATS))
def sample(request, tmp_path_factory):
    """The folder of a small model in one format."""
    folder = str(tmp_path_factory.mktemp("sample"))
    FORMATS[request.param](folder)
    return folder


@pytest.fixture
def in_time():
    """End the test if a job waits for what never comes."""

    def give_up(number, frame):
        raise TimeoutError(f"not done after {MOST_S} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(MOST_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def files_of(folder):
    return sorted(
        os.path.relpath(os.path.join(root, name), folder)
        for root, _, names in os.walk(folder)
        for name in names
    )


def given(folder):
    """What a user would name: the one thing in the folder, or the folder."""
    names = os.listdir(folder)
    return os.path.join(folder, names[0]) if len(names) == 1 else folder


def link_to_device(path):
    os.symlink("/dev/zero", path)


def link_to_itself(path):
    os.symlink(os.path.basename(path), path)


@pytest.mark.parametrize(
    "stand_in", [os.mkfifo, link_to_device, link_to_itself, os.mkdir], ids=lambda f: f.__name__
)
def test_no_file_but_something_else(sample, out, tmp_path, in_time, run_extraction, stand_in):
    for number, name in enumerate(files_of(sample)):
        folder = str(tmp_path / str(number))
        shutil.copytree(sample, folder)
        path = os.path.join(folder, name)
        os.unlink(path)
        stand_in(path)
        last = run_extraction(given(folder), out).last
        if last["event"] == "done":
            assert name.endswith(MAY_BE_DONE), (name, last)
            shutil.rmtree(str(out))
            os.mkdir(str(out))
        else:
            error = last["error"]
            assert error["class"] != "InternalError", (name, error)
            assert error["traceback"] is None
        assert os.listdir(str(out)) == []


def test_links_to_plain_files_are_followed(sample, out, tmp_path, run_extraction):
    """Folders of data sets often hold links to files that lie elsewhere."""
    plain, linked = str(tmp_path / "plain"), str(tmp_path / "linked")
    shutil.copytree(sample, plain)
    for name in files_of(sample):
        path = os.path.join(linked, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        elsewhere = str(tmp_path / "store" / str(len(path)) / name.replace("/", "-"))
        os.makedirs(os.path.dirname(elsewhere), exist_ok=True)
        shutil.copyfile(os.path.join(sample, name), elsewhere)
        os.symlink(elsewhere, path)
    content = {}
    for folder in (plain, linked):
        result = run_extraction(given(folder), out).last
        assert result["event"] == "done", (folder, result)
        content[folder] = [
            (name, Path(str(out), name).read_bytes()) for name in sorted(os.listdir(str(out)))
        ]
        shutil.rmtree(str(out))
        os.mkdir(str(out))
    assert content[plain] == content[linked]


@pytest.mark.parametrize("name", ["V2", "V1"])
def test_a_table_that_is_cut_anywhere(name, tmp_path, out, run_extraction):
    folder = str(tmp_path / "sample")
    os.mkdir(folder)
    FORMATS[name](folder)
    tables = [one for one in files_of(folder) if one.endswith((".index", "ckpt-20"))]
    path = os.path.join(folder, tables[0])
    with open(path, "rb") as file:
        data = file.read()
    # Every byte of the last kilobyte, where the indexes lie, and every seventh before.
    for size_bytes in [*range(0, len(data) - 1024, 7), *range(max(0, len(data) - 1024), len(data))]:
        with open(path, "wb") as file:
            file.write(data[:size_bytes])
        error = run_extraction(os.path.join(folder, "model.ckpt-20"), out).error
        assert error["class"] in ("CorruptIndex", "NotTensorFlow", "TruncatedData"), size_bytes
        assert os.listdir(str(out)) == []
