"""Imports a user's own model: ``file.py:Factory`` or ``package.module:Factory``."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from stage_load.errors import FactoryFailed, UnknownModel
from stage_load.names import nearest

if TYPE_CHECKING:
    from torch import nn

_OWN_MODULE = "stage_load_user_model"


def import_factory(text: str) -> tuple[Callable[[], nn.Module], Path | None]:
    """Return the factory that ``text`` names, and its file if it was named by file.

    Raises:
        UnknownModel: the file, module or name in it does not exist, or needs arguments.
        FactoryFailed: importing raised an exception.
    """
    place, _, name = text.rpartition(":")
    path = Path(place) if place.endswith(".py") else None
    module = _import_module(place) if path is None else _import_file(path)
    value: Any = module
    for part in name.split("."):
        if not hasattr(value, part):
            raise _no_such_name(place, name, value)
        value = getattr(value, part)
    _check_signature(text, value)
    return _checked(text, value), path


def _checked(text: str, factory: Callable[[], Any]) -> Callable[[], nn.Module]:
    """Wrap a factory so that what it raises, or returns, is reported as its own."""

    def make() -> nn.Module:
        from torch import nn

        try:
            module = factory()
        except (Exception, SystemExit) as error:
            raise FactoryFailed(
                f"{text} raised {type(error).__name__}: {error}.",
                "Expected a torch.nn.Module when it is called with no arguments.",
                "Correct the model; its traceback is in the log.",
            ) from error
        if not isinstance(module, nn.Module):
            raise FactoryFailed(
                f"{text} returned a {type(module).__name__}.",
                "Expected a torch.nn.Module.",
                "Return the module from the factory.",
            )
        return module

    make.__name__ = getattr(factory, "__name__", "Factory")
    return make


def _import_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise _import_failed(name, error) from error
        raise UnknownModel(
            f"There is no module {name!r}: {error}.",
            "Expected a module that this environment can import, or a file ending in .py.",
            "Install it in the load stage's environment, or give the model as file.py:Factory.",
        ) from error
    except (Exception, SystemExit) as error:
        raise _import_failed(name, error) from error


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UnknownModel(
            f"There is no file {str(path)!r}.",
            "Expected the Python file that defines the model.",
            "Correct the path in --model file.py:Factory.",
        )
    specification = importlib.util.spec_from_file_location(_OWN_MODULE, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    with _neighbours_of(path):
        # Known by name while it runs: dataclasses look their own module up.
        sys.modules[_OWN_MODULE] = module
        try:
            specification.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            raise _import_failed(path.name, error) from error
    return module


@contextmanager
def _neighbours_of(path: Path) -> Iterator[None]:
    """Let a file import what lies beside it, and forget that again.

    The next job of this process may bring another file with neighbours of the same names.
    """
    folder = str(path.resolve().parent)
    before = set(sys.modules)
    sys.path.insert(0, folder)
    write_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = write_bytecode
        sys.path.remove(folder)
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None) or ""
            if name == _OWN_MODULE or file.startswith(folder):
                del sys.modules[name]


def _check_signature(text: str, factory: Any) -> None:
    if not callable(factory):
        raise UnknownModel(
            f"{text} is a {type(factory).__name__}, which cannot be called.",
            "Expected a class or function that returns a torch.nn.Module.",
            "Name the class or function.",
        )
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        raise UnknownModel(
            f"{text} cannot be called without arguments: {error}.",
            "Expected a class or function that needs none.",
            "Write a function without arguments that calls it with yours, and name that function.",
        ) from error


def _no_such_name(place: str, name: str, value: Any) -> UnknownModel:
    public = [other for other in vars(value) if not other.startswith("_")]
    near = ", ".join(nearest(name, public)) or ", ".join(sorted(public)[:10]) or "none"
    return UnknownModel(
        f"{place} has no {name!r}; nearest: {near}.",
        "Expected a class or function that returns a torch.nn.Module.",
        "Correct the name after the colon.",
    )


def _import_failed(name: str, error: BaseException) -> FactoryFailed:
    return FactoryFailed(
        f"Importing {name} raised {type(error).__name__}: {error}.",
        "Expected a file that imports without errors in the environment of the load stage.",
        "Correct the file, or install what it needs; with the local runtime, --load-python takes "
        "an environment that has it.",
    )
