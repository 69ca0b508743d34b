"""The committed exports, written by CPython 3.7, read by the safetensors library of this Python."""

from __future__ import annotations

import json
from pathlib import Path

import numpy
import pytest
import safetensors.torch
import torch

GOLDEN = Path(__file__).parents[1] / "contract" / "golden"
PATHS = [
    pytest.param(path, id=f"{path.parent.name}-{path.stem}")
    for path in sorted(GOLDEN.glob("*/*.safetensors"))
]


def test_there_are_files():
    assert len(PATHS) == 5


@pytest.mark.parametrize("path", PATHS)
def test_every_tensor_is_read_to_the_byte(path):
    content = path.read_bytes()
    header_size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + header_size])
    del header["__metadata__"]
    tensors = safetensors.torch.load(content)
    assert sorted(tensors) == sorted(header)
    for name, tensor in tensors.items():
        entry = header[name]
        begin, end = (8 + header_size + offset for offset in entry["data_offsets"])
        assert list(tensor.shape) == entry["shape"]
        raw = tensor.reshape(-1).view(torch.uint8).numpy()
        numpy.testing.assert_array_equal(raw, numpy.frombuffer(content[begin:end], numpy.uint8))


@pytest.mark.parametrize("path", PATHS)
def test_the_library_writes_the_same_data(path):
    """Tensors that the library writes again compare equal: nothing was lost in their types."""
    content = path.read_bytes()
    tensors = safetensors.torch.load(content)
    again = safetensors.torch.load(safetensors.torch.save(tensors))
    for name, tensor in tensors.items():
        assert again[name].dtype == tensor.dtype
        raw, raw_again = (one.reshape(-1).view(torch.uint8) for one in (tensor, again[name]))
        assert torch.equal(raw_again, raw), name
