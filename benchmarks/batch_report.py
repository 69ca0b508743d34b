"""The figures of a batch as Markdown tables, set against what is to be reached."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from benchmarks.figures import MIB, Target
from benchmarks.report import table

BEGIN_MARK = "<!-- batch tables: begin -->"
END_MARK = "<!-- batch tables: end -->"
SECONDS_PER_MINUTE = 60
TIMES_WITH_PROOF, TIMES_WITHOUT_PROOF = 4, 8
MEMORY_GROWTH = 1.05
RESTART_S, STATUS_S = 5.0, 1.0

Results = Mapping[str, Any]


def render(results: Results) -> str:
    """The tables of what was measured, with a line about the machine."""
    machine = results["machine"]
    parts = [
        f"{machine['processor']}, {machine['cores']} cores; "
        f"{machine['memory_bytes'] / MIB:,.0f} MiB of memory."
    ]
    for part, title, make in _SECTIONS:
        if part in results:
            parts += [title, make(results)]
    return "\n\n".join((*parts, "**Targets**", _targets(results)))


def single_s(results: Results, proof: str) -> float:
    """Mean wall time of one single command, over the sample."""
    return float(statistics.mean(results["single"][proof]["wall_s"]))


def item_s(results: Results, proof: str) -> float:
    """Wall time of a batch, by its items."""
    batch = results["batch"][proof]
    return float(batch["wall_s"] / batch["items"])


def times_faster(results: Results, proof: str) -> float:
    """How many single commands pass while a batch does one item."""
    return single_s(results, proof) / item_s(results, proof)


def _throughput(results: Results) -> str:
    rows: list[tuple[str, ...]] = []
    for proof, words in (("with proof", "with proof"), ("without proof", "without")):
        batch, single = results["batch"][proof], results["single"][proof]
        loop_s = single_s(results, proof) * batch["items"]
        rows.append(
            (
                words,
                f"{batch['items']}",
                f"{batch['wall_s']:.0f}",
                f"{SECONDS_PER_MINUTE / item_s(results, proof):.0f}",
                f"{batch['cpu_s'] / batch['items']:.2f}",
                f"{single_s(results, proof):.2f}",
                f"{loop_s:.0f} (from {len(single['wall_s'])})",
                f"{times_faster(results, proof):.1f}",
            )
        )
    headers: tuple[str, ...] = ("proof", "items", "batch, s", "items a minute", "CPU s an item")
    headers += ("single command, s", "loop of it, s, extrapolated", "times faster")
    return table(headers, rows)


def _memory(results: Results) -> str:
    rows: list[tuple[str, ...]] = []
    for many in results["many"]:
        name = f"{many['items']:,} items, a new worker after {many['recycle_after']:,}"
        peaks = [f"{peak / MIB:,.0f}" for peak in many["peaks_bytes"]]
        rows.append((name, *peaks, f"{growth(many):.2f}"))
    columns = [str(number + 1) for number in range(len(results["many"][0]["peaks_bytes"]))]
    return table(("run", *columns, "last / second"), rows)


def growth(many: Mapping[str, Any]) -> float:
    """Peak of the last tenth by that of the second: in the first one the workers start."""
    peaks = many["peaks_bytes"]
    return float(peaks[-1] / peaks[1])


def _starts(results: Results) -> str:
    rows: list[tuple[str, ...]] = [
        (name, *(f"{median:.2f}" if median is not None else "-" for median in pair))
        for name, pair in _by_runtime(results["starts"])
    ]
    return table(("runtime", "root", "an ordinary user"), rows)


def _by_runtime(
    starts: Mapping[str, Mapping[str, list[float]]],
) -> Iterator[tuple[str, tuple[float | None, float | None]]]:
    for runtime, callers in starts.items():
        medians = [
            statistics.median(callers[caller]) if caller in callers else None
            for caller in ("root", "user")
        ]
        yield runtime, (medians[0], medians[1])


def at_least(measured: float, limit: float) -> str:
    """Whether a factor is reached."""
    return "met" if measured >= limit else "**missed**"


def _targets(results: Results) -> str:
    rows: list[tuple[str, ...]] = []
    limits = (("with proof", TIMES_WITH_PROOF), ("without proof", TIMES_WITHOUT_PROOF))
    for proof, limit in limits if "batch" in results else ():
        measured = times_faster(results, proof)
        what = f"{proof}: at least so many times the single command's throughput"
        rows.append((what, f"{measured:.1f}", f"{limit}", at_least(measured, limit)))
    for many in results.get("many", ()):
        grown = growth(many)
        what = f"memory over {many['items']:,} items, a new worker after {many['recycle_after']:,}"
        met = "met" if grown <= MEMORY_GROWTH else "**missed**"
        rows.append((what, f"{grown:.2f}", f"{MEMORY_GROWTH}", met))
    for target in _times(results):
        met = "met" if target.is_met else "**missed**"
        rows.append((target.what, f"{target.measured:.2f} s", f"{target.limit:.0f} s", met))
    return table(("target", "measured", "limit", ""), rows)


def _times(results: Results) -> Iterator[Target]:
    for many in results.get("many", ())[-1:]:
        what = f"restart with all {many['items']:,} done"
        yield Target("", what, many["restart_s"], RESTART_S, "s")
        yield Target("", f"`--status` of {many['items']:,}", many["status_s"], STATUS_S, "s")


# Part of the results, title, table.
_SECTIONS: tuple[tuple[str, str, Callable[[Results], str]], ...] = (
    ("batch", "**Throughput**", _throughput),
    (
        "many",
        "**Memory of all workers and the host's side**, MiB, the peak of each tenth of the run",
        _memory,
    ),
    (
        "starts",
        "**Start of a stage**, seconds: `inspect` of one layer from command to answer, median",
        _starts,
    ),
)
