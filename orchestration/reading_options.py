"""Options of what is read: which checkpoint, by which code, and what of its graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from orchestration import option_types
from orchestration import settings as s
from orchestration.command_options import EXISTING_FOLDER, with_options

_which_and_how = with_options(
    click.option(
        "--reader",
        type=click.Choice(["auto", "tf", "pure", "both"]),
        default="auto",
        show_default=True,
        help="Where TensorFlow runs, without it, or both, compared; see the README.",
    ),
    click.option("--step", type=click.IntRange(min=0), help="Step to take; default: the newest."),
    click.option(
        "--checkpoint-format",
        type=click.Choice(["V1", "V2"]),
        help="Which of two formats at one prefix; default: the newer.",
    ),
    click.option(
        "--data-folder",
        type=EXISTING_FOLDER,
        metavar="FOLDER",
        help="Where data shards lie that are not beside their index.",
    ),
    click.option(
        "--tags",
        type=option_types.no_empty_text,
        multiple=True,
        metavar="TAG,…",
        help="Of the SavedModel's graph, if several.",
    ),
    click.option(
        "--signature",
        type=option_types.no_empty_text,
        metavar="NAME",
        help="Of the SavedModel: its inputs and outputs are taken.",
    ),
    click.option(
        "--prefer-ema",
        is_flag=True,
        help="Use moving averages in place of the variables that they follow.",
    ),
    click.option("--keep-optimizer", is_flag=True, help="Export optimizer slots too."),
)
_graph = with_options(
    click.option("--inputs", multiple=True, metavar="NAME,…", help="Inputs, if found wrongly."),
    click.option("--outputs", multiple=True, metavar="NAME,…", help="Outputs, if found wrongly."),
    click.option(
        "--input-shape",
        "input_shapes",
        type=option_types.input_shape,
        multiple=True,
        metavar="NAME=1,64,64,3",
        help="Shape to run an input with, in TensorFlow's axes.",
    ),
)
checkpoint_options = with_options(_which_and_how, _graph)
reference_options = with_options(
    click.option(
        "--reference-mb",
        type=click.IntRange(min=0),
        default=s.DEFAULT_REFERENCE_MB,
        show_default=True,
        help="Cap of the layer outputs that are recorded, in megabytes.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(min=0, max=s.LARGEST_SEED),
        default=s.DEFAULT_SEED,
        show_default=True,
        help="Of the random inputs.",
    ),
)


def extract_options(given: Mapping[str, Any], reference: bool) -> s.ExtractOptions:
    """Settings of stage 1 from parsed options."""
    return s.ExtractOptions(
        step=given["step"],
        keep_optimizer=given["keep_optimizer"],
        inputs=option_types.split_names(given["inputs"]),
        outputs=option_types.split_names(given["outputs"]),
        input_shapes=dict(given["input_shapes"]),
        reference=reference,
        reference_mb=given.get("reference_mb", s.DEFAULT_REFERENCE_MB),
        seed=given.get("seed", s.DEFAULT_SEED),
        reader=given["reader"],
        prefer_ema=given["prefer_ema"],
        tags=option_types.split_names(given["tags"]),
        signature=given["signature"],
        checkpoint_format=given["checkpoint_format"],
        data_folder=given["data_folder"],
    )
