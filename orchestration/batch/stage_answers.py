"""Whether a stage's answer holds what records are made of.

A hostile checkpoint may speak in a stage's name. Of one item that costs that item, and a batch must
not fall over it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from orchestration.errors import StageCrashed
from orchestration.manifest import are_descriptions
from orchestration.runtimes.base import Event, Stage

_Check = Callable[[Any], bool]
_VERDICTS = ("proven", "unproven", "failed")


def check_answer(stage: Stage, done: Event) -> None:
    """Look at a `done` event before anything is made of it.

    Raises:
        StageCrashed: something is missing, or of another kind.
    """
    result = done["result"]
    wrong = [name for name, check in _OPTIONAL.items() if not check({**result, **done}.get(name))]
    for name, check in _RESULTS[stage].items():
        if name not in result or not check(result[name]):
            wrong.append(name)
    if wrong:
        raise StageCrashed(
            f"Stage {stage} answered without {', '.join(wrong)} of the kind that is expected.",
            "A stage tells what it has done in full.",
            "Do not use this checkpoint: no stage answers so by itself.",
        )


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_count_or_none(value: Any) -> bool:
    return value is None or _is_count(value)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _are_timings(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and all(map(_is_number, value.values())))


def _is_checkpoint(value: Any) -> bool:
    return isinstance(value, dict) and are_descriptions(value.get("files"))


def _is_model(value: Any) -> bool:
    return isinstance(value, dict) and _is_text(value.get("name"))


def _is_parity(value: Any) -> bool:
    if value is None:
        return True
    numbers = ("max_abs", "max_rel", "tolerance")
    return isinstance(value, dict) and all(
        value.get(name) is None or _is_number(value[name]) for name in numbers
    )


_OPTIONAL: Mapping[str, _Check] = MappingProxyType(
    {
        "timings_s": _are_timings,
        "peak_memory_bytes": _is_count_or_none,
        "seed": _is_count_or_none,
        "causes": lambda value: value is None or isinstance(value, list),
    }
)
_RESULTS: Mapping[Stage, Mapping[str, _Check]] = MappingProxyType(
    {
        "extract": MappingProxyType({"checkpoint": _is_checkpoint}),
        "load": MappingProxyType(
            {
                "verdict": lambda value: value in _VERDICTS,
                "reason": lambda value: value is None or _is_text(value),
                "parity": _is_parity,
                "model": _is_model,
                "device": _is_text,
                "parameters": _is_count,
                "tensors": _is_count,
            }
        ),
    }
)
