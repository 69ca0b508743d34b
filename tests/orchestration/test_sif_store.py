"""What is remembered of SIF files, and what of it is believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestration.run_paths import cache_folder
from orchestration.sif.program import Program
from orchestration.sif.store import RECORD_FILE, SifStore

REFERENCE = "tf1-to-torch/load:cpu-01ab"
FILE = "tf1-to-torch--load--cpu-01ab.sif"


@pytest.mark.parametrize(
    ("record", "is_found"),
    [
        pytest.param({"stamp": [1, 2, 3], "digest": "sha256:0", "labels": {}}, True, id="whole"),
        pytest.param({"stamp": [1, 2, 3]}, False, id="cut"),
        pytest.param(None, False, id="of-another-form"),
        pytest.param(b"", False, id="empty-after-a-power-cut"),
        pytest.param(b"[1]", False, id="no-object"),
        pytest.param(b"\xff", False, id="no-text"),
    ],
)
def test_a_damaged_memory_is_none(tmp_path: Path, record: Any, is_found: bool) -> None:
    environment = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    image = tmp_path / FILE
    image.touch()
    memory = cache_folder(environment) / RECORD_FILE
    memory.parent.mkdir(parents=True)
    content = record if isinstance(record, bytes) else json.dumps({str(image): record}).encode()
    memory.write_bytes(content)
    store = SifStore(Program("apptainer", "1.4.5"), environment)
    assert store.path(REFERENCE) == (image if is_found else store.folder / FILE)
