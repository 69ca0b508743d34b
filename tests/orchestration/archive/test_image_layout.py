"""The archive of an image: what an engine saved in, an OCI layout out; no engine is needed."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
import tracemalloc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestration.archive.image_layout import layout_without_name, read_layout, write_layout
from orchestration.errors import ImageUnusable
from orchestration.tar_stream import END, PieceReader, tar_member

LAYERS = (b"lowest layer", b"the layer in between" * 5, b"uppermost")
LABELS = {"contents": "0ddba11"}
NAME = "some/image:tag"


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def config(layers: tuple[bytes, ...] = LAYERS) -> bytes:
    rootfs = {"type": "layers", "diff_ids": [digest(layer) for layer in layers]}
    return json.dumps({"config": {"Labels": LABELS}, "rootfs": rootfs}).encode()


def docker_saved(order: tuple[int, ...] = (2, 0, 1)) -> dict[str, bytes]:
    """Names are of no meaning, and the list comes last."""
    listed = [{"Config": "c.json", "RepoTags": None, "Layers": ["0/l", "1/l", "2/l"]}]
    return {
        **{f"{number}/l": LAYERS[number] for number in order},
        "c.json": config(),
        "manifest.json": json.dumps(listed).encode(),
    }


def tar(members: Mapping[str, bytes]) -> Iterator[bytes]:
    for name, content in members.items():
        yield from tar_member(name, len(content), [content])
    yield END


def layout_of(configuration: bytes, **listed: object) -> bytes:
    """A layout with this configuration, and with other entries in its list."""
    entry = {"Config": "c.json", "RepoTags": None, "Layers": [], **listed}
    return b"".join(
        tar(
            {
                "manifest.json": json.dumps([entry]).encode(),
                "index.json": json.dumps({"manifests": [{"digest": "sha256:0"}]}).encode(),
                "c.json": configuration,
            }
        )
    )


def contents(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        files = ((member.name, archive.extractfile(member)) for member in archive)
        return {name: file.read() for name, file in files if file is not None}


def compressed(members: Mapping[str, bytes]) -> dict[str, bytes]:
    return {
        name: gzip.compress(content) if name.endswith("/l") else content
        for name, content in members.items()
    }


def test_it_is_a_layout(tmp_path: Path) -> None:
    """Every descriptor is true: OCI image specification, `image-layout.md` and `manifest.md`."""
    path = tmp_path / "image.tar"
    sha256 = write_layout(tar(docker_saved()), NAME, path)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    found = contents(path)
    assert json.loads(found["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads(found["index.json"])["manifests"]
    manifest = json.loads(found[f"blobs/{entry['digest'].replace(':', '/')}"])
    for described in (entry, manifest["config"], *manifest["layers"]):
        blob = found[f"blobs/{described['digest'].replace(':', '/')}"]
        assert (digest(blob), len(blob)) == (described["digest"], described["size"])
    assert [layer["digest"] for layer in manifest["layers"]] == list(map(digest, LAYERS))
    (listed,) = json.loads(found["manifest.json"])
    assert [found[name] for name in listed["Layers"]] == list(LAYERS)
    assert found[listed["Config"]] == config()
    assert listed["RepoTags"] == [NAME]
    facts = read_layout(path)
    assert (facts.reference, facts.id, facts.labels) == (NAME, digest(config()), LABELS)
    assert facts.manifest_digest == entry["digest"]
    assert [one.name for one in tmp_path.iterdir()] == ["image.tar"]


@pytest.mark.parametrize(
    "saved",
    [
        pytest.param(docker_saved((0, 1, 2)), id="other-order"),
        pytest.param(compressed(docker_saved()), id="compressed-layers"),
        pytest.param({"repositories": b"{}", **docker_saved()}, id="more-files"),
    ],
)
def test_its_bytes_follow_from_the_image_alone(tmp_path: Path, saved: dict[str, bytes]) -> None:
    expected = write_layout(tar(docker_saved()), NAME, tmp_path / "one.tar")
    assert write_layout(tar(saved), NAME, tmp_path / "two.tar") == expected


def test_members_have_neither_times_nor_owners(tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    write_layout(tar(docker_saved()), "", path)
    with tarfile.open(path) as archive:
        members = archive.getmembers()
    assert {(one.mtime, one.uid, one.gid, one.uname, one.gname) for one in members} == {
        (0, 0, 0, "", "")
    }
    assert {one.mode for one in members} == {0o644, 0o755}
    names = [one.name for one in members]
    assert names == sorted(names)


def test_without_its_name(tmp_path: Path) -> None:
    path, nameless, expected = (tmp_path / f"{name}.tar" for name in "abc")
    write_layout(tar(docker_saved()), NAME, path)
    nameless.write_bytes(b"".join(layout_without_name(path)))
    write_layout(tar(docker_saved()), "", expected)
    assert nameless.read_bytes() == expected.read_bytes()
    assert read_layout(nameless).reference == ""


def without(name: str) -> dict[str, bytes]:
    return {one: content for one, content in docker_saved().items() if one != name}


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        pytest.param(without("1/l"), f"lacks 1 of its 3 layers, such as {digest(LAYERS[1])}",
                     id="layer-missing"),
        pytest.param({**docker_saved(), "1/l": LAYERS[1] + b"."}, "lacks 1 of its 3",
                     id="layer-changed"),
        pytest.param(without("c.json"), "cannot be read", id="no-configuration"),
        pytest.param(without("manifest.json"), "cannot be read", id="no-list"),
        pytest.param({**docker_saved(), "manifest.json": b"[]"}, "cannot be read", id="no-image"),
        pytest.param({**docker_saved(), "0/l": gzip.compress(LAYERS[0])[:-9]}, "cannot be read",
                     id="compressed-and-cut"),
        pytest.param({**docker_saved(), "0/l": gzip.compress(LAYERS[0])[:-4] + b"none"},
                     "cannot be read", id="compressed-of-another-size"),
        pytest.param({**docker_saved(), "0/l": gzip.compress(b"")[:10] + b"\xff" * 20},
                     "cannot be read", id="compressed-and-damaged"),
    ],
)  # fmt: skip
def test_what_an_engine_did_not_save_whole(
    tmp_path: Path, saved: dict[str, bytes], words: str
) -> None:
    with pytest.raises(ImageUnusable, match=words):
        write_layout(tar(saved), NAME, tmp_path / "image.tar")
    assert list(tmp_path.iterdir()) == []


def test_a_stream_that_ends_early(tmp_path: Path) -> None:
    whole = b"".join(tar(docker_saved()))
    with pytest.raises(ImageUnusable):
        write_layout([whole[:1100]], NAME, tmp_path / "image.tar")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"no tar file" * 100, id="no-tar-file"),
        pytest.param(b"".join(tar(docker_saved())), id="not-a-layout"),
        pytest.param(b"".join(tar({"manifest.json": b"[1]", "index.json": b"{}"})), id="odd-lists"),
        pytest.param(layout_of(b"[]"), id="configuration-is-a-list"),
        pytest.param(layout_of(b'{"config": "x"}'), id="text-for-an-object"),
        pytest.param(layout_of(b'{"config": {"Labels": "x"}}'), id="labels-are-a-text"),
        pytest.param(layout_of(b"[" * 200_000), id="nested-without-end"),
        pytest.param(layout_of(b" " * (16 << 20) + b"{}"), id="larger-than-any-record"),
        pytest.param(layout_of(b"{}", RepoTags=7), id="name-is-a-number"),
        pytest.param(layout_of(b"{}", Config="none"), id="no-configuration"),
    ],
)
def test_what_is_no_layout(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(content)
    with pytest.raises(ImageUnusable, match=r"image\.tar cannot be read"):
        read_layout(path)


def test_the_least_that_is_a_layout(tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_bytes(layout_of(b"{}"))
    assert read_layout(tmp_path / "image.tar").id == digest(b"{}")


def test_memory_stays_small(tmp_path: Path) -> None:
    """Of a layer of 96 MB: what counts is one piece, not the image."""
    piece, pieces = bytes(1 << 20), 96
    hashed = hashlib.sha256()
    for _ in range(pieces):
        hashed.update(piece)
    rootfs = {"diff_ids": [f"sha256:{hashed.hexdigest()}"]}
    small: dict[str, Any] = {"c": {"rootfs": rootfs}, "manifest.json": [{"Config": "c"}]}

    def saved() -> Iterator[bytes]:
        yield from tar_member("layer", pieces << 20, (piece for _ in range(pieces)))
        yield from tar({name: json.dumps(value).encode() for name, value in small.items()})

    tracemalloc.start()
    try:
        write_layout(saved(), NAME, tmp_path / "image.tar")
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (tmp_path / "image.tar").stat().st_size > pieces << 20
    assert peak_bytes < 24 << 20


def test_pieces_are_read_as_a_file() -> None:
    reader = PieceReader(iter([b"ab", b"", b"cdefg", b"h"]))
    assert [reader.read(size) for size in (1, 3, 0, 9, 1)] == [b"a", b"bcd", b"", b"efgh", b""]
