"""Steps as JSON values and back, as ``config.json`` holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from stage_load.models.unet.steps import STEPS, Step, Steps


def step_to_json(step: Step) -> dict[str, Any]:
    """Return a step as JSON values: its fields, and ``"step"`` for what it is."""
    values = {field.name: _to_json(getattr(step, field.name)) for field in fields(step)}
    return {"step": step.kind, **values}


def step_from_json(values: Mapping[str, Any]) -> Step:
    """Read a step back.

    Raises:
        ValueError: unknown step or unknown setting; names it, and those that are known.
    """
    settings = {name: _from_json(value) for name, value in values.items() if name != "step"}
    kind = values.get("step")
    if not isinstance(kind, str) or kind not in STEPS:
        raise ValueError(f"Step {kind!r} of a UNet is unknown. Known: {', '.join(sorted(STEPS))}.")
    step_type = STEPS[kind]
    known = {field.name for field in fields(step_type)}
    if unknown := sorted(settings.keys() - known):
        raise ValueError(
            f"Step {kind!r} has no setting {', '.join(unknown)}. Known: {', '.join(sorted(known))}."
        )
    return step_type(**settings)


def steps_to_json(steps: Steps) -> list[dict[str, Any]]:
    """Return steps as a JSON array."""
    return [step_to_json(step) for step in steps]


def steps_from_json(values: list[Mapping[str, Any]]) -> Steps:
    """Read steps back. Raises ValueError as ``step_from_json`` does."""
    return tuple(step_from_json(value) for value in values)


def _to_json(value: Any) -> Any:
    return [_to_json(part) for part in value] if isinstance(value, tuple) else value


def _from_json(value: Any) -> Any:
    return tuple(_from_json(part) for part in value) if isinstance(value, list) else value
