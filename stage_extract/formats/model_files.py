"""Protocol buffers in files, as TensorFlow writes them: in bytes (.pb) or as text (.pbtxt)."""

from __future__ import annotations

from typing import TypeVar

from stage_extract.errors import CorruptIndex
from stage_extract.files import open_for_reading
from stage_extract.messages import DecodeError, TextError, parse_text
from stage_extract.messages.either import table_of
from stage_extract.messages.message import Message

_HEAD_SIZE_BYTES = 1024
_SPACES = b"\t\r\n\f"

AnyMessage = TypeVar("AnyMessage", bound=Message)


def is_text(head: bytes) -> bool:
    """Tell text from bytes: every message in bytes begins with a small number or a length."""
    return bool(head) and all(byte >= 32 or byte in _SPACES for byte in head)


def read_message(path: str, message: AnyMessage) -> AnyMessage:
    """Read a file into a message, and give it.

    Raises:
        CorruptIndex: the file holds no message of that kind.
        NotReadable: the operating system refuses.
    """
    with open_for_reading(path) as file:
        content = file.read()
    try:
        if is_text(content[:_HEAD_SIZE_BYTES]):
            parse_text(content.decode("utf-8"), message)
        # protobuf stops at a stray end mark, and only warns of the bytes behind it.
        elif message.ParseFromString(content) != len(content):
            raise DecodeError("there are bytes behind its end")
    except (DecodeError, RuntimeError, TextError, UnicodeDecodeError) as error:
        name = table_of(message).name
        raise CorruptIndex(
            f"{path!r} ({len(content)} bytes) is no {name}: {error}.",
            f"Expected a {name} of TensorFlow 1.x, whole.",
            "Copy the file again from its source: it was cut off, or is something else.",
        ) from error
    return message
