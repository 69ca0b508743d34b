"""Loads an export of a TensorFlow 1 checkpoint into a PyTorch model and proves that they agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stage_load.result import load_model

__all__ = ["load_model"]


def __getattr__(name: str) -> Any:
    # Imported on first use: the plan and the layouts work without torch, and so do their tests.
    if name == "load_model":
        from stage_load.result import load_model

        return load_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
