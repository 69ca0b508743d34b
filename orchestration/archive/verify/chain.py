"""The links from the original to the proof: each is made again, and compared with the bag's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from orchestration.archive.layout import RESULT
from orchestration.archive.verify.asked_notes import mapping_notes, proof_notes
from orchestration.archive.verify.export_link import TENSORFLOW, ExportLink
from orchestration.archive.verify.file_differences import difference
from orchestration.archive.verify.guard import Guard
from orchestration.archive.verify.places import export_folder, why_untrusted
from orchestration.archive.verify.proof import PAGE, REPORT
from orchestration.archive.verify.proof_link import CONFIG, config_difference, proof_verdict
from orchestration.archive.verify.settings import VerifySettings
from orchestration.archive.verify.stages import LoadAgain
from orchestration.archive.verify.verdicts import Fault, Verdict, judged, not_checked
from orchestration.handoff import check_export
from orchestration.manifest import file_names
from orchestration.publishing import EXPORT_FOLDER
from orchestration.recorded_run import RecordedRun, RunSettings
from orchestration.run_context import RunContext
from orchestration.settings import ExtractSettings, LoadSettings

_MODEL: Final = f"{RESULT}/model.safetensors"


class Chain:
    """Checks the links of one bag.

    Args:
        run: what manifest.json tells.
        asked: what the run was asked for, with paths in the bag.
        folder: the bag, or where it was unpacked.
        settings: what the user wants of the verification.
        inexact: why last digits may differ from those of then; None = they may not.
        scratch: an empty folder.
        context: of the command.
        guard: turns errors into verdicts.
    """

    def __init__(
        self,
        run: RecordedRun,
        asked: RunSettings,
        folder: Path,
        settings: VerifySettings,
        inexact: str | None,
        scratch: Path,
        context: RunContext,
        guard: Guard,
    ) -> None:
        self._run = run
        self._asked = asked
        self._export = export_folder(run, folder)
        self._result = folder / RESULT
        self._settings = settings
        self._inexact = inexact
        self._scratch = scratch
        self._context = context
        self._guard = guard

    def verdicts(self) -> Iterator[Verdict]:
        """The links in their order; both stages import their libraries side by side."""
        with ExitStack() as stack:
            second = self._second_stage(stack)
            started: Verdict | None = None
            if isinstance(second, LoadAgain):
                started = self._guard.part("mapping", _MODEL, second.start)
            export = self._guard.verdict("export", self._shown(), self._export_verdict)
            yield export
            for verdict in self._of_stage_2(second, started):
                yield replace(verdict, notes=(*verdict.notes, *self._notes(verdict, export)))

    def _notes(self, verdict: Verdict, export: Verdict) -> Iterator[str]:
        """How far a link of stage 2 reaches, where it holds."""
        if verdict.state == "ok" and verdict.link == "mapping":
            yield from mapping_notes(self._asked)
        if verdict.state == "ok" and verdict.link == "proof":
            is_by_tensorflow = self._settings.reader == TENSORFLOW and export.state != "not_checked"
            yield from proof_notes(self._asked, is_by_tensorflow and self._inexact is None)

    def _shown(self) -> str:
        """Where the bag has its export, for people."""
        return self._export.relative_to(self._result.parent.parent).as_posix()

    def _export_verdict(self) -> Verdict:
        if isinstance(self._asked, LoadSettings):
            why = "the run began with an export, and no checkpoint is in the bag"
            return not_checked("export", why)
        check_export(self._export)
        reader = str(self._run.manifest["extract"]["reader"])
        parts = (self._asked, self._export, self._shown(), reader, self._scratch, self._context)
        return ExportLink(*parts).verdict(self._settings.reader, self._inexact is None)

    def _second_stage(self, stack: ExitStack) -> LoadAgain | str:
        """Stage 2, to be started, or why it is not run."""
        if isinstance(self._asked, ExtractSettings):
            return "stage 2 had no part in this run"
        why = why_untrusted(self._asked, self._settings.trust_code)
        if why is not None:
            return why
        load, runtime = self._asked.load, self._asked.runtime
        out = self._scratch / "result"
        return stack.enter_context(LoadAgain(self._export, load, runtime, out, self._context))

    def _of_stage_2(self, second: LoadAgain | str, started: Verdict | None) -> Iterator[Verdict]:
        if isinstance(second, str):
            yield not_checked("mapping", second)
            yield not_checked("proof", second)
            return
        done: dict[str, Any] = {}
        if started is None:
            started = self._guard.part("mapping", _MODEL, lambda: done.update(self._load(second)))
        if started is not None:
            yield started
            yield not_checked("proof", "the link before was not made again")
            return
        faults = list(self._mapping_faults(second.out))
        outcome = ", and differs; compared" if faults else ""
        yield judged("mapping", faults, f"made again{outcome}: {self._compared(second.out)}")
        yield proof_verdict(self._run, self._result, second.out, done, self._inexact)

    def _load(self, second: LoadAgain) -> Mapping[str, Any]:
        check_export(self._export)
        return second.finish()

    def _mapping_faults(self, made: Path) -> Iterator[Fault]:
        for name in self._names(made):
            changed = difference(self._result / name, made / name)
            if name == CONFIG and changed is not None:
                changed = config_difference(self._result / name, made / name, changed)
            if changed is not None:
                told = f"stage 2 makes it otherwise: {changed}"
                yield Fault(f"{RESULT}/{name}", "contradicted", told)
        yield from self._unlisted(made)

    def _unlisted(self, made: Path) -> Iterator[Fault]:
        """What stage 2 makes, and the record does not tell of."""
        told = {str(entry["name"]) for entry in self._run.files}
        for name in file_names(made):
            if name not in told:
                yield Fault(f"{RESULT}/{name}", "contradicted", "manifest.json does not list it")

    def _names(self, made: Path) -> list[str]:
        """What stage 2 makes, then or now; the report belongs to the next link."""
        then = [str(entry["name"]) for entry in self._run.files]
        names = {name for name in then if not name.startswith(f"{EXPORT_FOLDER}/")}
        return sorted((names | set(file_names(made))) - {REPORT, PAGE})

    def _compared(self, made: Path) -> str:
        return f"{', '.join(self._names(made))} byte for byte"
