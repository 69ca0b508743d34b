"""Collects a plan's rows. Who fills a torch tensor first has it, so the order of calls decides."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stage_load.export_view import ExportView, Variable
from stage_load.layouts.folded import Folded
from stage_load.layouts.registry import FAMILIES
from stage_load.layouts.rule import AS_IS, WHOLE, Constant, Kept, Rule, RuleError, Skip, part_of
from stage_load.layouts.rule_text import AnyRule
from stage_load.mapping import (
    DECIDED,
    FROM_CONSTANT,
    FROM_FOLD,
    FROM_GRAPH,
    FROM_GUESS,
    FROM_NAME,
    Given,
    Row,
)
from stage_load.names import normalised
from stage_load.pairing import UnitPair
from stage_load.tf_units import OTHER, rule_of, variable_shapes
from stage_load.torch_units import TorchModel, TorchTensor


class Draft:
    """Rows being collected.

    Attributes:
        filled: torch name -> its row, or the first of those that fill parts of it.
        skipped: variables that stay out on somebody's word, or parts of them.
        conflicts: rows that would fill a tensor which another variable fills already.
        refusals: variable -> why there is no rule for it.
        without_gamma: paths of batch norms whose weight is a constant.
    """

    def __init__(self, export: ExportView, model: TorchModel) -> None:
        self._export = export
        self._model = model
        # Of a tied tensor, the first unit counts; hence the reversed order.
        self._owners = {
            t.name: unit for unit in reversed(model.units) for t in unit.tensors.values()
        }
        self._given: set[str] = set()
        self._named: set[str] = set()
        self._placed: set[str] = set()
        self.filled: dict[str, Row] = {}
        self._more: dict[str, list[Row]] = {}
        self.skipped: list[Row] = []
        self.conflicts: list[Row] = []
        self.refusals: dict[str, str] = {}
        self.without_gamma: list[str] = []

    def rows(self) -> tuple[Row, ...]:
        """Return all rows in the order of the state dict, what stays out last."""
        filled = (
            row
            for name in self._model.tensors
            if name in self.filled
            for row in (self.filled[name], *self._more.get(name, ()))
        )
        return (*filled, *sorted(self.skipped, key=lambda row: (row.tf_name or "", str(row.rule))))

    def unread(self) -> tuple[str, ...]:
        """Return the variables without a row that no operation of the graph reads."""
        return tuple(
            variable.name
            for variable in self._export.variables.values()
            if not variable.layers and variable.name not in self._placed
        )

    def add_given(self, given: Iterable[Given]) -> None:
        """Take over what the user or the model decided."""
        for entry in given:
            if entry.tf_name is not None:
                self._given.add(entry.tf_name)
            if isinstance(entry.rule, Folded):
                self._given.update(entry.rule.variables)
            if entry.torch_name is None:
                self._skip(entry)
            elif entry.tf_name is None:
                tensor = self._model.tensors[entry.torch_name]
                rule = Kept() if entry.rule is None else entry.rule
                self._fill(None, tensor, rule, entry.how)
            else:
                self._add_given_tensor(entry.tf_name, entry.torch_name, entry)

    def add_pair(
        self, pair: UnitPair, how: str | None = None, confidence: float | None = None
    ) -> None:
        """Add the rows of two counterparts: variables, and constants for what is absent.

        Args:
            pair: the counterparts.
            how: how they were found, if not by the graph or a guess.
            confidence: how sure that is.
        """
        how = how or (FROM_GUESS if pair.tf.is_guessed else FROM_GRAPH)
        for role, name in pair.tf.layer.variables.items():
            if name in self._given or name in self._named:
                continue
            if role in pair.tf.refusals:
                self.refusals[name] = pair.tf.refusals[role]
                continue
            for fill in pair.tf.fills_of(role):
                tensor = _tensor_of(pair, role, fill.parameter)
                if tensor is not None:
                    self._fill(name, tensor, fill.rule, how, confidence)
        self._add_constants(pair)

    def add_equal_names(self) -> None:
        """Pair variables of no known operation with parameters of raw modules, by equal names."""
        waiting = {
            normalised(name): tensor
            for name, tensor in self._model.tensors.items()
            if name not in self.filled and self._owners[name].kind is None
        }
        for variable in self._export.variables.values():
            tensor = waiting.get(normalised(variable.name))
            if tensor is not None and _is_raw(variable) and variable.name not in self._given:
                self._named.add(variable.name)
                self._fill(variable.name, tensor, AS_IS, FROM_NAME)

    def replace(self, tf_name: str, tensor: TorchTensor, rule: AnyRule) -> None:
        """Fill a tensor with something else than planned: a neighbour taken into it."""
        if tensor.name not in self.filled or self.filled[tensor.name].how not in DECIDED:
            self.filled.pop(tensor.name, None)
            self._more.pop(tensor.name, None)
            self._fill(tf_name, tensor, rule, FROM_FOLD)

    def add_constant(self, tensor: TorchTensor, number: Constant) -> None:
        """Fill a tensor that no variable fills with what leaves its layer as it is."""
        self._fill(None, tensor, number, FROM_FOLD)

    def add_kept_buffers(self) -> None:
        """Keep the buffers of modules of no known family: their constructors computed them."""
        for name, tensor in self._model.tensors.items():
            if tensor.is_buffer and name not in self.filled and self._owners[name].kind is None:
                self._fill(None, tensor, Kept(), FROM_CONSTANT)

    def _skip(self, entry: Given) -> None:
        if entry.tf_name is not None:
            shape = self._export.variables[entry.tf_name].shape
            self._placed.add(entry.tf_name)
            rule = entry.rule if isinstance(entry.rule, Skip) else Skip()
            self.skipped.append(Row(entry.tf_name, None, rule, shape, None, entry.how))

    def _add_given_tensor(self, tf_name: str, torch_name: str, entry: Given) -> None:
        tensor = self._model.tensors[torch_name]
        try:
            rule = entry.rule
            if rule is None:
                rule = self._default_rule(tf_name, tensor)
        except RuleError as error:
            self.refusals[tf_name] = str(error)
        else:
            self._fill(tf_name, tensor, rule, entry.how)

    def _default_rule(self, name: str, tensor: TorchTensor) -> Rule:
        """Return the rule by kind of operation; a raw module takes an unread variable as it is."""
        variable = self._export.variables[name]
        owner = self._owners[tensor.name]
        if not variable.layers and owner.kind is None:
            return AS_IS
        own_name = next(own for own, other in owner.tensors.items() if other.name == tensor.name)
        return rule_of(self._export, variable, owner.kind, own_name)

    def _add_constants(self, pair: UnitPair) -> None:
        family = FAMILIES.get(pair.tf.kind)
        if family is None:
            return
        for role, default in family.defaults.items():
            tensor = pair.torch.tensors.get(family.parameters[role])
            if role not in pair.tf.layer.variables and tensor is not None:
                value = pair.tf.layer.constants.get(role, {}).get("value", default)
                self._fill(None, tensor, _constant(value), FROM_CONSTANT)
                if role == "gamma" and pair.tf.kind == "batch_norm":
                    self.without_gamma.append(pair.torch.path)
        numbers = [(name, Constant(number)) for name, number in family.buffers.items()]
        if family.constants is not None and not pair.tf.refusals:
            shapes = variable_shapes(self._export, pair.tf.layer)
            numbers += family.constants(pair.tf.layer.attributes, shapes)
        for name, constant in numbers:
            if name in pair.torch.tensors:
                self._fill(None, pair.torch.tensors[name], constant, FROM_CONSTANT)

    def _fill(
        self,
        tf_name: str | None,
        tensor: TorchTensor,
        rule: AnyRule,
        how: str,
        confidence: float | None = None,
    ) -> None:
        shape = None if tf_name is None else self._export.variables[tf_name].shape
        row = Row(tf_name, tensor.name, rule, shape, tensor.shape, how, confidence)
        known = self.filled.setdefault(tensor.name, row)
        others = [known, *self._more.get(tensor.name, ())]
        part = part_of(rule)
        if part != WHOLE and all(part_of(other.rule) not in (WHOLE, part) for other in others):
            self._more.setdefault(tensor.name, []).append(row)
            self._placed.update(row.variables)
        elif tf_name is None:
            return
        elif any(other.tf_name == tf_name for other in others):
            self._placed.update(row.variables)
        else:
            self.conflicts.append(row)


def _is_raw(variable: Variable) -> bool:
    """Whether a variable can be taken as it is: nothing reads it, or it has one order of axes."""
    return not variable.layers or (variable.op_kind == OTHER and len(variable.shape) <= 1)


def _tensor_of(pair: UnitPair, role: str, parameter: str) -> TorchTensor | None:
    """Return the torch tensor of a role; of no known kind, the only one of its shape."""
    if pair.tf.kind != OTHER:
        return pair.torch.tensors.get(parameter)
    shape = pair.tf.shapes.get(role)
    fitting = [tensor for tensor in pair.torch.tensors.values() if tensor.shape == shape]
    return fitting[0] if len(fitting) == 1 else None


def _constant(value: Any) -> Constant:
    numbers = value if isinstance(value, list) else [value]
    flat = tuple(float(number) for number in numbers)
    return Constant(flat[0] if len(flat) == 1 else flat)
