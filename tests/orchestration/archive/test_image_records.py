"""An image in a bag is the one in which the stage ran, down to its last layer."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestration.archive.image_layout import read_layout, write_layout
from orchestration.archive.verify.folder_members import read_folder
from orchestration.archive.verify.image_records import image_faults
from orchestration.recorded_run import RecordedImage, RecordedRun
from orchestration.runtimes.base import Stage
from orchestration.tar_stream import END, tar_member
from tests.orchestration.archive.bags import make_bag

PATH = "data/images/load.oci.tar"
LAYERS = [b"lowest layer", b"the layer above"]


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def write_image(path: Path, layers: list[bytes], label: str = "one") -> str:
    """An image of these layers; gives its id."""
    config = {
        "config": {"Labels": {"label": label}},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
    }
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    listed = [{"Config": "c.json", "RepoTags": ["an/image:1"], "Layers": names}]
    members = dict(zip(names, layers, strict=True))
    members["c.json"] = json.dumps(config).encode()
    members["manifest.json"] = json.dumps(listed).encode()
    pieces = [
        piece for name in members for piece in tar_member(name, len(members[name]), [members[name]])
    ]
    write_layout([*pieces, END], "an/image:1", path)
    return read_layout(path).id


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    return make_bag(tmp_path / "x.bag", {"images/other": b""})


def faults(bag: Path, identity: str, stage: Stage = "load") -> list[tuple[str, str, str]]:
    image = RecordedImage(stage, "an/image:1", identity, {})
    run = RecordedRun(bag / "data" / "result", {}, (), {stage: image})
    content = read_folder(bag, lambda done, total: None)
    return [(fault.path, fault.kind, fault.text) for fault in image_faults(content, run)]


def test_the_image_that_was_recorded_is_right(bag):
    identity = write_image(bag / PATH, LAYERS)
    assert faults(bag, identity) == []
    assert faults(bag, read_layout(bag / PATH).manifest_digest) == []


def test_another_image_is_named(bag, tmp_path):
    identity = write_image(tmp_path / "recorded.tar", LAYERS)
    other = write_image(bag / PATH, LAYERS, label="two")
    ((path, kind, text),) = faults(bag, identity)
    assert (path, kind) == (PATH, "contradicted")
    assert identity in text
    assert other in text


def edit(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda content: content.replace(old, new)


def without_a_layer(content: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        members = [(one.name, archive.extractfile(one)) for one in archive]
        read = {name: file.read() for name, file in members if file is not None}
    del read[f"blobs/sha256/{digest(LAYERS[0])[7:]}"]
    pieces = [piece for name in read for piece in tar_member(name, len(read[name]), [read[name]])]
    return b"".join([*pieces, END])


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        pytest.param(edit(LAYERS[1], b"another layer!!"), "contradicted", "hash", id="layer"),
        pytest.param(without_a_layer, "contradicted", "is not in it", id="layer-missing"),
        pytest.param(edit(b"manifest.json", b"manifest.jsox"), "malformed", "", id="no-list"),
        pytest.param(lambda content: content[:2000], "malformed", "", id="cut-off"),
        pytest.param(lambda content: b"no tar file", "malformed", "", id="no-tar-file"),
    ],
)
def test_a_damaged_image_is_named(bag, change, kind, words):
    identity = write_image(bag / PATH, LAYERS)
    content = (bag / PATH).read_bytes()
    assert change(content) != content
    (bag / PATH).write_bytes(change(content))
    found = faults(bag, identity)
    assert (PATH, kind) in {fault[:2] for fault in found}
    assert words in " ".join(fault[2] for fault in found)


def test_a_sif_is_known_by_its_hash(bag):
    path = bag / "data" / "images" / "extract.sif"
    path.write_bytes(b"as Apptainer wrote it")
    assert faults(bag, digest(b"as Apptainer wrote it"), "extract") == []
    ((named, kind, _),) = faults(bag, digest(b"another"), "extract")
    assert (named, kind) == ("data/images/extract.sif", "contradicted")
