"""Chooses the device that a job runs on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from stage_load.errors import DeviceUnavailable

AUTO = "auto"
_CUDA = re.compile(r"cuda(?::([0-9]+))?")


@dataclass(frozen=True)
class DeviceChoice:
    """A device, and a note for the user when it is not what they may have hoped for."""

    device: torch.device
    note: str | None


def choose_device(wanted: str) -> DeviceChoice:
    """Return the device for ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.

    Only ``"auto"`` falls back to the CPU, and says so.

    Raises:
        DeviceUnavailable: a CUDA device was asked for by name and is not there.
    """
    if wanted == "cpu":
        return DeviceChoice(torch.device("cpu"), None)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == AUTO:
        if count:
            return DeviceChoice(torch.device("cuda:0"), None)
        return DeviceChoice(
            torch.device("cpu"), f"no CUDA device ({_why_no_cuda()}); ran on the CPU"
        )
    match = _CUDA.fullmatch(wanted)
    if match is None:
        raise DeviceUnavailable(
            f"The device {wanted!r} is not known.",
            "Expected auto, cpu, cuda or cuda:N.",
            "Give one of these to --device.",
        )
    index = int(match[1] or 0)
    if index >= count:
        found = _why_no_cuda()
        if count:
            found = "1 CUDA device was found" if count == 1 else f"{count} CUDA devices were found"
        raise DeviceUnavailable(
            f"The device {wanted!r} is not there: {found}.",
            "Expected a CUDA device of that number.",
            "Use --device auto or cpu, or give this process a GPU and a torch built for CUDA.",
        )
    return DeviceChoice(torch.device("cuda", index), None)


def describe_device() -> dict[str, str | bool | int]:
    """Return what the ``ready`` event says of the devices."""
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        return {"cuda": True, "name": torch.cuda.get_device_name(0), "count": count}
    return {"cuda": False, "name": "cpu", "count": 0}


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute float32 products in float32: no TF32, no bfloat16, no timing experiments.

    Afterwards everything is as before. Where a model's file has set torch's newer switches, torch
    refuses to read the older ones, and float32 stays.
    """
    switches = [
        *_SWITCHES,
        *((owner, "fp32_precision", "ieee") for owner in _without_older_switch()),
    ]
    try:
        matmul = torch.get_float32_matmul_precision()
        before = [getattr(owner, name) for owner, name, _ in switches]
    except RuntimeError:
        matmul, before = None, []
    try:
        torch.set_float32_matmul_precision("highest")
        for owner, name, value in switches:
            setattr(owner, name, value)
        yield
    finally:
        if matmul is not None:
            torch.set_float32_matmul_precision(matmul)
        for (owner, name, _), value in zip(switches, before, strict=False):
            setattr(owner, name, value)


_SWITCHES: Sequence[tuple[Any, str, Any]] = (
    # The older switches set the newer ones as well; the newer ones alone leave a mixture.
    (torch.backends.cudnn, "allow_tf32", False),
    (torch.backends.cudnn, "benchmark", False),
    (torch.backends.cudnn, "deterministic", True),
)


def _without_older_switch() -> list[Any]:
    """Return what only the newer switches of torch 2.9 reach, most general first."""
    cpu = torch.backends.mkldnn
    owners: list[Any] = [torch.backends, torch.backends.cudnn]
    owners += [getattr(cpu, name, None) for name in ("conv", "rnn")]
    return [owner for owner in owners if hasattr(owner, "fp32_precision")]


def _why_no_cuda() -> str:
    if torch.version.cuda is None:
        return "this torch is built without CUDA"
    return "torch sees no CUDA device"
