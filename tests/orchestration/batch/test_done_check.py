"""What counts as done, and what is read for it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestration import manifest as manifest_module
from orchestration.batch.done_check import Check, check_result
from orchestration.manifest import MANIFEST_FILE, describe_files, write_manifest

REQUEST = {"command": "convert", "export_key": "k", "load": {"model": "unet"}}
STAGES: dict[str, Any] = {
    "extract": {"timings_s": {"graph": 1.5}, "peak_memory_bytes": 260},
    "load": {
        "timings_s": {"load": 0.5},
        "peak_memory_bytes": 310,
        "result": {
            "verdict": "proven",
            "reason": "1 output and 23 layers compared",
            "parity": None,
            "model": {"name": "unet"},
            "device": "cpu",
            "parameters": 7,
            "tensors": 3,
        },
    },
}


class Place:
    """A checkpoint of two files in two folders, and a result that was made of it."""

    def __init__(self, root: Path) -> None:
        self.inputs = (root / "in", root / "data")
        self.out = root / "out"
        for folder in (*self.inputs, self.out / "export"):
            folder.mkdir(parents=True)
        (self.inputs[0] / "m.index").write_bytes(b"index")
        (self.inputs[1] / "m.data").write_bytes(b"data")
        (self.out / "model.safetensors").write_bytes(b"weights")
        (self.out / "export" / "graph.json").write_bytes(b"{}")
        inputs = [
            {"role": "checkpoint", "files": describe_files(self.inputs[0], ["m.index"])},
            {"role": "data", "files": describe_files(self.inputs[1], ["m.data"])},
            # What a change of this does is told by the request.
            {"role": "map", "files": [{"name": "x", "size_bytes": 1, "sha256": ""}]},
        ]
        files = describe_files(self.out, ["model.safetensors", "export/graph.json"])
        parts = {"request": REQUEST, "inputs": inputs, "verdict": {"exit_code": 0}, "files": files}
        write_manifest(self.out, {**parts, **STAGES})

    def check(self, seen: Any = None, **changes: Any) -> Check:
        request = {**REQUEST, **changes.pop("request", {})}
        return check_result(self.out, request, self.inputs, seen or {}, **changes)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of files that are read to be hashed."""
    names: list[str] = []
    real = manifest_module.sha256_of

    def sha256_of(path: Path) -> str:
        names.append(path.name)
        return real(path)

    monkeypatch.setattr(manifest_module, "sha256_of", sha256_of)
    return names


def test_a_result_that_is_right_is_hashed_once(place: Place, hashed: list[str]) -> None:
    first = place.check()
    assert first.problem is None
    assert sorted(hashed) == ["graph.json", "m.data", "m.index", "model.safetensors"]
    hashed.clear()
    again = place.check(json.loads(json.dumps(first.seen)))
    assert again == first
    assert hashed == []
    assert place.check(first.seen, verify=True) == first
    assert len(hashed) == 4


def rewrite(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))


def remove(path: Path) -> None:
    path.unlink()


def renew(path: Path) -> None:
    """The same content, at another time, in another file."""
    content = path.read_bytes()
    path.unlink()
    rewrite(path, content)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param(
            lambda p: rewrite(p.inputs[0] / "m.index", b"INDEX"),
            "its input has changed since: m.index",
            id="input",
        ),
        pytest.param(
            lambda p: rewrite(p.inputs[1] / "m.data", b"longer"),
            "its input has changed since: m.data",
            id="longer-input",
        ),
        pytest.param(
            lambda p: remove(p.inputs[1] / "m.data"),
            "its input has changed since: m.data",
            id="input-gone",
        ),
        pytest.param(
            lambda p: rewrite(p.out / "model.safetensors", b"Weights"),
            "files of the result have changed since: model.safetensors",
            id="result",
        ),
        pytest.param(
            lambda p: remove(p.out / "export" / "graph.json"),
            "files of the result have changed since: export/graph.json",
            id="result-gone",
        ),
        pytest.param(
            lambda p: remove(p.out / MANIFEST_FILE), "there is no result", id="manifest-gone"
        ),
        pytest.param(
            lambda p: rewrite(p.out / MANIFEST_FILE, b"{"), "there is no result", id="manifest-cut"
        ),
        pytest.param(lambda p: renew(p.inputs[0] / "m.index"), None, id="copied-anew"),
    ],
)
def test_a_change_after_the_first_look_is_seen(
    place: Place, change: Callable[[Place], None], problem: str | None
) -> None:
    seen = place.check().seen
    change(place)
    found = place.check(seen)
    assert found.problem == problem
    assert found.is_touched == str(problem).startswith("files of the result")


@pytest.mark.parametrize("stage", STAGES)
def test_a_manifest_that_tells_no_figures_any_more_is_that_of_no_result(
    place: Place, stage: str
) -> None:
    path = place.out / MANIFEST_FILE
    manifest = json.loads(path.read_text())
    for key in (*manifest[stage], None):
        edited = {name: part for name, part in manifest[stage].items() if name != key}
        path.write_text(json.dumps({**manifest, stage: edited if key else None}))
        found = place.check()
        assert (found.problem, found.is_touched) == ("its manifest has changed since", True)


@pytest.mark.parametrize(
    ("request_change", "problem"),
    [
        pytest.param({"export_key": "l"}, "made with other checkpoint, extraction", id="export"),
        pytest.param({"load": {"model": "mine"}}, "made with other model, device", id="load"),
    ],
)
def test_another_request_is_not_done(
    place: Place, request_change: dict[str, Any], problem: str
) -> None:
    found = place.check(place.check().seen, request=request_change)
    assert problem in str(found.problem)


def test_only_verifying_sees_a_change_that_hides(place: Place) -> None:
    weights = place.out / "model.safetensors"
    seen = place.check().seen
    times = os.stat(weights)
    with weights.open("r+b") as stream:
        stream.write(b"W")
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert place.check(seen).problem is None
    assert "model.safetensors" in str(place.check(seen, verify=True).problem)
