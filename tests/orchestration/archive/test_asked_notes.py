"""What a stranger's record asked for is told beside the verdicts that it weakens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestration.archive.verify.asked_notes import mapping_notes, proof_notes
from orchestration.settings import (
    ConvertSettings,
    ExtractOptions,
    ExtractSettings,
    LoadOptions,
    LoadSettings,
    RuntimeOptions,
    TransferOptions,
)

UNET = LoadOptions("unet")


def convert(load: LoadOptions = UNET, extract: ExtractOptions | None = None) -> ConvertSettings:
    given = extract or ExtractOptions()
    return ConvertSettings(Path("/c"), Path("/o"), False, given, load, RuntimeOptions())


def transfer(**given: object) -> ConvertSettings:
    return convert(replace(UNET, transfer=TransferOptions(**given)))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        pytest.param(transfer(allow_missing=("head.*",)), 'allow_missing ["head.*"]', id="missing"),
        pytest.param(transfer(allow_unused=(".*",)), 'allow_unused [".*"]', id="unused"),
        pytest.param(transfer(rules=("a -> b",)), 'rules ["a -> b"]', id="rules"),
        pytest.param(transfer(adapt=("in.*",)), 'adapt ["in.*"]', id="adapt"),
        pytest.param(transfer(dtype="float16"), 'dtype "float16"', id="dtype"),
        pytest.param(
            convert(replace(UNET, map=Path("/bag/m.csv"))), 'map "m.csv"', id="edited-map"
        ),
        pytest.param(
            convert(replace(UNET, model_args={"n": 3})), 'model_args {"n": 3}', id="arguments"
        ),
    ],
)
def test_what_was_said_by_hand_of_the_mapping_is_told(asked: ConvertSettings, words: str):
    (note,) = mapping_notes(asked)
    assert note.endswith(f": {words}")
    assert list(proof_notes(asked, is_reference_remade=True)) == []


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        pytest.param(convert(replace(UNET, tolerance=0.5)), "tolerance of 0.5", id="tolerance"),
        pytest.param(
            convert(extract=ExtractOptions(outputs=("zeros:0",))), "zeros:0", id="outputs"
        ),
        pytest.param(
            LoadSettings(
                Path("/e"), Path("/o"), False, replace(UNET, tolerance=2.0), RuntimeOptions()
            ),
            "tolerance of 2",
            id="load",
        ),
    ],
)
def test_what_weakens_a_proof_is_told(asked: ConvertSettings | LoadSettings, words: str):
    (note,) = proof_notes(asked, is_reference_remade=True)
    assert words in note
    assert list(mapping_notes(asked)) == []


@pytest.mark.parametrize("tolerance", [1e-4, 1e-7])
def test_nothing_is_told_of_a_usual_run(tolerance: float):
    asked = convert(replace(UNET, tolerance=tolerance))
    assert list(mapping_notes(asked)) == []
    assert list(proof_notes(asked, is_reference_remade=True)) == []
    (note,) = proof_notes(asked, is_reference_remade=False)
    assert "not computed again" in note


def test_an_export_alone_has_neither():
    asked = ExtractSettings(Path("/c"), Path("/o"), False, ExtractOptions(), RuntimeOptions())
    assert not [*mapping_notes(asked), *proof_notes(asked, is_reference_remade=False)]
