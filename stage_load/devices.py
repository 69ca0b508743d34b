"""Chooses the device that a job runs on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

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
    """Compute float32 products in float32: no TF32, no reduced precision, no timing experiments."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def _why_no_cuda() -> str:
    if torch.version.cuda is None:
        return "this torch is built without CUDA"
    return "torch sees no CUDA device"
