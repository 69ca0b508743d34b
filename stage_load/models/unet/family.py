"""The UNet as an entry of the model registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from stage_load.export_view import ExportView
from stage_load.models.unet.assembling import read_configuration
from stage_load.models.unet.config import UNetConfig
from stage_load.models.unet.network import UNet
from stage_load.models.unet.without_graph import guess


class UNetFamily:
    """Reads a UNet's configuration from an export and builds the module."""

    def configure(self, export: ExportView) -> UNetConfig:
        """Read the configuration from the graph; without one, guess it from names and shapes.

        Raises:
            ModelDoesNotFit: the export is no UNet of this family; names the first op that differs.
        """
        return read_configuration(export) if export.nodes else guess(export).config

    def config_from_json(self, values: Mapping[str, Any]) -> UNetConfig:
        """Read back what ``UNetConfig.to_json`` wrote."""
        return UNetConfig.from_json(values)

    def build(self, config: UNetConfig) -> UNet:
        """Build the module; its parameters are filled afterwards."""
        return UNet(config)

    def example_inputs(self, config: UNetConfig) -> tuple[Tensor, ...]:
        """Return one black image [1, in_channels, H, W] of a size that the network accepts."""
        return (torch.zeros(1, config.in_channels, *config.sample_size),)

    def names(self, export: ExportView, config: UNetConfig) -> Mapping[str, str | None]:
        """Return the torch names that were guessed; with a graph the alignment finds them all."""
        return guess(export).names if config.evidence == "guessed" else {}

    def assumptions(self, config: UNetConfig) -> Sequence[str]:
        """Return what the checkpoint could not tell."""
        return config.assumptions
