"""Imports a user's own model: ``file.py:Factory`` or ``package.module:Factory``."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from stage_load.errors import FactoryFailed, UnknownModel
from stage_load.models.arguments import check_arguments
from stage_load.models.neighbours import OWN_MODULE, neighbours_of
from stage_load.names import nearest

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class OwnFactory:
    """A user's factory.

    Attributes:
        text: as it was named, for messages.
        name: what stands after the colon.
        factory: what it names.
        folder: where its file, or its package, lies; ``None`` for what the environment has.
        source: its file in that folder.
        neighbours: further files there that it has imported so far, absolute.
    """

    text: str
    name: str
    factory: Callable[..., Any]
    folder: Path | None
    source: Path | None
    neighbours: set[Path]

    @property
    def is_package(self) -> bool:
        """Whether it was named by module, and not by file."""
        return not self.text.rpartition(":")[0].endswith(".py")

    def check_arguments(self, arguments: Mapping[str, Any]) -> None:
        """Compare keyword arguments with the factory's signature.

        Raises:
            ModelArgumentsInvalid: arguments are unknown or missing.
        """
        check_arguments(self.text, self.factory, arguments)

    def make(self, arguments: Mapping[str, Any]) -> nn.Module:
        """Call the factory; what it raises, or returns, is reported as its own.

        Args:
            arguments: handed over by name, as a copy that the factory may change.

        Raises:
            FactoryFailed: it raised, or returned no module.
        """
        from torch import nn

        package = self.text.split(".")[0] if self.is_package else OWN_MODULE
        try:
            with _beside(self.folder, self.neighbours, package):
                module = self.factory(**copy.deepcopy(dict(arguments)))
        except (Exception, SystemExit) as error:
            raise FactoryFailed(
                f"{self.text} raised {type(error).__name__}: {error}.",
                f"Expected a torch.nn.Module when it is called with {_shown(arguments)}.",
                "Correct the model, or the arguments that are given for it.",
            ) from error
        if not isinstance(module, nn.Module):
            raise FactoryFailed(
                f"{self.text} returned a {type(module).__name__}.",
                "Expected a torch.nn.Module.",
                "Return the module from the factory.",
            )
        return module


def import_factory(text: str, folder: Path | None = None) -> OwnFactory:
    """Return the factory that ``text`` names.

    Args:
        text: file.py:Factory, or package.module:Factory.
        folder: looked into for the package before the environment's own.

    Raises:
        UnknownModel: the file, module or name in it does not exist, or is nothing to call.
        FactoryFailed: importing raised an exception.
    """
    place, _, name = text.rpartition(":")
    neighbours: set[Path] = set()
    source: Path | None
    if place.endswith(".py"):
        source = Path(place)
        folder = source.resolve().parent
        value: Any = _import_file(source, neighbours)
    else:
        value = _import_module(place, folder, neighbours)
        file = getattr(value, "__file__", None)
        source = Path(file).resolve() if file else None
        if source not in neighbours:
            source = folder = None
    for part in name.split("."):
        if not hasattr(value, part):
            raise _no_such_name(place, name, value)
        value = getattr(value, part)
    if not callable(value):
        raise UnknownModel(
            f"{text} is a {type(value).__name__}, which cannot be called.",
            "Expected a class or function that returns a torch.nn.Module.",
            "Name the class or function.",
        )
    return OwnFactory(text, name, value, folder, source, neighbours)


def _beside(
    folder: Path | None, neighbours: set[Path], package: str
) -> AbstractContextManager[None]:
    return nullcontext() if folder is None else neighbours_of(folder, neighbours, package)


def _import_module(name: str, folder: Path | None, neighbours: set[Path]) -> ModuleType:
    try:
        with _beside(folder, neighbours, name.split(".")[0]):
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise _import_failed(name, error) from error
        raise UnknownModel(
            f"There is no module {name!r}: {error}.",
            "Expected a package in the current folder, one that the load stage's environment has, "
            "or a file ending in .py.",
            "Run where the package lies, name what it is installed from with --requirements, or "
            "give the model as file.py:Factory.",
        ) from error
    except (Exception, SystemExit) as error:
        raise _import_failed(name, error) from error


def _import_file(path: Path, neighbours: set[Path]) -> ModuleType:
    if not path.is_file():
        raise UnknownModel(
            f"There is no file {str(path)!r}.",
            "Expected the Python file that defines the model.",
            "Correct the path in --model file.py:Factory.",
        )
    specification = importlib.util.spec_from_file_location(OWN_MODULE, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    with neighbours_of(path.resolve().parent, neighbours):
        # Known by name while it runs: dataclasses look their own module up.
        sys.modules[OWN_MODULE] = module
        try:
            specification.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            raise _import_failed(path.name, error) from error
    return module


def _shown(arguments: Mapping[str, Any]) -> str:
    """Return arguments as a sentence has them."""
    texts = (f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in arguments.items())
    return ", ".join(texts) or "no arguments"


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
        "Correct the file, or name the packages that it needs with --requirements; "
        "--load-python takes an environment that has them.",
    )
