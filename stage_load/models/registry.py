"""The models that a user can name, and the user's own models.

A name of ``MODELS`` gives a model that reads its configuration from the export. ``file.py:Factory``
and ``package.module:Factory`` give whatever that factory returns when it is called with the user's
arguments.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from stage_load.errors import ModelArgumentsInvalid, UnknownModel
from stage_load.models.factory import OwnFactory, import_factory
from stage_load.models.family import ModelFamily

if TYPE_CHECKING:
    from torch import Tensor, nn

    from stage_load.export_view import ExportView

MODELS: Mapping[str, str] = MappingProxyType({"unet": "stage_load.models.unet.family:UNetFamily"})
"""Name -> where its ``ModelFamily`` is defined; imported when it is asked for."""


@dataclass(frozen=True)
class PreparedModel:
    """A model that is ready to be built.

    Attributes:
        name: as ``config.json`` records it.
        config: its configuration as JSON; of a user's own model the arguments of its factory, or
            ``None`` without any.
        source: the file of a user's own model, or ``None`` where it is installed.
        folder: where that file, or its package, lies.
        build: makes the module.
        example_inputs: makes inputs that it accepts, or ``None`` where none are known.
        names: what the model itself says of variables: TF name -> torch name, or ``None`` to leave
            the variable out.
        assumptions: what the export could not tell, as sentences.
        is_registered: whether it is of ``MODELS``, and no code of a user's.
        neighbours: files beside the source that it imports; complete once the model is built.
    """

    name: str
    config: Mapping[str, Any] | None
    source: Path | None
    build: Callable[[], nn.Module]
    example_inputs: Callable[[], tuple[Tensor, ...]] | None
    names: Mapping[str, str | None] = field(default_factory=dict)
    assumptions: tuple[str, ...] = ()
    folder: Path | None = None
    neighbours: Collection[Path] = ()
    is_registered: bool = False


class Model(Protocol):
    """A model that was found, before it has seen an export."""

    def check_arguments(self, arguments: Mapping[str, Any]) -> None:
        """Look at the arguments that the user gives for the model.

        Raises:
            ModelArgumentsInvalid: it takes others, or none.
        """

    def prepare(self, export: ExportView, arguments: Mapping[str, Any]) -> PreparedModel:
        """Read the configuration from an export, or take the user's arguments for it.

        Raises:
            ModelArgumentsInvalid: as ``check_arguments``.
            ModelDoesNotFit: the export is no instance of this model.
            ExportDamaged: its graph contradicts itself.
        """

    def restore(self, config: Mapping[str, Any] | None) -> PreparedModel:
        """Take the configuration from ``config.json``."""


def find_model(name: str, folder: Path | None = None) -> Model:
    """Return the model of that name.

    Args:
        name: of ``MODELS``, or a user's own.
        folder: looked into for a user's package before the environment's own.

    Raises:
        UnknownModel: there is none; names the nearest.
        FactoryFailed: the user's file cannot be imported.
    """
    if name in MODELS:
        module, _, attribute = MODELS[name].partition(":")
        family: ModelFamily[Any] = getattr(importlib.import_module(module), attribute)()
        return _RegisteredModel(name, family)
    if ":" in name:
        own = import_factory(name, folder)
        place = name.rpartition(":")[0]
        return _OwnModel(name if own.is_package else f"{Path(place).name}:{own.name}", own)
    near = difflib.get_close_matches(name, MODELS, n=3, cutoff=0.4) or sorted(MODELS)
    raise UnknownModel(
        f"There is no model {name!r}; nearest: {', '.join(near)}.",
        f"Known models: {', '.join(sorted(MODELS))}.",
        "Give one of these, or your own as file.py:Factory or package.module:Factory.",
    )


@dataclass(frozen=True)
class _RegisteredModel:
    name: str
    family: ModelFamily[Any]

    def check_arguments(self, arguments: Mapping[str, Any]) -> None:
        if arguments:
            raise ModelArgumentsInvalid(
                f"The model {self.name!r} was given the arguments {', '.join(arguments)}.",
                "It takes none: it reads its configuration from the graph.",
                "Leave --model-arg and --model-args out, or give a model of your own.",
            )

    def prepare(self, export: ExportView, arguments: Mapping[str, Any]) -> PreparedModel:
        # Only here: who loads a result again needs nothing of the contract.
        from stage_load.damaged_graph import reading_graph

        self.check_arguments(arguments)
        with reading_graph(f"the model {self.name!r}"):
            config = self.family.configure(export)
            return self._with(config, self.family.names(export, config))

    def restore(self, config: Mapping[str, Any] | None) -> PreparedModel:
        return self._with(self.family.config_from_json(config or {}), {})

    def _with(self, config: Any, names: Mapping[str, str | None]) -> PreparedModel:
        return PreparedModel(
            name=self.name,
            config=config.to_json(),
            source=None,
            build=lambda: self.family.build(config),
            example_inputs=lambda: self.family.example_inputs(config),
            names=names,
            assumptions=tuple(self.family.assumptions(config)),
            is_registered=True,
        )


@dataclass(frozen=True)
class _OwnModel:
    name: str
    own: OwnFactory

    def check_arguments(self, arguments: Mapping[str, Any]) -> None:
        self.own.check_arguments(arguments)

    def prepare(self, export: ExportView, arguments: Mapping[str, Any]) -> PreparedModel:
        del export
        return self.restore(arguments)

    def restore(self, config: Mapping[str, Any] | None) -> PreparedModel:
        arguments = config or {}
        self.check_arguments(arguments)
        return PreparedModel(
            name=self.name,
            config=arguments or None,
            source=self.own.source,
            folder=self.own.folder,
            build=lambda: self.own.make(arguments),
            example_inputs=None,
            neighbours=self.own.neighbours,
        )
