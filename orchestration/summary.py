"""What a command came to, as text for people."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.errors import (
    EXIT_PARITY_FAILED,
    OrchestrationError,
    StageFailed,
    error_name,
    exit_code_of,
)
from orchestration.printing import printable

if TYPE_CHECKING:
    from orchestration.doctor_checks import Check

_MARKS = {"proven": "PROVEN", "failed": "FAILED", "unproven": "UNPROVEN"}
_COLORS = {"proven": "green", "failed": "red", "unproven": "yellow"}
_LABEL_WIDTH = 12
_SHOWN_NAMES = 3
_CHECK_MARKS = {True: ("ok", "green"), False: ("no", "red"), None: ("-", "yellow")}


def verdict_color(manifest: Mapping[str, Any]) -> str:
    """Terminal colour for the first line of a summary."""
    return _COLORS.get(_load_result(manifest).get("verdict", ""), "green")


def summary_lines(out: Path, manifest: Mapping[str, Any], is_new: bool) -> list[str]:
    """The summary of a result, the verdict first."""
    verdict = _load_result(manifest).get("verdict")
    headline = _MARKS[verdict] if verdict is not None else "EXPORTED"
    note = "" if is_new else "  (made by an earlier run; nothing to do)"
    rows = list(_load_rows(out, manifest) if verdict is not None else _extract_rows(manifest))
    rows.append(("time", f"{manifest['total_s']:.1f} s"))
    return [printable(f"{headline}  {shown_path(out)}{note}")] + [
        printable(f"  {label:<{_LABEL_WIDTH}}{text}") for label, text in rows
    ]


def error_lines(error: OrchestrationError) -> list[str]:
    """An error in its three parts, its class and exit code first."""
    return [
        f"Error: {printable(error_name(error))} (exit code {exit_code_of(error)})",
        f"  {printable(error.happened)}",
        f"  {printable(error.expected)}",
        f"  {printable(error.remedy)}",
        *(f"    {printable(line)}" for line in _user_traceback(error)),
    ]


def _user_traceback(error: OrchestrationError) -> Sequence[str]:
    return error.user_traceback if isinstance(error, StageFailed) else ()


def check_lines(checks: Sequence[Check]) -> Iterator[tuple[str, str]]:
    """The doctor's findings as lines with their terminal colours."""
    for check in checks:
        mark, color = _CHECK_MARKS[check.ok]
        yield f"{mark:<4} {check.name}: {check.detail}", color
        if check.ok is False and check.remedy:
            yield f"     {check.remedy}", "white"


def kept_words(arguments: Sequence[str]) -> str:
    """What a command leaves behind that was interrupted, for people.

    Args:
        arguments: of the program, without its name.
    """
    if list(arguments[:1]) == ["batch"]:
        return "what was done before is kept, and jobs that were submitted go on"
    return "nothing was kept"


def shown_path(path: Path) -> str:
    """A path relative to the current folder if it lies below, else as it is."""
    relative = os.path.relpath(path)
    return os.fspath(path) if relative.startswith("..") else relative


def _load_result(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    result: Mapping[str, Any] = manifest.get("load", {}).get("result", {})
    return result


def _load_rows(out: Path, manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    result = _load_result(manifest)
    counts = f"{_count(result['parameters'], 'parameter')} in {_count(result['tensors'], 'tensor')}"
    yield "model", f"{result['model']['name']}: {counts}"
    note = result.get("device_note")
    yield "device", f"{result['device']}{f' ({note})' if note else ''}"
    yield from _reading_rows(manifest)
    if result["verdict"] == "unproven":
        yield "not proven", str(result["reason"])
    else:
        yield from _parity_rows(result)
    if bad := result["non_finite_weights"]:
        names = ", ".join(entry["torch_name"] for entry in bad[:_SHOWN_NAMES])
        more = f" and {len(bad) - _SHOWN_NAMES} more" if len(bad) > _SHOWN_NAMES else ""
        yield "note", f"NaN or infinity in the checkpoint's {names}{more}"
    if result["verdict"] == "failed":
        yield "kept", f"the result is kept, marked as failed (exit code {EXIT_PARITY_FAILED})"
    yield "report", shown_path(out / "report.html")


def _parity_rows(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The proof in numbers: the worst of everything that was compared."""
    parity = result["parity"]
    yield "compared", str(result["reason"])
    for cause in result.get("causes", ()):
        yield "cause", str(cause)
    for index, line in enumerate(result.get("traceback", ())):
        yield "" if index else "traceback", str(line)
    if parity["max_rel"] is not None:
        yield (
            "worst",
            f"{parity['worst']}: {parity['max_rel']:.1e} of its scale"
            f" ({parity['max_abs']:.1e} absolute; tolerance {parity['tolerance']:.0e})",
        )


def _reading_rows(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """How the checkpoint was read, where that is not by TensorFlow's environment alone."""
    stage = manifest.get("extract", {})
    if stage.get("reader") == "pure":
        yield "reader", "pure: without TensorFlow"
    readers = stage.get("result", {}).get("readers")
    if readers is not None:
        once = readers["read_once"]
        rest = f"; no second reader for {_count(len(once), 'other')}" if once else ""
        yield "reader", f"both agree on {_count(readers['compared'], 'variable')}{rest}"


def _extract_rows(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    result = manifest["extract"]["result"]
    yield from _reading_rows(manifest)
    size_mb = result["size_bytes"] / 1e6
    yield "variables", f"{result['variables']} ({size_mb:,.1f} MB), {result['skipped']} left out"
    for label in ("inputs", "outputs"):
        yield label, ", ".join(map(_tensor_text, result[label])) or "unknown (no graph)"
    reference = result["reference"]
    reason = f": {reference['reason']}" if reference.get("reason") else ""
    yield "reference", f"{reference['state']}{reason}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _tensor_text(tensor: Any) -> str:
    """Name and shape of an input or output."""
    if not isinstance(tensor, Mapping):
        return str(tensor)
    shape = tensor.get("shape")
    if shape is None:
        return f"{tensor['tensor']} [unknown shape]"
    sizes = ", ".join("?" if size is None else str(size) for size in shape)
    return f"{tensor['tensor']} [{sizes}]"
