"""What a record of the ledger keeps of a result, so that nobody opens hundreds of files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestration.batch.record import Failure
from orchestration.errors import EXIT_PARITY_FAILED, OrchestrationError, error_name, exit_code_of

PARITY_FAILED = "ParityFailed"


def figures_of(manifest: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """The figures of a result, as JSON.

    Args:
        manifest: of the result folder.
        seconds: from the item's start to its result.

    Returns:
        verdict and its reason; `max_rel` (of the scale) and `max_abs`, the worst differences, and
        `worst`, where: None without a proof; model, device; numbers of parameters and tensors;
        `size_bytes` of all files; `seconds`, `stage_s` and `peak_memory_bytes` by stage.
    """
    result = manifest["load"]["result"]
    parity = result["parity"] or {}
    stages = {stage: manifest[stage] for stage in ("extract", "load")}
    return {
        "verdict": result["verdict"],
        "reason": result["reason"],
        "max_rel": parity.get("max_rel"),
        "max_abs": parity.get("max_abs"),
        "worst": parity.get("worst"),
        "tolerance": parity.get("tolerance"),
        "model": result["model"]["name"],
        "device": result["device"],
        "parameters": result["parameters"],
        "tensors": result["tensors"],
        "size_bytes": sum(entry["size_bytes"] for entry in manifest["files"]),
        "seconds": round(seconds, 3),
        "stage_s": {
            name: round(sum(stage["timings_s"].values()), 3) for name, stage in stages.items()
        },
        "peak_memory_bytes": {name: stage["peak_memory_bytes"] for name, stage in stages.items()},
    }


def tells_figures(manifest: Mapping[str, Any]) -> bool:
    """Whether all that a record keeps can be read from a manifest: somebody may have edited it."""
    try:
        figures_of(manifest, 0.0)
        parity_failure(manifest)
    except (KeyError, TypeError, AttributeError):
        return False
    return True


def parity_failure(manifest: Mapping[str, Any]) -> Failure | None:
    """Why an item failed whose result is there: the models differ. None if they do not."""
    result = manifest["load"]["result"]
    if result["verdict"] != "failed":
        return None
    causes = " ".join(str(cause) for cause in result.get("causes", ()))
    return Failure(
        class_name=PARITY_FAILED,
        exit_code=EXIT_PARITY_FAILED,
        happened=f"The torch model does not compute what TensorFlow computed: {result['reason']}.",
        expected="Outputs equal within the tolerance were expected.",
        remedy=causes or "Look into report.html: it names the first layer that differs.",
    )


def failure_of(error: OrchestrationError) -> Failure:
    """A failure as a record tells it."""
    return Failure(
        class_name=error_name(error),
        exit_code=exit_code_of(error),
        happened=error.happened,
        expected=error.expected,
        remedy=error.remedy,
    )
