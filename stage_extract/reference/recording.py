"""Chooses what is recorded, runs the graph twice for it, and writes reference.safetensors."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Set

from stage_extract.dtypes import BY_NAME
from stage_extract.reference.attempts import Attempt
from stage_extract.reference.plan import ReferencePlan
from stage_extract.reference.result import LayerRecord, ReferenceUnavailable
from stage_extract.reference.session import Measured, ReferenceSession
from stage_extract.reference.values import as_bytes, digest, is_finite
from stage_extract.writing.safetensors_writer import TensorEntry, write_safetensors

MEGABYTE = 10**6
# Values that are fetched from one run and held until they are written. A group costs two runs.
FETCH_GROUP_BYTES = 256 * MEGABYTE


class NotRepeatable(Exception):
    """Two runs on the same input differ; the text is the name of the first tensor that does."""

    def __init__(self, tensor: str) -> None:
        super().__init__(tensor)
        self.tensor = tensor


class Selection(NamedTuple):
    """What fits.

    Attributes:
        entries: header entries of the file, sorted by name.
        records: what became of each layer's tensors.
        size_bytes: size of all recorded tensors, inputs included.
    """

    entries: List[TensorEntry]
    records: List[LayerRecord]
    size_bytes: int


def choose_tensors(
    plan: ReferencePlan, attempt: Attempt, unrecordable: Mapping[str, str], limit_mb: int
) -> Selection:
    """Take inputs and outputs, then the layers' tensors in their order as long as they fit.

    Args:
        plan: what should be recorded.
        attempt: what the graph accepted, with the size of every tensor.
        unrecordable: why some layers' tensors cannot be recorded, by name.
        limit_mb: most megabytes (10**6 bytes) for everything.

    Raises:
        ReferenceUnavailable: inputs and outputs alone are too large.
    """
    taken = {
        name: _entry(name, Measured(tuple(one.values.shape), one.values.dtype.name))
        for name, one in attempt.drawn.items()
    }
    for name in plan.outputs:
        taken.setdefault(name, _entry(name, attempt.measured[name]))
    room = limit_mb * MEGABYTE - sum(entry.size_bytes for entry in taken.values())
    if room < 0:
        raise ReferenceUnavailable(
            f"inputs and outputs take {limit_mb * MEGABYTE - room} bytes, more than the "
            f"{limit_mb} MB of --reference-mb"
        )
    records = []
    for layer in plan.layers:
        reason = unrecordable.get(layer.tensor) or attempt.failures.get(layer.tensor)
        if reason is None and layer.tensor not in taken:
            entry = _entry(layer.tensor, attempt.measured[layer.tensor])
            if entry.size_bytes > room:
                reason = (
                    f"its {entry.size_bytes} bytes exceed what --reference-mb {limit_mb} leaves"
                )
            else:
                taken[layer.tensor] = entry
                room -= entry.size_bytes
        records.append(LayerRecord(layer.layer, layer.tensor, reason is None, reason))
    entries = [taken[name] for name in sorted(taken)]
    return Selection(entries, records, sum(entry.size_bytes for entry in entries))


def _entry(name: str, measured: Measured) -> TensorEntry:
    dtype = BY_NAME[measured.dtype].safetensors
    if dtype is None:
        raise ValueError(f"{name!r} has the type {measured.dtype}, which was not left out")
    return TensorEntry(name, dtype, measured.shape, measured.size_bytes)


def write_recording(
    path: str,
    session: ReferenceSession,
    attempt: Attempt,
    selection: Selection,
    forward: Sequence[str],
    metadata: Mapping[str, str],
) -> Set[str]:
    """Run the graph twice for every recorded tensor, compare, and write the file.

    Args:
        path: the file.
        session: the graph.
        attempt: what it is fed.
        selection: what is recorded.
        forward: all tensors in forward order, to name the first that differs.
        metadata: for the header.

    Returns:
        The recorded tensors that hold NaN or infinity.

    Raises:
        NotRepeatable: two runs differ; nothing is left at `path`.
        DiskFull, OutputNotWritable, TensorNameReserved: from writing.
    """
    fetcher = _RepeatedFetch(session, attempt, selection.entries, forward)
    write_safetensors(path, selection.entries, metadata, fetcher.pieces)
    return fetcher.not_finite


class _RepeatedFetch:
    """Gives tensors in the order of the file, fetched twice in groups of limited size."""

    def __init__(
        self,
        session: ReferenceSession,
        attempt: Attempt,
        entries: Sequence[TensorEntry],
        forward: Sequence[str],
    ) -> None:
        self._session = session
        self._attempt = attempt
        self._order = {name: place for place, name in enumerate(forward)}
        self._waiting = [entry for entry in entries if entry.name not in attempt.drawn]
        self._held: Dict[str, Any] = {name: one.values for name, one in attempt.drawn.items()}
        self.not_finite: Set[str] = set()

    def pieces(self, name: str) -> Iterator[memoryview]:
        """Give the bytes of one tensor, which is then no longer held."""
        if name not in self._held:
            self._fetch_group()
        values = self._held.pop(name)
        if values.size:
            yield as_bytes(values)

    def _fetch_group(self) -> None:
        names: List[str] = []
        size_bytes = 0
        while self._waiting:
            size_bytes += self._waiting[0].size_bytes
            if names and size_bytes > FETCH_GROUP_BYTES:
                break
            names.append(self._waiting.pop(0).name)
        first = self._session.fetch(self._attempt.feeds, names)
        digests = {name: digest(first.pop(name)) for name in names}
        values = self._session.fetch(self._attempt.feeds, names)
        # A small mask may come out equal twice by chance; the outputs were computed once before.
        earlier = (digests, self._attempt.digests)
        found = {name: digest(values[name]) for name in names}
        different = [
            name
            for name in names
            if any(known.get(name, found[name]) != found[name] for known in earlier)
        ]
        if different:
            raise NotRepeatable(min(different, key=lambda name: self._order.get(name, 0)))
        self.not_finite.update(name for name in names if not is_finite(values[name]))
        self._held.update(values)
