"""One stage running in a container."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from orchestration.errors import EngineRefused, FeatureUnavailable
from orchestration.event_check import MOST_LINE_BYTES, decode_event, line_too_long
from orchestration.runtimes.base import (
    Event,
    ExitStatus,
    Notify,
    StageSpec,
    encode_job,
)
from orchestration.runtimes.containers import container_path, host_text
from orchestration.runtimes.process_memory import container_memory_bytes
from orchestration.runtimes.streams import STDERR, Attachment, LineSplitter

if TYPE_CHECKING:
    from orchestration.engine import Engine

SIGNAL_BASE = 128
SIGKILL_CODE = 137
# The engine may learn of an out-of-memory kill a moment after the process's end.
OOM_REPORT_DELAY_S = 1.0
OOM_POLL_S = 0.05
READER_END_TIMEOUT_S = 10
# A longer line of people's text is shown in pieces.
_MOST_TEXT_BYTES = 1 << 16


class ContainerProcess:
    """One stage in a container.

    Args:
        engine: a connection of its own; closed by `kill`.
        spec: what to run.
        arguments: of the SDK's `containers.create`.
        on_text: takes each line of the stage's stderr, from a thread.
    """

    def __init__(
        self, engine: Engine, spec: StageSpec, arguments: Mapping[str, Any], on_text: Notify
    ) -> None:
        self._engine = engine
        self._mounts = spec.mounts
        self._name = str(arguments["name"])
        self._arguments = dict(arguments)
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._status: ExitStatus | None = None
        self._streams: Attachment | None = None
        self._reader: threading.Thread | None = None
        self._ended = False
        self._container_id = ""
        self._process_id: int | None = None
        try:
            self._container_id = container_id = _create(engine, arguments)
            self._streams = engine.attach(container_id)
            reader = threading.Thread(
                target=_read_streams, args=(self._streams, self._lines, on_text), daemon=True
            )
            reader.start()
            self._reader = reader
            _start(engine, container_id)
        except BaseException:
            self.kill()
            raise

    @property
    def argv(self) -> dict[str, Any]:
        """The arguments of the SDK's `containers.create`."""
        return self._arguments

    def path(self, host_path: Path) -> str:
        """Path under which the stage sees `host_path`."""
        return container_path(self._mounts, host_path)

    def host_text(self, text: str) -> str:
        """`text` with the container's paths replaced by the host's."""
        return host_text(self._mounts, text)

    def send(self, job: Mapping[str, object]) -> None:
        """Write one job line; a container that is gone is no error here."""
        if self._streams is not None and not self._ended:
            with suppress(BrokenPipeError, ConnectionResetError):
                self._streams.write(encode_job(job))

    def events(self) -> Iterator[Event]:
        """Yield event after event until the container closes its output.

        Raises:
            StageCrashed: a line is not an event, or has no end.
        """
        for line in self.lines():
            if len(line) > MOST_LINE_BYTES:
                raise line_too_long(MOST_LINE_BYTES)
            yield decode_event(line)

    def lines(self) -> Iterator[bytes]:
        """Yield line after line of standard output until the container closes it."""
        while (line := self._lines.get()) is not None:
            yield line
        # For whoever asks again.
        self._lines.put(None)

    def close_input(self) -> None:
        """Tell the stage that no more jobs come."""
        if self._streams is not None:
            self._streams.close_input()

    def wait(self) -> ExitStatus:
        """Wait for the end of the container, and ask why it ended."""
        if self._status is None:
            code = self._engine.wait_container(self._name)
            self._status = exit_status(code, self._was_out_of_memory(code))
            if self._reader is not None:
                self._reader.join(READER_END_TIMEOUT_S)
        return self._status

    def memory_bytes(self) -> int | None:
        """Memory of the container's processes, where the engine runs on this machine."""
        if self._ended or not self._engine.is_here:
            return None
        if self._process_id is None:
            self._process_id = int(self._engine.container_state(self._name)["Pid"])
        return container_memory_bytes(self._process_id, self._container_id)

    def kill(self) -> None:
        """Remove the container with everything in it. Safe to call twice."""
        if self._ended:
            return
        self._engine.remove_container(self._name)
        # Only now: a removal that was interrupted can be asked for again.
        self._ended = True
        self._status = self._status or exit_status(SIGKILL_CODE, out_of_memory=False)
        self._release()

    def __enter__(self) -> ContainerProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def _was_out_of_memory(self, code: int) -> bool:
        """Ask the engine, which also says so of a container that lost a child and ended well."""
        deadline = time.monotonic() + (OOM_REPORT_DELAY_S if code == SIGKILL_CODE else 0)
        while True:
            if self._engine.container_state(self._name)["OOMKilled"]:
                return code != 0
            if time.monotonic() >= deadline:
                return False
            time.sleep(OOM_POLL_S)

    def _release(self) -> None:
        if self._streams is not None:
            self._streams.interrupt()
            if self._reader is not None:
                self._reader.join(READER_END_TIMEOUT_S)
            self._streams.close()
        self._lines.put(None)
        self._engine.close()


def exit_status(code: int, out_of_memory: bool) -> ExitStatus:
    """Exit code of a container, whose init process reports a signal as 128 + its number."""
    signal = code - SIGNAL_BASE if code > SIGNAL_BASE else None
    return ExitStatus(code, signal, out_of_memory)


def _create(engine: Engine, arguments: Mapping[str, Any]) -> str:
    try:
        return engine.create_container(arguments)
    except EngineRefused as error:
        if "bind source path does not exist" not in error.happened:
            raise
        raise EngineRefused(
            error.happened,
            "The engine was expected to see this machine's folders.",
            "An engine on another machine, or in a virtual machine without that folder, does not: "
            "use this machine's engine, share the folder with it, or pass `--runtime local`.",
        ) from error


def _start(engine: Engine, container_id: str) -> None:
    try:
        engine.start_container(container_id)
    except EngineRefused as error:
        if "could not select device driver" not in error.happened:
            raise
        raise FeatureUnavailable(
            f"A GPU was asked for, and the engine has none to give: {error.happened}",
            "Docker with the NVIDIA container toolkit was expected.",
            "Install the toolkit and restart Docker, or pass `--device cpu`.",
        ) from error


def _read_streams(
    streams: Attachment, lines: queue.SimpleQueue[bytes | None], on_text: Notify
) -> None:
    """Split both streams into lines until the container closes them; runs in a thread."""
    text, output = LineSplitter(_MOST_TEXT_BYTES), LineSplitter(MOST_LINE_BYTES)
    try:
        for stream, data in streams.frames():
            if stream == STDERR:
                for line in text.feed(data):
                    on_text(line.decode("utf-8", errors="replace"))
            else:
                for line in output.feed(data):
                    lines.put(line)
        for line in text.rest():
            on_text(line.decode("utf-8", errors="replace"))
        for line in output.rest():
            lines.put(line)
    finally:
        lines.put(None)
