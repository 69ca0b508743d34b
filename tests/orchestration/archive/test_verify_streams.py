"""A bag that is one file is looked at without being unpacked, but for its records."""

from __future__ import annotations

import json
import resource
import subprocess
from pathlib import Path

from orchestration.archive.layout import PAYLOAD
from orchestration.archive.verify.records import is_record
from tests.orchestration.archive.made_result import ORCHESTRATE, contents, make_result

LARGE_BYTES = 4 << 20
ROOM_BYTES = LARGE_BYTES // 2


def limit_files() -> None:
    """No file that the process writes may be larger."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM_BYTES, ROOM_BYTES))


def verified(bag: Path) -> dict[str, str]:
    """Link -> state, found where there is no room for the original."""
    run = subprocess.run(
        [*ORCHESTRATE, "verify", bag, "--fixity-only", "--json"],
        preexec_fn=limit_files,
        capture_output=True,
        text=True,
        check=False,
    )
    return {link["link"]: link["state"] for link in json.loads(run.stdout)["links"]}


def test_what_is_only_hashed_takes_no_room(tmp_path: Path) -> None:
    made = make_result(tmp_path, {"m.index": b"i", "m.data-0": bytes(LARGE_BYTES)})
    for bag in ("x.bag", "x.bag.tar.zst"):
        assert made.archive(bag, "--without-program").returncode == 0
    assert (tmp_path / "x.bag/data/original/m.data-0").stat().st_size > ROOM_BYTES
    found = verified(tmp_path / "x.bag.tar.zst")
    assert found == verified(tmp_path / "x.bag")
    assert (found["fixity"], found["records"]) == ("ok", "ok")


def test_what_is_looked_into_is_unpacked(tmp_path: Path) -> None:
    made = make_result(tmp_path)
    assert made.archive("x.bag", "--without-program").returncode == 0
    needed = {name for name in contents(tmp_path / "x.bag") if is_record(name)}
    below = {name for name in needed if name.startswith(f"{PAYLOAD}/")}
    assert below == {"data/ro-crate-metadata.json", "data/result/manifest.json"}
    assert {"bagit.txt", "bag-info.txt", "tagmanifest-sha512.txt"} < needed
    assert is_record("data/images/load.oci.tar")
    assert is_record("data/renamed.json")
