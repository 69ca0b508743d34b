"""What the ledger tells about one attempt at one item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, Literal, cast, get_args

from orchestration.batch.owner import BatchOwner

State = Literal["running", "done", "failed", "skipped", "released"]
FORMAT = "tf1-to-torch-ledger"
VERSION = 1
_BEYOND = 1e300
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True)
class Failure:
    """Why an item failed, in the words of the single command.

    Attributes:
        class_name: of the error.
        exit_code: that the single command would end with.
        happened: what happened.
        expected: what was expected.
        remedy: what to do.
    """

    class_name: str
    exit_code: int
    happened: str
    expected: str
    remedy: str


@dataclass(frozen=True)
class Record:
    """One attempt at an item.

    Attributes:
        name: of the item.
        attempt: 1, 2, …
        state: "running" until its owner writes another one; "released" = given back undone.
        owner: who works, or worked, on it.
        started: when it was begun, ISO 8601 in UTC.
        ended: when it ended, or None.
        size_bytes: of the checkpoint.
        failure: why it failed, or None.
        log: what the stages said, relative to the batch's output folder, or None.
        result: figures of the result: verdict, parity, times, memory; see `Figures` of whoever
            finishes it.
        seen: state of the files that the result was made from and consists of, see `done_check`.
    """

    name: str
    attempt: int
    state: State
    owner: BatchOwner
    started: str
    ended: str | None = None
    size_bytes: int = 0
    failure: Failure | None = None
    log: str | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    seen: Mapping[str, Any] = field(default_factory=dict)

    def ended_as(self, state: State, **changes: Any) -> Record:
        """This attempt with its end."""
        return replace(self, state=state, ended=now(), **changes)

    def to_json(self) -> dict[str, Any]:
        """As `from_json` takes it."""
        return {
            **vars(self),
            "format": FORMAT,
            "version": VERSION,
            "owner": self.owner.to_json(),
            "failure": None if self.failure is None else vars(self.failure),
            "result": dict(self.result),
            "seen": dict(self.seen),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Record:
        """The record in a ledger's file.

        Raises:
            ValueError: it is not one of this version.
        """
        if (value.get("format"), value.get("version")) != (FORMAT, VERSION):
            raise ValueError(f"no record of version {VERSION}")
        try:
            if value["state"] not in STATES:
                raise ValueError(f"unknown state {value['state']!r}")
            _check_numbers(value)
            return cls(
                name=_of_type(str, value["name"]),
                attempt=_of_type(int, value["attempt"]),
                state=cast(State, value["state"]),
                owner=BatchOwner.from_json(value["owner"]),
                started=_time(value["started"]),
                ended=None if value["ended"] is None else _time(value["ended"]),
                size_bytes=_of_type(int, value["size_bytes"]),
                failure=_failure(value["failure"]),
                log=_optional_text(value["log"]),
                result=_of_type(dict, value["result"]),
                seen=_of_type(dict, value["seen"]),
            )
        except KeyError as error:
            raise ValueError(f"{error} is missing") from error


def now() -> str:
    """The time, ISO 8601 in UTC, to the millisecond. For people: machines' clocks differ."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _failure(value: Any) -> Failure | None:
    if value is None:
        return None
    _of_type(dict, value)
    texts = {name: _of_type(str, value[name]) for name in ("happened", "expected", "remedy")}
    return Failure(_of_type(str, value["class_name"]), _of_type(int, value["exit_code"]), **texts)


def _time(value: Any) -> str:
    """A time as `now` writes it, or a ValueError."""
    text = str(_of_type(str, value))
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError(f"{text!r} tells no time zone")
    return text


def _check_numbers(value: Any) -> None:
    """Refuse numbers beyond all sizes and times: nobody can show them, nor compute with them."""
    left = [value]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            left += part.values()
        elif isinstance(part, list):
            left += part
        elif isinstance(part, int | float) and not -_BEYOND < part < _BEYOND:
            raise ValueError("a number is beyond all sizes and times")


def _optional_text(value: Any) -> str | None:
    return None if value is None else _of_type(str, value)


def _of_type(kind: type[Any], value: Any) -> Any:
    if type(value) is not kind:
        raise ValueError(f"{value!r} is no {kind.__name__}")
    return value
