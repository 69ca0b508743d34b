"""Settings of the process that code may change: Python's, numpy's and torch's."""

from __future__ import annotations

import gc
import locale
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.nn.modules import module as torch_module


@contextmanager
def kept_settings() -> Iterator[None]:
    """Give every setting its value back; a value that was not changed is not written."""
    before = [read() for read, _ in _SETTINGS]
    try:
        yield
    finally:
        for (read, write), value in zip(_SETTINGS, before, strict=True):
            if _is_changed(read, value):
                write(value)
        torch.set_default_device(None)
        torch.set_flush_denormal(False)
        # An alarm that still runs would end the process.
        signal.setitimer(signal.ITIMER_REAL, 0)


def _is_changed(read: Callable[[], Any], value: Any) -> bool:
    try:
        return bool(read() != value)
    except (RuntimeError, FileNotFoundError):
        # torch refuses to read a mixture of older and newer switches; a folder may be gone.
        return True


def _read_umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _read_signals() -> dict[signal.Signals | int, Any]:
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


def _write_signals(handlers: dict[signal.Signals | int, Any]) -> None:
    for number, handler in handlers.items():
        if signal.getsignal(number) != handler:
            signal.signal(number, handler)


def _write_environment(variables: dict[str, str]) -> None:
    for name in {*os.environ} - {*variables}:
        del os.environ[name]
    os.environ.update(variables)


def _read_streams() -> tuple[Any, ...]:
    return sys.stdin, sys.stdout, sys.stderr, sys.excepthook, sys.displayhook


def _write_streams(streams: tuple[Any, ...]) -> None:
    sys.stdin, sys.stdout, sys.stderr, sys.excepthook, sys.displayhook = streams


def _read_logging() -> tuple[int, list[logging.Handler], int]:
    return logging.root.level, [*logging.root.handlers], logging.root.manager.disable


def _write_logging(values: tuple[int, list[logging.Handler], int]) -> None:
    level, logging.root.handlers[:], disabled = values
    logging.root.setLevel(level)
    logging.disable(disabled)


def _write_collecting(is_enabled: bool) -> None:
    (gc.enable if is_enabled else gc.disable)()


def _read_hooks() -> dict[str, dict[Any, Any]]:
    """Return the hooks of all modules, as ``register_module_forward_hook`` sets them."""
    hooks = vars(torch_module)
    return {
        name: dict(value)
        for name, value in hooks.items()
        if name.startswith("_global_") and isinstance(value, dict)
    }


def _write_hooks(before: dict[str, dict[Any, Any]]) -> None:
    for name, hooks in before.items():
        registered = getattr(torch_module, name)
        registered.clear()
        registered.update(hooks)


def _attribute(owner: Any, name: str) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    return lambda: getattr(owner, name), lambda value: setattr(owner, name, value)


def _switches() -> Iterator[tuple[Callable[[], Any], Callable[[Any], None]]]:
    """Give torch's switches of precision; the newer ones first, which the older ones set too."""
    backends = torch.backends
    owners = (backends, backends.cudnn, backends.mkldnn, backends.cuda.matmul)
    parts = (getattr(backends.mkldnn, name, None) for name in ("conv", "rnn", "matmul"))
    for owner in (*owners, *parts):
        if hasattr(owner, "fp32_precision"):
            yield _attribute(owner, "fp32_precision")
    for name in ("allow_tf32", "benchmark", "deterministic", "enabled"):
        yield _attribute(backends.cudnn, name)
    yield torch.get_float32_matmul_precision, torch.set_float32_matmul_precision


_SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (os.getcwd, os.chdir),
    (_read_umask, os.umask),
    (lambda: dict(os.environ), _write_environment),
    (_read_signals, _write_signals),
    (_read_streams, _write_streams),
    (_read_logging, _write_logging),
    (lambda: locale.setlocale(locale.LC_ALL), lambda name: locale.setlocale(locale.LC_ALL, name)),
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (gc.isenabled, _write_collecting),
    (gc.get_threshold, lambda thresholds: gc.set_threshold(*thresholds)),
    (np.geterr, lambda kinds: np.seterr(**kinds)),
    (np.get_printoptions, lambda options: np.set_printoptions(**options)),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    (_read_hooks, _write_hooks),
    *_switches(),
)
