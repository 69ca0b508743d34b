"""Real conversions in one batch: the results of the single command, from workers that stay warm."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NETWORKS = ("upconvcat", "keras_batch_norm", "two_levels")
SOME_FAILED = 3
# Of what a single run of one network depends on nothing but the runtime.
SAME_IN_BOTH = ("request", "inputs", "files")


def files_of(folder: Path) -> Mapping[str, bytes]:
    """Files of a result, apart from its manifest."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def record(out: Path, name: str) -> dict[str, Any]:
    return json.loads((out / "batch" / "ledger" / f"{name}.1.json").read_text())


def test_a_batch_gives_the_results_of_the_single_command(workplace, zoo, runtime):
    rows = []
    for name in NETWORKS:
        shutil.copytree(zoo(name), workplace.folder / name)
        rows.append(f"{name},{name},unet,")
    shutil.copytree(zoo("five_levels"), workplace.folder / "cut")
    (data,) = (workplace.folder / "cut").glob("*.data-*")
    os.truncate(data, data.stat().st_size // 2)
    rows += ["cut,cut,unet,", "upconvcat,again,unet,pure"]
    table = "\n".join(["checkpoint,name,model,reader", *rows]) + "\n"
    (workplace.folder / "models.csv").write_text(table)
    command = ["batch", "models.csv", "--out", "out", "--jobs", "1", "--runtime", runtime]

    done = workplace.run(*command)
    out = workplace.folder / "out"
    assert done.returncode == SOME_FAILED, done.stderr
    assert record(out, "cut")["failure"]["class_name"] == "TruncatedData"
    assert [record(out, name)["result"]["verdict"] for name in NETWORKS] == ["proven"] * 3
    assert record(out, "again")["result"]["verdict"] == "unproven"
    # One worker of each stage did them all, and one without TensorFlow the last.
    imports = {workplace.manifest(f"out/{name}")["extract"]["import_s"] for name in NETWORKS}
    assert len(imports) == 1

    again = workplace.run(*command)
    assert again.returncode == SOME_FAILED
    assert "4 done, 1 failed" in again.stderr
    shutil.rmtree(workplace.folder.parent / "cache" / "tf1-to-torch" / "exports")
    for name in NETWORKS[:2]:
        options = ["--model", "unet", "--runtime", runtime, "--out", f"single-{name}"]
        single = workplace.run(name, *options)
        assert single.returncode == 0, single.stderr
        assert files_of(out / name) == files_of(workplace.folder / f"single-{name}")
        made, alone = (workplace.manifest(folder) for folder in (f"out/{name}", f"single-{name}"))
        assert {part: made[part] for part in SAME_IN_BOTH} == {
            part: alone[part] for part in SAME_IN_BOTH
        }
