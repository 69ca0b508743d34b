"""Job lines: what the host asks of this stage, checked once and then frozen."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

from stage_extract.errors import JobInvalid
from stage_extract.job_lines import MOST_LINE_BYTES, is_too_long

INSPECT = "inspect"
COMMANDS = ("extract", INSPECT)
READERS = ("auto", "tf", "pure", "both")
CHECKPOINT_FORMATS = ("V1", "V2")
DEFAULT_REFERENCE_MB = 256


@dataclass(frozen=True)
class ExtractOptions:
    """What a user may choose for one checkpoint.

    Attributes:
        step: training step to take when a folder holds several; None takes the newest.
        keep_optimizer: export optimizer slots and step counters as well.
        inputs: tensor names that replace the inputs found in the graph; empty to find them.
        outputs: tensor names that replace the outputs found in the graph; empty to find them.
        input_shapes: complete shape of an input, in TensorFlow's axes, by tensor name.
        reference: record a reference run.
        reference_mb: most megabytes (10**6 bytes) that the reference may take.
        seed: seed of the reference inputs.
        reader: which code reads the files; "auto" is whatever this process was started with.
        prefer_ema: describe and run the model with the moving averages of its variables.
        tags: tags of the SavedModel's graph to take; empty to choose.
        signature: name of the SavedModel's signature to take; None to choose.
        checkpoint_format: "V1" or "V2", where both lie at one prefix; None takes the newer.
        data_folder: folder with the data shards that do not lie beside their index; None without.
    """

    step: Optional[int] = None
    keep_optimizer: bool = False
    inputs: Tuple[str, ...] = ()
    outputs: Tuple[str, ...] = ()
    input_shapes: Mapping[str, Tuple[int, ...]] = field(default_factory=dict)
    reference: bool = True
    reference_mb: int = DEFAULT_REFERENCE_MB
    seed: int = 0
    reader: str = "auto"
    prefer_ema: bool = False
    tags: Tuple[str, ...] = ()
    signature: Optional[str] = None
    checkpoint_format: Optional[str] = None
    data_folder: Optional[str] = None


@dataclass(frozen=True)
class Job:
    """One job line.

    Attributes:
        identifier: the host's name of the job, repeated in each of its events.
        command: "extract" or "inspect".
        checkpoint: folder, prefix or file, as this process sees it.
        out: empty writable folder: for the export, or, of "inspect", for what an archive holds, to
            be removed again; None, then, to unpack where temporary files go.
        options: the user's choices.
    """

    identifier: str
    command: str
    checkpoint: str
    out: Optional[str]
    options: ExtractOptions


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    # No path holds a null character; the operating system would refuse it without an errno.
    return isinstance(value, str) and value != "" and "\0" not in value


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) and name for name in value)


def _are_shapes(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(shape, list) and all(map(_is_size, shape)) for shape in value.values()
    )


def _is_size(value: Any) -> bool:
    return _is_int(value) and value >= 0


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_step(value: Any) -> bool:
    return value is None or _is_size(value)


def _is_seed(value: Any) -> bool:
    return _is_size(value) and value < 2**32


def _is_reader(value: Any) -> bool:
    return value in READERS


def _is_text_or_null(value: Any) -> bool:
    return value is None or _is_text(value)


def _is_format_or_null(value: Any) -> bool:
    return value is None or value in CHECKPOINT_FORMATS


# One row an option: its check, and what the check wants in words.
_OPTION_CHECKS: Mapping[str, Tuple[Callable[[Any], bool], str]] = {
    "step": (_is_step, "null or a step >= 0"),
    "keep_optimizer": (_is_flag, "true or false"),
    "inputs": (_are_names, "a list of tensor names"),
    "outputs": (_are_names, "a list of tensor names"),
    "input_shapes": (_are_shapes, "an object of tensor name -> list of sizes"),
    "reference": (_is_flag, "true or false"),
    "reference_mb": (_is_size, "a number of megabytes >= 0"),
    "seed": (_is_seed, "a number from 0 to 2**32 - 1"),
    "reader": (_is_reader, f"one of {', '.join(READERS)}"),
    "prefer_ema": (_is_flag, "true or false"),
    "tags": (_are_names, "a list of tags"),
    "signature": (_is_text_or_null, "null or the name of a signature"),
    "checkpoint_format": (_is_format_or_null, f"null or one of {', '.join(CHECKPOINT_FORMATS)}"),
    "data_folder": (_is_text_or_null, "null or a folder"),
}


def _invalid(happened: str, expected: str) -> JobInvalid:
    return JobInvalid(happened, expected, "Correct the job line; the host writes one for each job.")


def parse_options(values: Mapping[str, Any]) -> ExtractOptions:
    """Check the "options" object of a job line.

    Raises:
        JobInvalid: an option is not known or its value does not fit.
    """
    known = [option.name for option in fields(ExtractOptions)]
    for name, value in values.items():
        if name not in _OPTION_CHECKS:
            raise _invalid(
                f"The job has an unknown option {name!r}.", f"Known: {', '.join(known)}."
            )
        check, wanted = _OPTION_CHECKS[name]
        if not check(value):
            raise _invalid(f"Option {name!r} is {value!r}.", f"Expected {wanted}.")
    frozen: Dict[str, Any] = dict(values)
    for name in ("inputs", "outputs", "tags"):
        frozen[name] = tuple(values.get(name, ()))
    shapes = values.get("input_shapes", {})
    frozen["input_shapes"] = {name: tuple(shape) for name, shape in shapes.items()}
    return ExtractOptions(**frozen)


def decode_job_line(line: str) -> Dict[str, Any]:
    """Decode one line to a JSON object.

    Raises:
        JobInvalid: the line is no JSON object, or too long for a job.
    """
    if is_too_long(line):
        raise _invalid(
            f"The job line {line[:80]!r} is longer than {MOST_LINE_BYTES:,} bytes.",
            "Expected one object.",
        )
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _invalid(
            f"The job line {line[:80]!r} is no JSON: {error}.", "Expected one object."
        ) from error
    if not isinstance(values, dict):
        raise _invalid(f"The job line {line[:80]!r} is no JSON object.", "Expected one object.")
    return values


def parse_job(values: Mapping[str, Any]) -> Job:
    """Check a decoded job line and freeze it.

    Raises:
        JobInvalid: a field is missing, unknown, or of another type.
    """
    for name in ("job", "command", "checkpoint"):
        if not _is_text(values.get(name)):
            raise _invalid(f"Field {name!r} is {values.get(name)!r}.", "Expected a text.")
    unknown = sorted(set(values) - {"job", "command", "checkpoint", "out", "options"})
    if unknown:
        raise _invalid(
            f"The job has an unknown field {unknown[0]!r}.",
            "Known: job, command, checkpoint, out, options.",
        )
    command, out, options = values["command"], values.get("out"), values.get("options", {})
    if command not in COMMANDS:
        raise _invalid(f"The command is {command!r}.", f"Known commands: {', '.join(COMMANDS)}.")
    if command == "extract" and not _is_text(out):
        raise _invalid(f"Field 'out' is {out!r}.", "Expected the folder of the export.")
    if not isinstance(options, dict):
        raise _invalid(f"Field 'options' is {options!r}.", "Expected an object.")
    return Job(values["job"], command, values["checkpoint"], out, parse_options(options))
