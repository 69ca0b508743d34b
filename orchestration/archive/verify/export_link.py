"""original -> export: stage 1 again, by the reader that needs no TensorFlow where it can."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from orchestration.archive.verify.file_differences import (
    difference,
    differing_tensors,
    tensor_names,
)
from orchestration.archive.verify.graph_lines import REFERENCE, SOURCE, differing_parts
from orchestration.archive.verify.settings import ExportReader
from orchestration.archive.verify.stages import export_again
from orchestration.archive.verify.verdicts import Fault, Verdict, judged, not_checked
from orchestration.errors import StageFailed
from orchestration.handoff import REFERENCE_FILE, VARIABLES_FILE
from orchestration.run_context import RunContext
from orchestration.run_paths import GRAPH_FILE
from orchestration.settings import ConvertSettings, ExtractSettings, Reader

PURE: Final = "pure"
TENSORFLOW: Final = "tf"
_READERS: Final[Mapping[ExportReader, tuple[Reader, ...]]] = {
    "auto": (PURE, TENSORFLOW),
    "pure": (PURE,),
    "tf": (TENSORFLOW,),
}
_WORDS: Final = {PURE: "without TensorFlow", TENSORFLOW: "by TensorFlow"}
# What stage 1 says of a format that this reader lacks.
_OTHER_READER: Final = "UnsupportedFormat"


@dataclass(frozen=True)
class Attempt:
    """What came of one reader.

    Attributes:
        faults: what differs.
        undecided: why this reader alone cannot tell whether the export is right; None = it can.
    """

    faults: Sequence[Fault]
    undecided: str | None = None


class ExportLink:
    """Makes the export again and compares it.

    Args:
        settings: of the recorded run, with paths in the bag.
        archived: the export in the bag.
        shown: its path in the bag, for the faults.
        recorded_reader: what read the checkpoint then.
        scratch: where exports are made.
        context: of the command.
    """

    def __init__(
        self,
        settings: ConvertSettings | ExtractSettings,
        archived: Path,
        shown: str,
        recorded_reader: str,
        scratch: Path,
        context: RunContext,
    ) -> None:
        self._settings = settings
        self._archived = archived
        self._shown = shown
        self._was_pure = recorded_reader == PURE
        self._scratch = scratch
        self._context = context

    def verdict(self, asked: ExportReader, is_exact: bool) -> Verdict:
        """Try the readers asked for, in turn, until one can tell.

        Args:
            asked: which readers.
            is_exact: TensorFlow's numbers may not differ from those of then.

        Raises:
            OrchestrationError: stage 1 failed, or could not be run.
        """
        notes: list[str] = []
        for reader in _READERS[asked]:
            if reader == TENSORFLOW:
                available = self._context.runtime.tensorflow()
                if not available.ok:
                    notes.append(f"TensorFlow does not run here: {available.reason}")
                    continue
            whole = asked == TENSORFLOW and is_exact
            attempt = self._attempt(reader, with_reference=asked == TENSORFLOW, exactly=whole)
            if attempt.undecided is None or attempt.faults:
                outcome = ", and differs; compared" if attempt.faults else ""
                compared = self._compared(reader, whole)
                details = f"made again {_WORDS[reader]}{outcome}: {compared}"
                return judged("export", attempt.faults, details, notes)
            notes.append(attempt.undecided)
        return not_checked("export", "; ".join(notes))

    def _compared(self, reader: Reader, whole: bool) -> str:
        names = [VARIABLES_FILE, GRAPH_FILE]
        names += [REFERENCE_FILE] if whole and self._has_reference() else []
        words = {REFERENCE: "reference", SOURCE: "reader"}
        excused = [words[part] for part in self._excused(reader, whole)]
        less = f" (but for its {' and its '.join(excused)})" if excused else ""
        return f"{', '.join(names)}{less} byte for byte"

    def _attempt(self, reader: Reader, *, with_reference: bool, exactly: bool) -> Attempt:
        out = self._scratch / f"export-{reader}"
        extract = self._settings.extract
        # Without TensorFlow there is none anyway, and what is said of that is compared.
        reference = extract.reference and (with_reference or reader == PURE)
        options = replace(extract, reference=reference)
        try:
            result = export_again(
                self._settings.checkpoint,
                options,
                reader,
                self._settings.runtime,
                out,
                self._context,
            )
        except StageFailed as error:
            if reader == PURE and error.class_name == _OTHER_READER:
                return Attempt((), f"the reader without TensorFlow refuses it: {error.happened}")
            raise
        left = [str(one) for one in result.get("left_to_tensorflow", ())]
        if left and not self._was_pure:
            return self._without(left, out)
        return Attempt(self._faults(out, self._excused(reader, exactly), exactly))

    def _without(self, left: Sequence[str], out: Path) -> Attempt:
        """Where TensorFlow's reader may have known more: what it cannot have known otherwise."""
        excused = self._excused(PURE, False)
        if not self._faults(out, excused, exactly=False):
            return Attempt(())
        both = tensor_names(out / VARIABLES_FILE)
        wrong = set(differing_tensors(self._archived / VARIABLES_FILE, out / VARIABLES_FILE)) & both
        told = (
            "without TensorFlow, what can be read is equal, and this cannot be:"
            f" {' and '.join(left)}"
        )
        return Attempt(
            [self._fault(VARIABLES_FILE, f"other values in {name}") for name in sorted(wrong)[:3]],
            told,
        )

    def _excused(self, reader: Reader, exactly: bool) -> Collection[str]:
        """Parts of graph.json that this reader cannot write as the recorded one did."""
        if (reader == PURE) != self._was_pure:
            return (REFERENCE, SOURCE)
        return () if exactly or self._was_pure else (REFERENCE,)

    def _faults(self, out: Path, excused: Collection[str], exactly: bool) -> list[Fault]:
        found = []
        changed = difference(self._archived / VARIABLES_FILE, out / VARIABLES_FILE)
        if changed is not None:
            found.append(self._fault(VARIABLES_FILE, changed))
        for part in differing_parts(self._archived / GRAPH_FILE, out / GRAPH_FILE, excused):
            found.append(self._fault(GRAPH_FILE, part))
        if exactly and self._has_reference():
            changed = difference(self._archived / REFERENCE_FILE, out / REFERENCE_FILE)
            if changed is not None:
                found.append(self._fault(REFERENCE_FILE, changed))
        return found

    def _has_reference(self) -> bool:
        return os.path.isfile(self._archived / REFERENCE_FILE)

    def _fault(self, name: str, text: str) -> Fault:
        return Fault(f"{self._shown}/{name}", "contradicted", f"stage 1 makes it otherwise: {text}")
