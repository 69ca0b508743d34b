"""Collects the rows that the user and the model have decided."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from stage_load.errors import FactoryFailed
from stage_load.export_view import ExportView
from stage_load.layouts.rule import RuleError
from stage_load.layouts.rule_text import parse_rule
from stage_load.mapping import FROM_MODEL, Given
from stage_load.mapping_csv import MapLine, check_mapping
from stage_load.name_rules import NameRule, apply_name_rules
from stage_load.names import NameIndex
from stage_load.torch_units import TorchModel

NamedTarget = str | None | tuple[str, str]
"""A torch name; a torch name with a rule; or ``None`` to leave the variable out."""


def given_rows(
    export: ExportView,
    model: TorchModel,
    map_file: tuple[Path, Sequence[MapLine]] | None,
    model_names: Mapping[str, NamedTarget],
    how: str = FROM_MODEL,
    rules: Sequence[NameRule] = (),
) -> tuple[Given, ...]:
    """Return the decided rows; the user's file overrules the user's rules, and both the model.

    Args:
        export: the graph.
        model: the torch side.
        map_file: the user's file and its lines.
        model_names: what the model says of variables; those that the export lacks are ignored.
        how: how the model came by these names.
        rules: the user's.

    Raises:
        MappingInvalid: the user's file names something that does not exist.
        RuleInvalid: so does one of the user's rules, or it matches nothing.
        FactoryFailed: the model names something that does not exist.
    """
    by_user: tuple[Given, ...] = ()
    if map_file is not None:
        by_user = _by_user(export, model, *map_file)
    by_rule = apply_name_rules(rules, export, model)
    by_model = (
        _by_model(name, target, model, how)
        for name, target in model_names.items()
        if name in export.variables
    )
    decided = (*by_user, *_not_decided(by_rule, by_user))
    return (*decided, *_not_decided(by_model, decided))


def _not_decided(rows: Iterable[Given], decided: Sequence[Given]) -> Iterator[Given]:
    """Leave out what speaks of a variable or a tensor that has been decided."""
    variables = {given.tf_name for given in decided}
    tensors = {given.torch_name for given in decided} - {None}
    for given in rows:
        if given.tf_name not in variables and given.torch_name not in tensors:
            yield given


def _by_user(
    export: ExportView, model: TorchModel, path: Path, lines: Sequence[MapLine]
) -> tuple[Given, ...]:
    tensors = {name: tensor.shape for name, tensor in model.tensors.items()}
    tensors |= {alias: tensors[first] for alias, first in model.aliases.items()}
    variables = {name: variable.shape for name, variable in export.variables.items()}
    rows = check_mapping(path, lines, variables, tensors)
    return tuple(
        Given(row.tf_name, _first_name(row.torch_name, model), row.rule, row.how) for row in rows
    )


def _by_model(name: str, target: NamedTarget, model: TorchModel, how: str) -> Given:
    torch_name, text = target if isinstance(target, tuple) else (target, None)
    torch_name = _first_name(torch_name, model)
    if torch_name is not None and torch_name not in model.tensors:
        near = ", ".join(NameIndex(model.tensors).nearest(torch_name)) or "none"
        raise _model_is_wrong(name, f"there is no tensor {torch_name!r}; nearest: {near}")
    try:
        rule = None if text is None else parse_rule(text)
    except RuleError as error:
        raise _model_is_wrong(name, str(error)) from error
    return Given(name, torch_name, rule, how)


def _first_name(name: str | None, model: TorchModel) -> str | None:
    return None if name is None else model.aliases.get(name, name)


def _model_is_wrong(name: str, what: str) -> FactoryFailed:
    return FactoryFailed(
        f"The model's own names (tf1_names) are wrong for variable {name!r}: {what}.",
        "Expected names of the model's state dict, and rules such as 'HWIO->OIHW'.",
        "Correct tf1_names in the model.",
    )
