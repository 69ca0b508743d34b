"""The figures of one benchmark run: collected, read back, and set against the targets."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.measure import Measurement

MIB = 1 << 20
ALLOWANCE_BYTES = 64 * MIB
VGG16_BEYOND_IMPORT_S = 1.0
COPY_FACTOR = 1.5
TINY_BEYOND_IMPORT_S = 6.0
MATCHING_S = 2.0

Run = dict[str, Any]


def add_measurement(run: Run, measurement: Measurement) -> None:
    """Append one repeat to a run's lists, and keep what its last `done` event says."""
    for name in ("wall_s", "cpu_s"):
        run.setdefault(name, []).append(round(getattr(measurement, name), 3))
    for name in ("peak_memory_bytes", "peak_anonymous_bytes"):
        run.setdefault(name, []).append(getattr(measurement, name))
    done = measurement.events.get("done")
    if done is not None:
        run["timings_s"] = done["timings_s"]
        result = done["result"]
        run["outcome"] = result.get("verdict") or result["reference"]["state"]


@dataclass(frozen=True)
class Figures:
    """One item's figures and the idle imports they are compared with.

    Attributes:
        name: of the item.
        facts: `tensors`, `model_bytes`, `largest_bytes`, `file_bytes`.
        runs: run name -> lists of repeats.
        idle: "tensorflow" and "torch" -> lists of repeats of the bare import.
    """

    name: str
    facts: Mapping[str, int]
    runs: Mapping[str, Run]
    idle: Mapping[str, Run]

    def has(self, *runs: str) -> bool:
        """Whether all these runs were made."""
        return all(run in self.runs for run in runs)

    def wall_s(self, *runs: str) -> float:
        """Sum of the runs' median wall times."""
        return float(sum(statistics.median(self.runs[run]["wall_s"]) for run in runs))

    def cpu_s(self, *runs: str) -> float:
        """Sum of the runs' median CPU times."""
        return float(sum(statistics.median(self.runs[run]["cpu_s"]) for run in runs))

    def peak_bytes(self, run: str) -> int:
        """The largest peak of all repeats."""
        return int(max(self.runs[run]["peak_memory_bytes"]))

    def idle_s(self, module: str) -> float:
        """Median wall time of the bare import."""
        return float(statistics.median(self.idle[module]["wall_s"]))

    def idle_bytes(self, module: str) -> float:
        """Median peak memory of the bare import."""
        return float(statistics.median(self.idle[module]["peak_memory_bytes"]))


def item_figures(results: Mapping[str, Any]) -> list[Figures]:
    """One `Figures` an item, in the order of the results."""
    return [
        Figures(name, entry["facts"], entry["runs"], results["idle"])
        for name, entry in results["items"].items()
    ]


@dataclass(frozen=True)
class Target:
    """One thing to reach, and what was measured.

    Attributes:
        item: which checkpoint.
        what: in words.
        measured: in `unit`.
        limit: in `unit`.
        unit: "s" or "MiB".
    """

    item: str
    what: str
    measured: float
    limit: float
    unit: str

    @property
    def is_met(self) -> bool:
        """At most the limit."""
        return self.measured <= self.limit


def _stage_1_memory(figures: Figures) -> Target:
    limit = figures.idle_bytes("tensorflow") + figures.facts["largest_bytes"] + ALLOWANCE_BYTES
    what = "stage 1 peak memory: idle TensorFlow + largest tensor + 64 MiB"
    return Target(figures.name, what, figures.peak_bytes("stage 1") / MIB, limit / MIB, "MiB")


def _stage_2_memory(figures: Figures) -> Target:
    sizes = figures.facts["model_bytes"] + figures.facts["largest_bytes"]
    limit = figures.idle_bytes("torch") + sizes + ALLOWANCE_BYTES
    what = "stage 2 peak memory: idle torch + model + largest tensor + 64 MiB"
    return Target(figures.name, what, figures.peak_bytes("stage 2") / MIB, limit / MIB, "MiB")


def _faster_than_tutorial(figures: Figures) -> Target:
    what = "pipeline without proof: no slower than the tutorial's two scripts"
    limit = figures.wall_s("tutorial 1", "tutorial 2")
    return Target(figures.name, what, figures.wall_s("pipeline"), limit, "s")


def _beyond_import_s(figures: Figures) -> float:
    return figures.wall_s("stage 1") - figures.idle_s("tensorflow")


def _vgg16_time(figures: Figures) -> Target:
    what = "stage 1 beyond the import: 1.0 s"
    return Target(figures.name, what, _beyond_import_s(figures), VGG16_BEYOND_IMPORT_S, "s")


def _large_time(figures: Figures) -> Target:
    what = f"stage 1 beyond the import: {COPY_FACTOR} x cp + one SHA-256 pass"
    limit = COPY_FACTOR * figures.wall_s("cp") + figures.wall_s("sha256")
    return Target(figures.name, what, _beyond_import_s(figures), limit, "s")


def _tiny_stage_1_time(figures: Figures) -> Target:
    what = "stage 1 beyond the import: 6 s"
    return Target(figures.name, what, _beyond_import_s(figures), TINY_BEYOND_IMPORT_S, "s")


def _tiny_pipeline_time(figures: Figures) -> Target:
    longer_import_s = max(figures.idle_s("tensorflow"), figures.idle_s("torch"))
    what = "pipeline without proof, beyond the longer import: 6 s"
    measured = figures.wall_s("pipeline") - longer_import_s
    return Target(figures.name, what, measured, TINY_BEYOND_IMPORT_S, "s")


# (what must have been run, on which item or None for every one, the target)
_TARGETS: tuple[tuple[tuple[str, ...], str | None, Callable[[Figures], Target]], ...] = (
    (("stage 1",), None, _stage_1_memory),
    (("stage 2",), None, _stage_2_memory),
    (("pipeline", "tutorial 1", "tutorial 2"), None, _faster_than_tutorial),
    (("stage 1",), "vgg16", _vgg16_time),
    (("stage 1", "cp", "sha256"), "dense-4gb", _large_time),
    (("stage 1",), "tiny-50000", _tiny_stage_1_time),
    (("pipeline",), "tiny-50000", _tiny_pipeline_time),
)


def targets(results: Mapping[str, Any]) -> list[Target]:
    """Every target that the measured items have, target by target."""
    found = [
        target(figures)
        for needs, item, target in _TARGETS
        for figures in item_figures(results)
        if figures.has(*needs) and item in (None, figures.name)
    ]
    matching = results.get("matching")
    if matching is not None:
        taken_s = float(statistics.median(matching["wall_s"]))
        item = f"{matching['tensors']:,} tensors"
        found.append(Target(item, "matching: 2 s", taken_s, MATCHING_S, "s"))
    return found


def extrapolated_tutorial_s(results: Mapping[str, Any], tensors: int) -> float | None:
    """Wall time of the tutorial's first script on `tensors` tensors, from its time on 2,000.

    Its time grows with the square of the number of tensors: one session call a tensor, and each
    call goes through the whole graph. None when that item was not measured.
    """
    entry = results["items"].get("tiny-2000")
    if entry is None or "tutorial 1" not in entry["runs"]:
        return None
    measured_s = statistics.median(entry["runs"]["tutorial 1"]["wall_s"])
    return float(measured_s * (tensors / entry["facts"]["tensors"]) ** 2)
