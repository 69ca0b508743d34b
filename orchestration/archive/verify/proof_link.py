"""export + model -> proof: what stage 2 found now, against what was recorded."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestration.archive.layout import RESULT
from orchestration.archive.verify.proof import REPORT, report_faults
from orchestration.archive.verify.records import MANIFEST
from orchestration.archive.verify.verdicts import Fault, Verdict, judged, not_checked
from orchestration.recorded_run import RecordedRun
from orchestration.strict_json import decode_json

CONFIG = "config.json"
_PROVEN = "proven"
_UNPROVEN = "unproven"


def proof_verdict(
    run: RecordedRun,
    archived: Path,
    remade: Path,
    done: Mapping[str, Any],
    inexact: str | None,
) -> Verdict:
    """Judge the proof.

    Args:
        run: what manifest.json tells.
        archived: the result in the bag.
        remade: what stage 2 has made now.
        done: what stage 2 says of it.
        inexact: why last digits may differ from those of then; None = they may not.
    """
    verdict, parity = str(done["verdict"]), done["parity"]
    tolerance = float(parity["tolerance"])
    faults = _verdict_faults(run, archived, done)
    faults += report_faults(archived, remade, tolerance, is_exact=inexact is None)
    within = f"numbers were compared within {tolerance:.0e} of their scale"
    notes = [] if inexact is None else [f"{inexact}, so that {within}"]
    if verdict == _UNPROVEN and not faults:
        return not_checked("proof", f"it was not proven then either: {done['reason']}", notes)
    if verdict not in (_PROVEN, _UNPROVEN):
        told = f"the models do not compute the same: {done['reason']}"
        faults.append(Fault(f"{RESULT}/{REPORT}", "contradicted", told))
    return judged("proof", faults, _details(done), notes)


def config_difference(archived: Path, remade: Path, changed: str) -> str | None:
    """What differs between two config.json but for the verdict, which belongs to the proof.

    Args:
        archived: the one that was put away.
        remade: the one that was made now.
        changed: what differs, as far as bytes go.
    """
    try:
        first, second = (_config(path) for path in (archived, remade))
    except (OSError, ValueError):
        return changed
    is_verdict_alone = {**first, "verdict": None} == {**second, "verdict": None}
    return None if is_verdict_alone and first["verdict"] != second["verdict"] else changed


def _config(path: Path) -> Mapping[str, Any]:
    document = decode_json(path.read_bytes())
    if not isinstance(document, dict) or "verdict" not in document:
        raise ValueError("it has no verdict")
    return document


def _verdict_faults(run: RecordedRun, archived: Path, done: Mapping[str, Any]) -> list[Fault]:
    told = {MANIFEST: {run.manifest["verdict"]["state"], run.manifest["load"]["result"]["verdict"]}}
    with suppress(OSError, ValueError):
        # What is no such file, the link before has told.
        told[f"{RESULT}/{CONFIG}"] = {_config(archived / CONFIG)["verdict"]}
    return [
        Fault(
            path,
            "contradicted",
            f"it tells of {' and '.join(map(str, verdicts))}, and it is {done['verdict']} now",
        )
        for path, verdicts in told.items()
        if verdicts != {done["verdict"]}
    ]


def _details(done: Mapping[str, Any]) -> str:
    parity = done["parity"]
    if parity["max_rel"] is None:
        return f"{done['verdict']} again: {done['reason']}"
    return (
        f"{done['verdict']} again: {done['reason']}; worst {parity['worst']},"
        f" {float(parity['max_rel']):.1e} of its scale (tolerance {parity['tolerance']:.0e})"
    )
