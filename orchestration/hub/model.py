"""What `config.json` of a result tells of the model, as sharing it needs it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orchestration.errors import NotShareable
from orchestration.run_record import MODEL_SOURCE
from orchestration.strict_json import decode_json

CONFIG_FILE: Final = "config.json"
MODEL_FILE: Final = "model.safetensors"
# What `PyTorchModelHubMixin.from_pretrained` takes for itself.
_TAKEN: Final = frozenset(
    {
        "cache_dir",
        "force_download",
        "local_files_only",
        "map_location",
        "model_id",
        "revision",
        "strict",
        "token",
    }
)
_NAME: Final = r"[^\W\d]\w*"


@dataclass(frozen=True)
class Transfer:
    """What a model has besides the checkpoint's weights, or has not of them.

    Attributes:
        dtype: other than the checkpoint's, or None.
        frozen: parameters that are not trained.
        initialised: tensors that no variable fills.
        left_out: variables that have no place, as was allowed.
        adapted: tensors that were fitted to another number of channels or classes.
    """

    dtype: str | None
    frozen: tuple[str, ...]
    initialised: tuple[str, ...]
    left_out: tuple[str, ...]
    adapted: tuple[str, ...]

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Transfer:
        """Read it from `config.json`. Raises ValueError, KeyError, TypeError."""
        dtype = given["dtype"]
        return cls(
            dtype=None if dtype is None else _typed(dtype["name"], str),
            frozen=_texts(given["frozen"]),
            initialised=_texts(given["initialised"]["tensors"]),
            left_out=_texts(given["left_out"]),
            adapted=_texts([*_typed(given["adapted"], dict)]),
        )


@dataclass(frozen=True)
class SharedModel:
    """The model of a result.

    Attributes:
        name: "unet", or "file.py:Factory", or "package.module:Factory".
        arguments: of its constructor; of a model of this program, its configuration.
        source: its file below `model_source/`; None = it is installed.
        has_values: numbers besides the tensors are set on its modules.
        transfer: what it has besides the checkpoint's weights.
        inputs: each as `config.json` tells it.
        outputs: the same.
    """

    name: str
    arguments: Mapping[str, Any]
    source: str | None
    has_values: bool
    transfer: Transfer
    inputs: tuple[Mapping[str, Any], ...]
    outputs: tuple[Mapping[str, Any], ...]

    @classmethod
    def read(cls, result: Path) -> SharedModel:
        """Read it from a result folder.

        Raises:
            NotShareable: there is none, or the mixin keeps an argument of its own by that name.
        """
        try:
            config = decode_json((result / CONFIG_FILE).read_bytes())
            model = config["model"]
            found = cls(
                name=_typed(model["name"], str),
                arguments=_typed(model["config"] or {}, dict),
                source=None if model["source"] is None else _typed(model["source"], str),
                has_values=bool(_typed(config["modules"], dict)),
                transfer=Transfer.read(config["transfer"]),
                inputs=tuple(_typed(config["inputs"], list)),
                outputs=tuple(_typed(config["outputs"], list)),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NotShareable(
                f"{result / CONFIG_FILE} tells no model ({type(error).__name__}: {error}).",
                "A result with a model was expected, as stage 2 has written it.",
                "Make one with `orchestrate.py load EXPORT --model NAME`.",
            ) from error
        found._check_arguments()
        return found

    @property
    def is_registered(self) -> bool:
        """Whether it is a model of this program, and no code of its owner's."""
        return ":" not in self.name

    def plain_class(self, result: Path, names: Collection[str]) -> tuple[str, str] | None:
        """Module and class that a mixin can be put beside without anything else.

        None where it would compute something else (numbers on its modules, or a dtype, would be
        missing), or where it is a function, or cannot be imported by a name.

        Args:
            result: the result folder.
            names: of the files that belong to it.
        """
        if self.transfer.dtype is not None:
            return None
        if self.is_registered:
            return _REGISTERED.get(self.name)
        place, _, name = self.name.rpartition(":")
        module, file = place.removesuffix(".py"), f"{MODEL_SOURCE}/{self.source}"
        if self.has_values or file not in names or not _is_path(module) or not _is_path(name):
            return None
        source = (result / file).read_bytes()
        is_class = re.search(rb"^class %s\b" % name.encode(), source, re.MULTILINE)
        return (module, name) if is_class else None

    def _check_arguments(self) -> None:
        taken = sorted(self.arguments.keys() & _TAKEN)
        if taken and not self.is_registered:
            raise NotShareable(
                f"{self.name} takes an argument {taken[0]!r}.",
                "huggingface_hub's from_pretrained keeps some names for itself: "
                f"{', '.join(sorted(_TAKEN))}.",
                "Give the argument another name in the model's code, and convert again.",
            )


# Where the classes of this program's own models lie.
_REGISTERED: Final[Mapping[str, tuple[str, str]]] = {
    "unet": ("stage_load.models.unet.network", "UNet")
}


def _typed(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{value!r:.60} is no {kind.__name__}")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_typed(one, str) for one in _typed(value, list))


def _is_path(name: str) -> bool:
    return re.fullmatch(rf"{_NAME}(\.{_NAME})*", name) is not None
