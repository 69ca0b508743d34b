"""What the user asked for, as frozen values.

Built once from the command line; nothing else reads argv.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from orchestration.runtimes.base import Stage

RuntimeName = Literal["auto", "docker", "podman", "apptainer", "local"]
ImageRuntimeName = Literal["docker", "podman", "apptainer"]
TorchVariant = Literal["cpu", "cuda"]
Reader = Literal["auto", "tf", "pure", "both"]

DEFAULT_REFERENCE_MB = 256
DEFAULT_SEED = 0
LARGEST_SEED = 2**32 - 1
DEFAULT_TOLERANCE = 1e-4
CPU_TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
DEFAULT_EXTRACT_BASE_IMAGE = "python:3.7-slim-bookworm"
DEFAULT_LOAD_BASE_IMAGE = "python:3.11-slim-bookworm"


@dataclass(frozen=True)
class RuntimeOptions:
    """How the stages are to be run.

    Attributes:
        name: "auto" takes the first runtime that works.
        device: "auto", "cpu" or "cuda[:n]"; for the load stage only.
        memory_limit_bytes: for each stage; None = no limit.
        legacy_python: a CPython 3.7 for the extract environment of the local runtime.
        load_python: interpreter of an environment that already has torch, used as it is.
        wheelhouse: folder of wheels; with it nothing is fetched from a network.
        torch_variant: which lock the load environment or image is made from.
        requirements: packages of the user's own for the load stage, or None.
        extract_image: image that runs the extract stage in place of the one built here, or None:
            a name, or the path of a SIF file.
        load_image: the same for the load stage.
        unsquash: Apptainer unpacks images at each start, for machines without /dev/fuse.
    """

    name: RuntimeName = "auto"
    device: str = "auto"
    memory_limit_bytes: int | None = None
    legacy_python: Path | None = None
    load_python: Path | None = None
    wheelhouse: Path | None = None
    torch_variant: TorchVariant = "cpu"
    requirements: Path | None = None
    extract_image: str | None = None
    load_image: str | None = None
    unsquash: bool = False


@dataclass(frozen=True)
class ExtractOptions:
    """What stage 1 is to export.

    Attributes:
        step: which step of a folder with several; None = the newest.
        keep_optimizer: export optimizer slots too.
        inputs: tensor names that overrule the inputs found; empty = found ones.
        outputs: the same for outputs.
        input_shapes: tensor name -> shape in TensorFlow's axes.
        reference: run the graph once and record what it computes.
        reference_mb: cap of the recorded layer outputs, in megabytes.
        seed: of the random inputs.
        reader: TensorFlow's code, the one without it, or both; "auto" = TensorFlow's where it runs.
        prefer_ema: export moving averages in place of the variables that they follow.
        tags: of the SavedModel's graph; empty = found ones.
        signature: of the SavedModel; None = the found one.
        checkpoint_format: "V1" or "V2", where both lie at one prefix; None = the newer.
        data_folder: where data shards lie that are not beside their index, or None.
    """

    step: int | None = None
    keep_optimizer: bool = False
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    reference: bool = True
    reference_mb: int = DEFAULT_REFERENCE_MB
    seed: int = DEFAULT_SEED
    reader: Reader = "auto"
    prefer_ema: bool = False
    tags: tuple[str, ...] = ()
    signature: str | None = None
    checkpoint_format: str | None = None
    data_folder: Path | None = None

    def to_job(self) -> dict[str, Any]:
        """The `options` object of an extract or inspect job, with the host's paths."""
        return {
            "step": self.step,
            "keep_optimizer": self.keep_optimizer,
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
            "input_shapes": {name: list(shape) for name, shape in self.input_shapes.items()},
            "reference": self.reference,
            "reference_mb": self.reference_mb,
            "seed": self.seed,
            "reader": self.reader,
            "prefer_ema": self.prefer_ema,
            "tags": list(self.tags),
            "signature": self.signature,
            "checkpoint_format": self.checkpoint_format,
            "data_folder": None if self.data_folder is None else os.fspath(self.data_folder),
        }


@dataclass(frozen=True)
class TransferOptions:
    """What stage 2 is to do beyond loading a checkpoint as it is; patterns are checked there.

    Attributes:
        rules: "REGEX -> NAME", from variables to tensors of the model.
        allow_missing: patterns of tensors that may keep their constructors' values.
        allow_unused: patterns of variables that may have no place.
        adapt: patterns of tensors that may have other input channels or classes.
        freeze: patterns of parameters that are not to be trained.
        dtype: "float16" or "bfloat16"; None = as the checkpoint has it.
    """

    rules: tuple[str, ...] = ()
    allow_missing: tuple[str, ...] = ()
    allow_unused: tuple[str, ...] = ()
    adapt: tuple[str, ...] = ()
    freeze: tuple[str, ...] = ()
    dtype: str | None = None

    def to_job(self) -> dict[str, Any]:
        """These fields of a load job's `options` object."""
        return {
            "rules": list(self.rules),
            "allow_missing": list(self.allow_missing),
            "allow_unused": list(self.allow_unused),
            "adapt": list(self.adapt),
            "freeze": list(self.freeze),
            "dtype": self.dtype,
        }


@dataclass(frozen=True)
class LoadOptions:
    """What stage 2 is to do with an export.

    Attributes:
        model: a name that stage_load knows, or "file.py:Factory".
        model_args: keyword arguments of a user's factory, JSON values.
        map: an edited mapping.csv, or None.
        tolerance: largest accepted difference, relative to the output's scale.
        prove: compare with TensorFlow's reference run.
        transfer: rules by hand, and what the result may lack or shall have besides.
        model_folder: where the package of "package.module:Factory" may lie; None = it is installed.
    """

    model: str
    model_args: Mapping[str, Any] = field(default_factory=dict)
    map: Path | None = None
    tolerance: float = DEFAULT_TOLERANCE
    prove: bool = True
    transfer: TransferOptions = TransferOptions()
    model_folder: Path | None = None


@dataclass(frozen=True)
class ConvertSettings:
    """`orchestrate.py CKPT --model M`."""

    checkpoint: Path
    out: Path
    force: bool
    extract: ExtractOptions
    load: LoadOptions
    runtime: RuntimeOptions


@dataclass(frozen=True)
class ExtractSettings:
    """`orchestrate.py extract CKPT`."""

    checkpoint: Path
    out: Path
    force: bool
    extract: ExtractOptions
    runtime: RuntimeOptions


@dataclass(frozen=True)
class LoadSettings:
    """`orchestrate.py load EXPORT --model M`."""

    export: Path
    out: Path
    force: bool
    load: LoadOptions
    runtime: RuntimeOptions


@dataclass(frozen=True)
class InspectSettings:
    """`orchestrate.py inspect CKPT`."""

    checkpoint: Path
    extract: ExtractOptions
    runtime: RuntimeOptions


@dataclass(frozen=True)
class BuildSettings:
    """`orchestrate.py build`.

    Attributes:
        stages: which images.
        extract_base_image: has CPython 3.7.
        load_base_image: has CPython 3.11.
        wheelhouse: folder of wheels; with it the build needs no network.
        torch_variant: CPU or CUDA torch in the load image.
        no_cache: build every layer anew.
        requirements: packages of the user's own; a further load image gets them.
        runtime: whose images; the name of a runtime.
        from_docker: take the images over that a Docker engine of this machine has.
        torch_index: where torch's CPU build is published; "" = nowhere but where pip looks.
        collect_only: fill the wheelhouse, and build nothing.
        from_archives: for Apptainer: files with images that were saved elsewhere.
        sif_folder: for Apptainer: where its files are put; None = the user's cache folder.
    """

    stages: tuple[Stage, ...] = ("extract", "load")
    extract_base_image: str = DEFAULT_EXTRACT_BASE_IMAGE
    load_base_image: str = DEFAULT_LOAD_BASE_IMAGE
    wheelhouse: Path | None = None
    torch_variant: TorchVariant = "cpu"
    torch_index: str = CPU_TORCH_INDEX
    collect_only: bool = False
    no_cache: bool = False
    requirements: Path | None = None
    runtime: ImageRuntimeName = "docker"
    from_docker: bool = False
    from_archives: tuple[Path, ...] = ()
    sif_folder: Path | None = None
