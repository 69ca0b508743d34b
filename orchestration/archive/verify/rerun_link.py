"""The last link: the whole run once more, by what is in the bag alone, and every byte compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from orchestration.archive.layout import RESULT
from orchestration.archive.verify.bag_runtime import BagRuntime
from orchestration.archive.verify.places import folders_in_bag
from orchestration.archive.verify.verdicts import Fault, Verdict, judged, not_checked
from orchestration.recorded_run import RecordedRun
from orchestration.rerun import Reproduction, RerunSettings, rerun

_OWN_IMAGES: Final = (
    "the images came with the bag, and say what whoever made them let them say: who that was is for"
    " the signature to tell"
)


def rerun_verdict(run: RecordedRun, folder: Path, own: BagRuntime, out: Path) -> Verdict:
    """Repeat a run and compare.

    Args:
        run: the recorded run.
        folder: has the originals under the names that they had: the bag, mostly.
        own: the bag's own runtime.
        out: where the result goes.

    Raises:
        OrchestrationError: an image, an engine or a stage is the cause.
    """
    if own.name is None:
        why = "the run was in containers, and the bag holds no images (archive --with-images)"
        return not_checked("rerun", f"{why}; --runtime local makes environments instead")
    asked = RerunSettings(run, out, own.options, folders_in_bag(run, folder))
    reproduction = rerun(asked, own.context)
    notes = [f"not as it was: {condition}" for condition in reproduction.conditions]
    if own.is_in_images:
        notes.append(_OWN_IMAGES)
    by = f"{own.name} in the bag's images" if own.is_in_images else own.name
    details = f"by {by}: {len(reproduction.equal):,} files equal byte for byte"
    return judged("rerun", list(_faults(reproduction)), details, notes)


def _faults(reproduction: Reproduction) -> Iterator[Fault]:
    told = {
        "it has other bytes now": reproduction.differing,
        "it is not made any more": reproduction.missing,
        "it is made now, and was not": reproduction.added,
    }
    for what, names in told.items():
        for name in names:
            yield Fault(f"{RESULT}/{name}", "not reproduced", what)
