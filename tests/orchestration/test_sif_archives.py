"""Archives of images, as Docker and as OCI write them: what is found in them."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestration.errors import ImageUnusable
from orchestration.sif.archives import ArchivedImage, archived_images

LABELS = {"contents": "0ddba11"}
CONFIG = {"config": {"Labels": LABELS}}


def archive(path: Path, members: Mapping[str, Any]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, value in members.items():
            content = json.dumps(value).encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def oci(*names: str) -> dict[str, Any]:
    manifests = [
        {"digest": "sha256:aa", "annotations": {"org.opencontainers.image.ref.name": name}}
        for name in names
    ]
    return {
        "index.json": {"manifests": manifests},
        "blobs/sha256/aa": {"config": {"digest": "sha256:bb"}},
        "blobs/sha256/bb": CONFIG,
    }


DOCKER = {"manifest.json": [{"Config": "a.json"}], "a.json": CONFIG}


@pytest.mark.parametrize(
    ("members", "transport", "selectors"),
    [
        pytest.param(DOCKER, "docker-archive", [""], id="docker"),
        pytest.param(oci("one"), "oci-archive", [""], id="oci"),
        pytest.param(oci("one", "two"), "oci-archive", ["one", "two"], id="oci-two"),
        pytest.param({**oci("one"), **DOCKER}, "docker-archive", [""], id="both-lists"),
    ],
)
def test_images_of_an_archive(
    tmp_path: Path, members: dict[str, Any], transport: str, selectors: list[str]
) -> None:
    path = archive(tmp_path / "images.tar", members)
    expected = [ArchivedImage(path, transport, selector, LABELS) for selector in selectors]
    assert archived_images(path) == expected


@pytest.mark.parametrize(
    ("members", "word"),
    [
        pytest.param({}, "cannot be read", id="empty"),
        pytest.param({"manifest.json": [{"Config": "gone"}]}, "cannot be read", id="cut"),
        pytest.param({"manifest.json": [{"Config": None}]}, "cannot be read", id="no-name"),
        pytest.param({**DOCKER, "a.json": []}, "cannot be read", id="list"),
        pytest.param({**DOCKER, "a.json": {"config": 7}}, "cannot be read", id="number"),
        pytest.param({"index.json": {"manifests": [{"digest": 5}]}}, "cannot be", id="no-digest"),
        pytest.param({"manifest.json": [{"Config": "a"}] * 2}, "holds 2 images", id="two"),
    ],
)
def test_archives_that_do_not_serve(tmp_path: Path, members: dict[str, Any], word: str) -> None:
    with pytest.raises(ImageUnusable, match=word):
        archived_images(archive(tmp_path / "images.tar", members))


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_damage_to_a_compressed_archive(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    whole = archive(tmp_path / "images.tar", oci("one")).read_bytes()
    path = tmp_path / "images.tar.compressed"
    path.write_bytes(compress(whole))
    assert len(archived_images(path)) == 1
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle - 20 : middle + 20] = b"\xff" * 40
    path.write_bytes(content)
    with pytest.raises(ImageUnusable, match="cannot be read"):
        archived_images(path)
