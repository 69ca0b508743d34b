"""Fills the tensors of a model from a safetensors file, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stage_load.layouts.adapted import Adapted
from stage_load.layouts.folded import Folded
from stage_load.layouts.rule import Constant, Rule
from stage_load.mapping import Row
from stage_load.safetensors_header import TensorEntry
from stage_load.safetensors_reader import SafetensorsReader

TORCH_DTYPES: Mapping[str, torch.dtype] = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "U16": torch.uint16,
    "I16": torch.int16,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "U32": torch.uint32,
    "I32": torch.int32,
    "F32": torch.float32,
    "U64": torch.uint64,
    "I64": torch.int64,
    "F64": torch.float64,
    "C64": torch.complex64,
}
FORMAT_DTYPES: Mapping[torch.dtype, str] = {dtype: name for name, dtype in TORCH_DTYPES.items()}

Filled = Callable[[Row, Tensor], None]


def fill_tensors(
    targets: Mapping[str, Tensor], rows: Sequence[Row], reader: SafetensorsReader, filled: Filled
) -> None:
    """Put every row's values into the tensor it names.

    A tensor takes the dtype of its variable, so that no bit is lost. Bytes reach the device in the
    file's layout and are rearranged there; beside the model, memory is taken for one tensor.

    Args:
        targets: state dict name -> tensor.
        rows: what goes where; rows without a torch tensor are passed over.
        reader: the file of the variables.
        filled: called after each tensor with its last row.
    """
    # Asked for, not touched: what is never staged takes no memory.
    staging = _Staging(reader.largest_bytes)
    ordered = _in_file_order(rows, reader)
    last = {row.torch_name: row for row in ordered}
    with torch.inference_mode(False), torch.no_grad():
        for row in ordered:
            target = targets[row.torch_name or ""]
            if row.tf_name is not None and isinstance(row.rule, Rule):
                entry = reader.entries[row.tf_name]
                _take_dtype(target, TORCH_DTYPES[entry.dtype])
                _fill_from_file(target, row.rule, entry, reader, staging)
            elif row.tf_name is not None and isinstance(row.rule, Folded):
                value = row.rule.apply(reader.read(row.tf_name), reader.read)
                target.copy_(torch.from_numpy(value))
            elif row.tf_name is not None and isinstance(row.rule, Adapted):
                value = row.rule.apply(reader.read(row.tf_name))
                target.copy_(torch.from_numpy(value))
            elif isinstance(row.rule, Constant):
                target[row.rule.part.index] = torch.tensor(row.rule.value).to(target)
            if last[row.torch_name] is row:
                filled(row, target)


def tensor_bytes(tensor: Tensor) -> memoryview:
    """Return the bytes of a tensor in C order, without a copy if it lies contiguous on the CPU."""
    flat = tensor.detach().to("cpu").contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data if flat.numel() else memoryview(b"")


def to_numpy(tensor: Tensor) -> NDArray[Any]:
    """Return a tensor's values as an array; bfloat16, which numpy lacks, as float32."""
    value = tensor.detach()
    if value.dtype == torch.bfloat16:
        value = value.float()
    array: NDArray[Any] = value.to("cpu").numpy()
    return array


def count_non_finite(tensor: Tensor) -> int:
    """Return how many elements are NaN or infinite; 0 for types that have neither."""
    if not tensor.numel() or not (tensor.is_floating_point() or tensor.is_complex()):
        return 0
    values = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    # NaN and infinity reach the extremes, and this needs no memory, unlike isfinite().
    low, high = torch.aminmax(values)
    if bool(torch.isfinite(low)) and bool(torch.isfinite(high)):
        return 0
    return sum(int((~torch.isfinite(piece)).sum()) for piece in _pieces(values.reshape(-1)))


def set_module_values(model: nn.Module, settings: Mapping[str, Mapping[str, float]]) -> None:
    """Set numbers such as ``eps`` and ``momentum`` on modules, by path."""
    for path, values in settings.items():
        module = model.get_submodule(path)
        for name, value in values.items():
            setattr(module, name, value)


class _Staging:
    """Memory for one tensor in the file's layout, asked for when it is first needed."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._memory: Tensor | None = None

    def bytes(self, count: int) -> Tensor:
        """Return ``count`` bytes of it, as uint8 [count]."""
        if self._memory is None:
            self._memory = torch.empty(self._size_bytes, dtype=torch.uint8, device="cpu")
        return self._memory[:count]


def _in_file_order(rows: Iterable[Row], reader: SafetensorsReader) -> list[Row]:
    # A constant may be a part of a tensor whose dtype a variable decides.
    behind = max((entry.begin for entry in reader.entries.values()), default=0) + 1

    def position(row: Row) -> int:
        return behind if row.tf_name is None else reader.entries[row.tf_name].begin

    return sorted((row for row in rows if row.torch_name is not None), key=position)


def _reads_in_place(target: Tensor, rule: Rule, shape: Sequence[int]) -> bool:
    return target.device.type == "cpu" and target.is_contiguous() and rule.recipe(shape).is_copy


def _take_dtype(target: Tensor, dtype: torch.dtype) -> None:
    if target.dtype != dtype:
        if not (dtype.is_floating_point or dtype.is_complex):
            target.requires_grad_(False)
        # Through .data, so that the module and every tied name keep the same Parameter.
        target.data = torch.empty(target.shape, dtype=dtype, device=target.device)


def _fill_from_file(
    target: Tensor, rule: Rule, entry: TensorEntry, reader: SafetensorsReader, staging: _Staging
) -> None:
    if not entry.size_bytes:
        return
    if _reads_in_place(target, rule, entry.shape):
        memory = target.reshape(-1).view(torch.uint8).numpy()
        reader.read_into(entry, memory.data)
        return
    recipe = rule.recipe(entry.shape)
    staged = staging.bytes(entry.size_bytes)
    reader.read_into(entry, staged.numpy().data)
    source = staged.view(target.dtype).view(recipe.source_view).to(target.device)
    source = source[recipe.source_index].permute(recipe.permutation)
    # Splitting axes is always a view, also of a part or of a tensor that is not contiguous.
    part = target[rule.part.index].view(recipe.target_view)
    for to, of, number in recipe.steps:
        part[to] = source[of]
        if number:
            part[to] += number


def _pieces(flat: Tensor) -> Iterator[Tensor]:
    piece = 1 << 20
    for begin in range(0, flat.numel(), piece):
        yield flat[begin : begin + piece]
