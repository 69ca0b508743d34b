"""What the doctor's lines have in common, whichever runtime they are about."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from orchestration.errors import ImageMissing, ImageUnusable
from orchestration.image_records import recorded_images
from orchestration.image_store import ImageStore
from orchestration.images import build_command, find_image
from orchestration.own_images import find_own_image
from orchestration.runtimes.base import Availability, Stage
from orchestration.settings import TorchVariant

GB = 10**9
# Measured, with what building them needs besides: both images with CPU torch.
IMAGES_NEED_BYTES = 6 * GB


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        name: what was looked at.
        ok: True = works, False = does not, None = not needed here.
        detail: what was found.
        remedy: the command (or step) that mends it, or None.
    """

    name: str
    ok: bool | None
    detail: str
    remedy: str | None = None


def check_readers(name: str, tensorflow: Availability) -> Check:
    """Which values of `--reader` work with a runtime."""
    if tensorflow.ok:
        return Check(name, True, f"tf, pure, both ({tensorflow.reason})")
    return Check(name, None, f"pure, which runs no reference ({tensorflow.reason.rstrip('.')})")


def check_disk(name: str, folder: Path, needed_bytes: int, already_made: bool) -> Check:
    """Free space where something large is kept.

    Args:
        name: what is kept there.
        folder: where; it, or the nearest parent that exists, is looked at.
        needed_bytes: what making it takes.
        already_made: then nothing is needed any more.
    """
    existing = folder
    while not existing.exists():
        existing = existing.parent
    free_bytes = shutil.disk_usage(existing).free
    detail = f"{free_bytes / GB:.1f} GB free in {folder}"
    if already_made or free_bytes >= needed_bytes:
        return Check(name, True, detail)
    return Check(
        name,
        False,
        f"{detail}, {needed_bytes / GB:.0f} GB needed",
        "Make room there, or move it to a larger disk.",
    )


def check_own_image(store: ImageStore, stage: Stage, name: str) -> Check:
    """Whether an image that the user names is there; only a run tells what starts in it."""
    title = f"{store.program} image {stage}"
    try:
        _, details = find_own_image(store, stage, name)
    except ImageUnusable as error:
        return Check(title, False, error.happened, error.remedy)
    return Check(title, True, f"{name}, {details.size_bytes / GB:.2f} GB, {details.image_id[:19]}")


def check_image(store: ImageStore, stage: Stage, variant: TorchVariant) -> Check:
    """Whether a stage's image is there, and what was built here."""
    name = f"{store.program} image {stage}" + (f" ({variant} torch)" if stage == "load" else "")
    try:
        sources, details = find_image(store, stage, (variant,))
    except ImageMissing as error:
        return Check(name, False, error.happened, error.remedy)
    detail = f"{sources.reference}, {details.size_bytes / GB:.2f} GB, {details.image_id[:19]}"
    record = recorded_images().get(store.own_name(sources.reference))
    if record is not None and record["digest"] != details.image_id:
        return Check(
            name,
            False,
            f"{detail}, and {record['digest'][:19]} is what was built here under that name",
            f"Run `{build_command(stage, variant, store.program)} --no-cache`.",
        )
    return Check(name, True, detail)
