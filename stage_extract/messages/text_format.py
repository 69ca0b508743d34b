"""placeholder"""
from typing import Any


class TextError(ValueError):
    pass


def parse_text(text: str, message: Any) -> None:
    raise TextError
