"""The published schema of manifests, for every test that has one at hand."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

SCHEMA = Path(__file__).resolve().parents[1] / "orchestration" / "manifest_v2.schema.json"


@cache
def schema() -> dict[str, Any]:
    """The schema."""
    return dict(json.loads(SCHEMA.read_bytes()))


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)


def faults(manifest: Any) -> list[str]:
    """What the schema has against a manifest: places and reasons, none for a right one."""
    errors = _validator().iter_errors(manifest)
    return [f"{error.json_path}: {error.message:.300}" for error in errors]


def checked_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a result, which the schema has nothing against."""
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
    assert faults(manifest) == []
    return manifest
