"""Writes ``model.safetensors`` while the model is still being loaded.

A thread checks each tensor for NaN and infinity and writes it as soon as it is filled; both leave
the interpreter to the loading. Nothing is copied for a model on the CPU, and one tensor at a time
for a model on a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor

from stage_load.result_files import MODEL_METADATA
from stage_load.safetensors_header import ITEM_BYTES
from stage_load.safetensors_writer import SafetensorsWriter
from stage_load.tensors import count_non_finite, tensor_bytes

_BATCH_BYTES = 4 << 20
_BATCH_TENSORS = 1000
"""Small tensors are handed over together."""


class ModelWriter:
    """Takes tensors as they are filled. Use it in a ``with`` statement.

    Attributes:
        non_finite: torch name -> number of elements that are NaN or infinite; complete when the
            block has been left.
    """

    def __init__(self, path: Path, layout: Sequence[tuple[str, str, tuple[int, ...]]]) -> None:
        """Lay the file out.

        Args:
            path: of the complete file.
            layout: name, dtype as the format calls it, and shape of all that will be written.

        Raises:
            DiskFull: there is no room for the whole file.
            OutputNotWritable: the folder cannot be written to.
        """
        # Wide types first, so that each tensor starts at a multiple of its element's size.
        ordered = sorted(layout, key=lambda entry: (-ITEM_BYTES[entry[1]], entry[0]))
        self.non_finite: dict[str, int] = {}
        self._batch: list[tuple[tuple[str, ...], Tensor]] = []
        self._batch_bytes = 0
        self._pending: list[Future[None]] = []
        with ExitStack() as opened:
            self._writer = opened.enter_context(SafetensorsWriter(path, ordered, MODEL_METADATA))
            self._thread = opened.enter_context(ThreadPoolExecutor(1, "model-writer"))
            self._opened = opened.pop_all()

    def add(self, names: Sequence[str], tensor: Tensor) -> None:
        """Hand a filled tensor over, under all its names. It must not change any more."""
        self._batch.append((tuple(names), tensor))
        self._batch_bytes += tensor.numel() * tensor.element_size()
        if self._batch_bytes >= _BATCH_BYTES or len(self._batch) >= _BATCH_TENSORS:
            self._hand_over()

    def __enter__(self) -> ModelWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._opened:
            if kind is not None:
                self._thread.shutdown(cancel_futures=True)
                self._opened.pop_all().__exit__(kind, error, traceback)
                return
            self._hand_over()
            for future in self._pending:
                future.result()

    def _hand_over(self) -> None:
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        if self._pending and self._pending[-1].done():
            self._pending[-1].result()
        self._pending.append(self._thread.submit(self._write, batch))

    def _write(self, batch: Sequence[tuple[tuple[str, ...], Tensor]]) -> None:
        with torch.inference_mode():
            for names, tensor in batch:
                count = count_non_finite(tensor)
                if count:
                    self.non_finite[names[0]] = count
                data = tensor_bytes(tensor)
                for name in names:
                    self._writer.write(name, data)
