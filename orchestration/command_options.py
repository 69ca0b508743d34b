"""The command line's parts: its default command, options in groups, the settings made of them."""

from __future__ import annotations

import difflib
import glob
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from orchestration import option_types
from orchestration import settings as s
from orchestration.model_arguments import merged, model_argument, model_arguments_file
from orchestration.own_packages import requirements_file
from orchestration.runtimes.registry import RUNTIMES

Command = Callable[..., int]
DEFAULT_COMMAND = "convert"
EXISTING_FILE = click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path)
EXISTING_FOLDER = click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path)


class DefaultCommandGroup(click.Group):
    """A group whose default command may be left out: `orchestrate.py CKPT --model unet`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command first where neither a command nor the group's option stands."""
        own_options = {name for param in self.get_params(ctx) for name in param.opts}
        if args and args[0] not in self.commands and args[0] not in own_options:
            meant = difflib.get_close_matches(args[0], self.commands, n=1, cutoff=0.8)
            # A prefix of files is a checkpoint, too.
            if meant and not glob.glob(f"{glob.escape(args[0])}*"):
                raise click.UsageError(
                    f"No such command {args[0]!r}. Did you mean {meant[0]!r}?", ctx
                )
            args = [DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)


def with_options(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options as one decorator, listed by `--help` in this order."""

    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def _model_option(*, required: bool, more_help: str = "") -> Callable[[Command], Command]:
    return click.option(
        "--model",
        type=option_types.model,
        metavar="NAME",
        required=required,
        help=f"unet, or your own: file.py:Factory or package.module:Factory.{more_help}",
    )


device_option = click.option(
    "--device",
    type=option_types.device,
    metavar="DEVICE",
    default="auto",
    show_default=True,
    help="auto, cpu or cuda[:n]; auto takes a GPU if there is one.",
)
_how_to_load = with_options(
    click.option(
        "--model-arg",
        "model_arguments",
        type=model_argument,
        multiple=True,
        metavar="NAME=VALUE",
        help="Argument of your factory. VALUE is JSON (3, [8,16], true, null); what is no JSON is"
        ' text (unet), and so is a quoted "3".',
    ),
    click.option(
        "--model-args",
        "model_arguments_file",
        type=model_arguments_file,
        metavar="FILE",
        help="JSON object of arguments; --model-arg overrules it.",
    ),
    click.option(
        "--map", "map_file", type=EXISTING_FILE, help="Edited mapping.csv of an earlier result."
    ),
    click.option(
        "--rule",
        "rules",
        multiple=True,
        metavar="RULE",
        help=r"'REGEX -> NAME [LAYOUT]', such as 'block(\d+)/kernel -> enc.\1.weight'; repeatable.",
    ),
    click.option(
        "--tolerance",
        type=option_types.tolerance,
        metavar="X",
        default=s.DEFAULT_TOLERANCE,
        show_default=True,
        help="Largest accepted difference, relative to the output's scale.",
    ),
    click.option(
        "--prove/--no-prove",
        default=True,
        show_default=True,
        help="Run both models on the same input and compare every layer.",
    ),
    device_option,
)

model_options = with_options(_model_option(required=True), _how_to_load)
default_model_options = with_options(
    _model_option(required=False, more_help=" Each row may name another."), _how_to_load
)


def _patterns(option: str, text: str) -> Callable[[Command], Command]:
    return click.option(option, multiple=True, metavar="REGEX", help=f"{text}; repeatable.")


transfer_options = with_options(
    _patterns("--allow-missing", "Tensors of the model that may stay as initialised"),
    _patterns("--allow-unused", "Variables that may have no place in the model"),
    _patterns("--adapt", "Tensors that may have other input channels or classes"),
    _patterns("--freeze", "Parameters that the loaded result does not train"),
    click.option(
        "--dtype",
        type=click.Choice(["float16", "bfloat16"]),
        help="Store the weights so, after the proof; default: as the checkpoint has them.",
    ),
)
force_option = click.option(
    "--force", is_flag=True, help="Redo everything, and replace an earlier result."
)
output_options = with_options(
    click.option(
        "--out", type=option_types.path, help="Result folder; default: <name>-torch or -export."
    ),
    force_option,
)
runtime_options = with_options(
    click.option(
        "--runtime",
        type=click.Choice(["auto", *RUNTIMES]),
        default="auto",
        show_default=True,
        help="Containers, or plain processes in environments made by uv.",
    ),
    click.option(
        "--memory-limit",
        type=option_types.memory_size,
        metavar="SIZE",
        help="For each container, such as 8g.",
    ),
    click.option(
        "--legacy-python",
        type=option_types.interpreter,
        metavar="PYTHON",
        help="CPython 3.7 for --runtime local.",
    ),
    click.option(
        "--load-python",
        type=option_types.interpreter,
        metavar="PYTHON",
        help="Python of an environment with torch.",
    ),
    click.option(
        "--wheelhouse",
        type=EXISTING_FOLDER,
        help="Make environments from this folder of wheels, without network.",
    ),
    click.option(
        "--torch",
        "torch_variant",
        type=click.Choice(["cpu", "cuda"]),
        default="cpu",
        show_default=True,
        help="Which build of torch the local runtime installs.",
    ),
    click.option(
        "--image-extract",
        "extract_image",
        metavar="IMAGE",
        help="Image for stage 1 in place of the one that `build` makes: a name or a .sif file.",
    ),
    click.option(
        "--image-load",
        "--load-image",
        "load_image",
        metavar="IMAGE",
        help="The same for stage 2; one of your own is made FROM the load image.",
    ),
    click.option(
        "--unsquash",
        is_flag=True,
        help="Apptainer: unpack images at each start, where /dev/fuse cannot be used.",
    ),
)
package_options = with_options(
    click.option(
        "--requirements",
        type=requirements_file,
        metavar="FILE",
        help="Packages that your model imports, beside those of stage 2.",
    ),
)
speech_options = with_options(
    click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors."),
    click.option("-v", "--verbose", is_flag=True, help="Show what the stages write, too."),
)


def load_options(given: Mapping[str, Any]) -> s.LoadOptions:
    """Settings of stage 2 from parsed options."""
    return s.LoadOptions(
        model=given["model"],
        model_args=merged(given["model_arguments_file"], given["model_arguments"]),
        map=given["map_file"],
        tolerance=given["tolerance"],
        prove=given["prove"],
        transfer=s.TransferOptions(
            **{field.name: given[field.name] for field in fields(s.TransferOptions)}
        ),
        model_folder=Path.cwd(),
    )


def runtime_settings(given: Mapping[str, Any]) -> s.RuntimeOptions:
    """Settings of the runtime from parsed options."""
    return s.RuntimeOptions(
        name=given["runtime"],
        device=given.get("device", "auto"),
        memory_limit_bytes=given["memory_limit"],
        legacy_python=given["legacy_python"],
        load_python=given["load_python"],
        wheelhouse=given["wheelhouse"],
        torch_variant=given["torch_variant"],
        requirements=given.get("requirements"),
        extract_image=given["extract_image"],
        load_image=given["load_image"],
        unsquash=given["unsquash"],
    )
