"""What the images were that a user has built on this machine, for whoever compares them later."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.run_paths import cache_folder

if TYPE_CHECKING:
    from orchestration.image_store import ImageDetails, ImageStore

RECORD_FILE = "images.json"


def recorded_images(environment: Mapping[str, str] = os.environ) -> dict[str, dict[str, Any]]:
    """What this user built on this machine: name -> digest, base image and its digest, engine."""
    try:
        text = _record_path(environment).read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    return dict(json.loads(text))


def record_image(
    reference: str, details: ImageDetails, base_image: str, base_digest: str, engine: ImageStore
) -> None:
    """Remember what an image was when it was made here."""
    records = recorded_images() | {
        engine.own_name(reference): {
            "digest": details.image_id,
            "base_image": base_image,
            "base_image_digest": base_digest,
            "engine": engine.info()["ServerVersion"],
        }
    }
    path = _record_path(os.environ)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(records, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    partial.replace(path)


def _record_path(environment: Mapping[str, str]) -> Path:
    return cache_folder(environment) / RECORD_FILE
