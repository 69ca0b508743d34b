"""The standard streams of a container: one connection, stdout and stderr interleaved."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from typing import Any

STDOUT = 1
STDERR = 2
# Docker Engine API, "Attach to a container": stream, three zero bytes, size of the payload.
FRAME_HEADER = struct.Struct(">BxxxL")


class Attachment:
    """Standard input, output and error of one container.

    Args:
        stream: what the SDK's `attach_socket` returned.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        # The SDK hands out a read-only file object around the socket.
        self._socket: socket.socket = getattr(stream, "_sock", stream)
        # The SDK's timeout is meant for answers; a stage may well be silent for longer.
        self._socket.settimeout(None)

    def write(self, data: bytes) -> None:
        """Send to standard input. Raises OSError when the container is gone."""
        self._socket.sendall(data)

    def close_input(self) -> None:
        """Give the container the end of its standard input; its output still arrives."""
        self._shutdown(socket.SHUT_WR)

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Yield (`STDOUT` or `STDERR`, bytes) until the container closes both."""
        while header := self._receive(FRAME_HEADER.size):
            stream, size_bytes = FRAME_HEADER.unpack(header)
            yield stream, self._receive(size_bytes)

    def interrupt(self) -> None:
        """Make a thread that waits in `frames` go on."""
        self._shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the connection up."""
        # The SDK keeps the HTTP response on the file object; it has to go first, it flushes.
        response = getattr(self._stream, "_response", None)
        if response is not None:
            response.close()
        self._stream.close()
        self._socket.close()

    def _receive(self, size_bytes: int) -> bytes:
        """Exactly so many bytes; none when the connection ends before."""
        received = bytearray()
        while len(received) < size_bytes:
            try:
                piece = self._socket.recv(size_bytes - len(received))
            except ConnectionResetError:
                piece = b""
            if not piece:
                return b""
            received += piece
        return bytes(received)

    def _shutdown(self, direction: int) -> None:
        try:
            self._socket.shutdown(direction)
        except OSError as error:
            if error.errno not in (errno.ENOTCONN, errno.EBADF):
                raise


class LineSplitter:
    """Turns pieces of a stream into lines. Pieces of a long line are joined once, at its end.

    Args:
        limit_bytes: a line that is longer is cut where the piece ends that exceeds it.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._pieces: list[bytes] = []
        self._size_bytes = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that `data` completes, without their newline."""
        *ends, rest = data.split(b"\n")
        for end in ends:
            yield self._joined(end)
        if self._size_bytes + len(rest) > self._limit_bytes:
            yield self._joined(rest)
        else:
            self._pieces.append(rest)
            self._size_bytes += len(rest)

    def rest(self) -> Iterator[bytes]:
        """Yield the last line if it has no newline."""
        last = self._joined(b"")
        if last:
            yield last

    def _joined(self, end: bytes) -> bytes:
        line = b"".join([*self._pieces, end])
        self._pieces.clear()
        self._size_bytes = 0
        return line
