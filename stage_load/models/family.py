"""What a model of the registry provides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from torch import Tensor, nn

    from stage_load.export_view import ExportView


class ModelConfig(Protocol):
    """What tells one instance of a model from another, as plain data."""

    def to_json(self) -> dict[str, Any]:
        """Return the configuration as JSON values."""


Config = TypeVar("Config", bound=ModelConfig)


class ModelFamily(Protocol[Config]):
    """One model of the registry: reads its configuration from an export, and builds itself."""

    def configure(self, export: ExportView) -> Config:
        """Read the configuration from the graph, or from names and shapes without one.

        Raises:
            ModelDoesNotFit: the export is no such model; names the first operation that differs.
        """

    def config_from_json(self, values: Mapping[str, Any]) -> Config:
        """Read back what ``ModelConfig.to_json`` wrote."""

    def build(self, config: Config) -> nn.Module:
        """Build the module; its parameters are filled afterwards."""

    def example_inputs(self, config: Config) -> tuple[Tensor, ...]:
        """Return small inputs that the module accepts, on the CPU, rank 4 as NCHW."""

    def names(self, export: ExportView, config: Config) -> Mapping[str, str | None]:
        """Return the torch name of the variables that the model can place by itself.

        ``None`` leaves a variable out on purpose. What is not named is left to the alignment.
        """

    def assumptions(self, config: Config) -> Sequence[str]:
        """Return, as sentences for the user, what the export could not tell and was assumed."""
