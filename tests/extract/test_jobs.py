from __future__ import annotations

import json

import pytest

from stage_extract.errors import JobInvalid
from stage_extract.jobs import ExtractOptions, Job, decode_job_line, parse_job

LEAST = {"job": "1", "command": "inspect", "checkpoint": "/in"}


def test_options_have_defaults():
    assert parse_job(LEAST) == Job("1", "inspect", "/in", None, ExtractOptions())


def test_reads_every_option():
    job = parse_job(
        {
            "job": "7",
            "command": "extract",
            "checkpoint": "/in/m",
            "out": "/out",
            "options": {
                "step": 20,
                "keep_optimizer": True,
                "inputs": ["x:0"],
                "outputs": ["y:0", "z:0"],
                "input_shapes": {"x:0": [1, 64, 48, 3]},
                "reference": False,
                "reference_mb": 0,
                "seed": 5,
                "reader": "both",
                "prefer_ema": True,
                "tags": ["serve", "gpu"],
                "signature": "predict",
                "checkpoint_format": "V1",
                "data_folder": "/data",
            },
        }
    )
    assert job.out == "/out"
    assert job.options == ExtractOptions(
        step=20,
        keep_optimizer=True,
        inputs=("x:0",),
        outputs=("y:0", "z:0"),
        input_shapes={"x:0": (1, 64, 48, 3)},
        reference=False,
        reference_mb=0,
        seed=5,
        reader="both",
        prefer_ema=True,
        tags=("serve", "gpu"),
        signature="predict",
        checkpoint_format="V1",
        data_folder="/data",
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"job": None}, "'job' is None", id="no-identifier"),
        pytest.param({"checkpoint": ""}, "'checkpoint' is ''", id="empty-path"),
        pytest.param({"checkpoint": "a\0b"}, "'checkpoint'", id="null-in-path"),
        pytest.param({"command": "load"}, "extract, inspect", id="unknown-command"),
        pytest.param({"command": "extract"}, "'out' is None", id="extract-without-out"),
        pytest.param({"color": 1}, "'color'", id="unknown-field"),
        pytest.param({"options": []}, "'options' is", id="options-no-object"),
        pytest.param({"options": {"color": 1}}, "keep_optimizer", id="unknown-option"),
        pytest.param({"options": {"step": -1}}, "'step' is -1", id="negative-step"),
        pytest.param({"options": {"step": True}}, "'step' is True", id="step-is-a-flag"),
        pytest.param({"options": {"inputs": "x:0"}}, "list of tensor names", id="inputs-a-text"),
        pytest.param({"options": {"outputs": [""]}}, "list of tensor names", id="empty-name"),
        pytest.param({"options": {"input_shapes": {"x": [None]}}}, "sizes", id="unknown-size"),
        pytest.param({"options": {"reference": 1}}, "true or false", id="flag-is-a-number"),
        pytest.param({"options": {"reference_mb": -1}}, "megabytes", id="negative-size"),
        pytest.param({"options": {"seed": 2**32}}, "2\\*\\*32", id="seed-too-large"),
        pytest.param({"options": {"reader": "torch"}}, "auto, tf, pure, both", id="reader"),
        pytest.param({"options": {"prefer_ema": "yes"}}, "true or false", id="flag-is-a-text"),
        pytest.param({"options": {"tags": "serve"}}, "list of tags", id="tags-a-text"),
        pytest.param({"options": {"signature": ""}}, "signature", id="empty-signature"),
        pytest.param({"options": {"checkpoint_format": "V3"}}, "V1, V2", id="format"),
        pytest.param({"options": {"data_folder": "a\0b"}}, "a folder", id="null-in-folder"),
    ],
)
def test_refuses(change, words):
    with pytest.raises(JobInvalid, match=words):
        parse_job({**LEAST, **change})


@pytest.mark.parametrize("line", ["", "{", "[1]", '"x"', "null", json.dumps(LEAST)[:-1]])
def test_refuses_lines_that_are_no_object(line):
    with pytest.raises(JobInvalid):
        decode_job_line(line)
