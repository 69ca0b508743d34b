"""The 20 lines of Python that archives hold read what the safetensors library wrote, all of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

READER = Path(__file__).resolve().parents[2] / "orchestration/archive/read_safetensors.txt"
# Runs the program as it is, and then tells everything that it reads, bit for bit.
READ_ALL = """
import json, runpy, sys
arrays = runpy.run_path(sys.argv.pop(1))["arrays"]
def told(number):
    return [part.hex() for part in number] if isinstance(number, tuple) else (
        number.hex() if isinstance(number, float) else number)
print(json.dumps({name: [shape, [told(n) for n in numbers]] for name, shape, numbers
                  in arrays(sys.argv[1])}))
"""
DTYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.complex64,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_number_is_read(dtype: torch.dtype, tmp_path: Path) -> None:
    values = torch.tensor([[[0, 1, 2], [3, 100, 5]]]).to(dtype)
    if dtype.is_floating_point:
        values[0, 0] = torch.tensor([-0.1, float("inf"), 6e-8]).to(dtype)
    none = torch.zeros(0, 4, dtype=dtype)
    tensors = {"w/ü 1": values, "none": none, "one": values[0, 1, 1].clone()}
    file = tmp_path / "x.safetensors"
    save_file(tensors, file, metadata={"what": "a remark"})
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", READ_ALL, os.fspath(READER), os.fspath(file)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
        env={"PYTHONUTF8": "1"},
    )
    read = json.loads(run.stdout.splitlines()[-1])
    assert read == {
        name: [list(tensor.shape), [told(number) for number in tensor.flatten().tolist()]]
        for name, tensor in load_file(file).items()
    }


def told(number: complex) -> object:
    """A number as `READ_ALL` prints it."""
    if isinstance(number, complex):
        return [number.real.hex(), number.imag.hex()]
    return number.hex() if isinstance(number, float) else number
