"""`--reader`: a checkpoint read without TensorFlow, and one read twice."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
CONTRACT = REPOSITORY / "tests" / "contract"
NOT_PROVEN = "not proven here, for it was read without TensorFlow"


def test_what_is_read_without_tensorflow_is_converted_and_proven_elsewhere(
    workplace, zoo, runtime, extract_python
):
    """The weights are those that TensorFlow reads; only the proof has to be made elsewhere."""
    checkpoint, model = zoo("upconvcat"), ("--model", "unet", "--runtime", runtime)
    done = workplace.run(checkpoint, *model, "--reader", "pure", "--out", "here")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("UNPROVEN")
    assert NOT_PROVEN in done.stdout
    assert "--reader tf" in done.stdout
    manifest = workplace.manifest("here")
    assert manifest["extract"]["reader"] == "pure"
    assert "tensorflow" not in manifest["extract"]["versions"]
    report = json.loads((workplace.folder / "here" / "report.json").read_bytes())
    assert report["verdict"] == "unproven"
    assert report["reason"].startswith(NOT_PROVEN)
    assert NOT_PROVEN in (workplace.folder / "here" / "report.html").read_text(encoding="utf-8")
    # The way that the reason names.
    extracted = workplace.run(
        "extract", checkpoint, "--reader", "tf", "--out", "export", "--runtime", runtime
    )
    assert extracted.returncode == 0, extracted.stderr
    loaded = workplace.run("load", "export", *model, "--out", "there")
    assert loaded.stdout.startswith("PROVEN"), loaded.stdout + loaded.stderr
    here, there = (workplace.folder / name / "model.safetensors" for name in ("here", "there"))
    assert here.read_bytes() == there.read_bytes()


def test_reading_twice_is_told_with_its_count(workplace, runtime):
    done = workplace.run(
        "extract",
        CONTRACT / "checkpoints" / "segmenter",
        *("--reader", "both", "--out", "export", "--runtime", runtime),
    )
    assert done.returncode == 0, done.stderr
    result = workplace.manifest("export")["extract"]["result"]
    count = result["variables"]
    assert result["readers"] == {"compared": count, "read_once": []}
    assert f"both agree on {count} variables" in done.stdout
    for path in (CONTRACT / "golden" / "segmenter").iterdir():
        assert (workplace.folder / "export" / path.name).read_bytes() == path.read_bytes()


def test_an_inspection_without_tensorflow_tells_the_same(workplace, runtime, extract_python):
    checkpoint = CONTRACT / "checkpoints" / "segmenter"
    found = {}
    for reader in ("tf", "pure"):
        arguments = ("inspect", checkpoint, "--json", "--reader", reader, "--runtime", runtime)
        done = workplace.run(*arguments)
        assert done.returncode == 0, done.stderr
        found[reader] = json.loads(done.stdout)
        assert found[reader].pop("reader") == reader
        source = found[reader]["source"]
        words = {"tf": "tensorflow", "pure": "pure"}
        assert source.pop("reader") == words[reader]
        assert (source.pop("tensorflow") is None) == (reader == "pure")
    assert found["pure"] == found["tf"]


def test_the_two_readings_of_a_folder_are_filed_apart(workplace, load_python, extract_python):
    """What one reader exported is not handed out for the other's."""
    checkpoint = CONTRACT / "checkpoints" / "bare"
    for out, reader, reused in (
        ("one", "pure", False),
        ("two", "tf", False),
        ("three", "pure", True),
    ):
        arguments = ("extract", checkpoint, "--reader", reader, "--out", out, "--runtime", "local")
        done = workplace.run(*arguments)
        assert done.returncode == 0, done.stderr
        assert ("Using the export of an earlier run again" in done.stderr) is reused
        assert workplace.manifest(out)["extract"]["reader"] == reader
    weights = {
        (workplace.folder / out / "variables.safetensors").read_bytes()
        for out in ("one", "two", "three")
    }
    assert len(weights) == 1


@pytest.mark.docker
def test_a_container_without_tensorflow_is_the_load_image(workplace):
    done = workplace.run(
        "extract",
        CONTRACT / "checkpoints" / "bare",
        *("--reader", "pure", "--out", os.fspath(workplace.folder / "e"), "--runtime", "docker"),
    )
    assert done.returncode == 0, done.stderr
    assert "tensorflow" not in workplace.manifest("e")["extract"]["versions"]
    assert "numpy" in workplace.manifest("e")["extract"]["versions"]
