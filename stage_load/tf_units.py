"""The TensorFlow side of the plan: layers with the rule of each of their variables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from stage_load.export_view import ExportView, Layer, Variable
from stage_load.layouts.family import Fill
from stage_load.layouts.registry import FAMILIES, find_rule
from stage_load.layouts.rule import Rule, RuleError
from stage_load.torch_units import TorchUnit

OTHER = "other"
RECURRENT = ("gru", "lstm")

# What a kernel of three, four or five axes may belong to when there is no graph to tell.
_ALIKE_KINDS = (
    ("conv1d", "conv1d_transpose", "depthwise_conv1d"),
    ("conv2d", "conv2d_transpose", "depthwise_conv2d"),
    ("conv3d", "conv3d_transpose"),
)

_PLAIN_OF_DEPTHWISE = MappingProxyType({"depthwise_conv1d": "conv1d", "depthwise_conv2d": "conv2d"})


@dataclass(frozen=True, slots=True)
class TfUnit:
    """A set of variables that one operation reads; applied again, it is the same unit.

    Attributes:
        layer: the first application.
        applications: indices of all layers that are applications of it, in forward order.
        kind: the op kind that decided the rules; the layer's, or another candidate for a guess.
        rules: role -> rule.
        shapes: the torch tensor's own name -> the shape that the rule gives it.
        refusals: role -> why there is no rule.
        fills: role -> the torch tensors that it fills, for a kind whose variables are taken apart.
        is_reverse: it is the direction that runs backwards, of a torch module which has both.
    """

    layer: Layer
    applications: tuple[int, ...]
    kind: str
    rules: Mapping[str, Rule]
    shapes: Mapping[str, tuple[int, ...]]
    refusals: Mapping[str, str] = field(default_factory=dict)
    fills: Mapping[str, tuple[Fill, ...]] = field(default_factory=dict)
    is_reverse: bool = False

    @property
    def is_guessed(self) -> bool:
        """Whether kind and order come from names and shapes, not from a graph."""
        return self.layer.evidence == "guessed"

    @property
    def groups(self) -> int:
        """How many groups a convolution or group norm has; of a depthwise one its kind says it."""
        stated: int = self.layer.attributes.get("groups", 1)
        return stated if self.kind == self.layer.kind else 1

    def fills_of(self, role: str) -> tuple[Fill, ...]:
        """Return what a role's variable fills, by the torch tensors' own names."""
        if self.fills or role not in self.rules:
            return self.fills.get(role, ())
        return (Fill(parameter_name(self.kind, role), self.rules[role]),)


def parameter_name(kind: str, role: str) -> str:
    """Return the torch module's own name for a role; a role of no known kind keeps its name."""
    family = FAMILIES.get(kind)
    return role if family is None else family.parameters.get(role, role)


def tf_units(export: ExportView, modules: Sequence[TorchUnit] = ()) -> list[TfUnit]:
    """Return the export's units in forward order, each set of variables once.

    Args:
        export: the graph.
        modules: torch's units. Without a recurrent module of its kind, a recurrent layer is made of
            matrix products, which a model may have written out; with one that runs both ways, the
            direction counts.
    """
    applications: dict[tuple[str, tuple[tuple[str, str], ...]], list[Layer]] = {}
    for layer in export.layers:
        if layer.variables:
            key = (layer.kind, tuple(sorted(layer.variables.items())))
            applications.setdefault(key, []).append(layer)
    kinds = {unit.kind for unit in modules}
    two_way = {unit.kind for unit in modules if unit.is_reverse}
    found: list[TfUnit] = []
    for layers in applications.values():
        layer = layers[0]
        if layer.kind in RECURRENT and "dense" in kinds and layer.kind not in kinds:
            first = len(export.layers) + len(found)
            found += [_unit(export, [part], "dense") for part in _products(layer, first)]
        else:
            unit = _unit(export, layers, _kind(export, layer))
            backward = layer.attributes.get("direction") == "backward" and layer.kind in two_way
            found.append(replace(unit, is_reverse=True) if backward else unit)
    return found


def _products(layer: Layer, first: int) -> list[Layer]:
    """Return the matrix products of a recurrent layer as layers of their own.

    They get numbers from ``first`` on, no output, and so no place where they could be compared.
    """
    kernels = [role for role in layer.variables if role.endswith("kernel")]
    kernels.sort(key=lambda role: (role.startswith("candidate"), role))
    found = []
    for number, role in enumerate(kernels, first):
        name = layer.variables[role]
        bias = layer.variables.get(f"{role.removesuffix('kernel')}bias")
        variables = {"kernel": name, "bias": bias} if bias is not None else {"kernel": name}
        found.append(
            replace(
                layer,
                index=number,
                kind="dense",
                name=name.rpartition("/")[0],
                variables=variables,
                input=None,
                op_output=None,
                output=None,
                attributes={},
            )
        )
    return found


def other_kinds(export: ExportView, unit: TfUnit) -> Iterable[TfUnit]:
    """Yield what else a guessed unit may be; nothing for one that a graph has told."""
    for kind in _alike(unit.kind) if unit.is_guessed else ():
        if kind != unit.kind:
            layers = [export.layers[index] for index in unit.applications]
            yield _unit(export, layers, kind)


def may_be(unit: TfUnit, module_kind: str | None) -> bool:
    """Whether a torch module of that kind can be the unit's counterpart.

    A raw module can be anything, and what the kernel of a convolution belongs to may be a guess.
    """
    guessed = unit.is_guessed and module_kind in _alike(unit.kind)
    return module_kind is None or module_kind == unit.kind or guessed


def rule_of(
    export: ExportView,
    variable: Variable,
    module_kind: str | None = None,
    parameter: str | None = None,
) -> Rule:
    """Return the rule of one variable from the first layer that reads it.

    Args:
        export: the graph.
        variable: one of its variables.
        module_kind: kind of the torch module that the variable is meant for, if it is known; it
            decides where the layer's own kind is a guess.
        parameter: own name of the torch tensor, where a variable fills several.

    Raises:
        RuleError: no layer reads it, or the layer's kind has no rule.
    """
    for index in variable.layers:
        layer = export.layers[index]
        kind = layer.kind
        if module_kind is not None and layer.evidence == "guessed" and module_kind in _alike(kind):
            kind = module_kind
        rank = len(variable.shape)
        if kind in RECURRENT and module_kind == "dense":
            role, axes = ("bias", "C") if rank == 1 else ("kernel", "IO")
            return find_rule("dense", role, axes, {}, rank)
        for role, name in layer.variables.items():
            if name != variable.name:
                continue
            fills = _fills(export, layer, kind).get(role, ())
            named = [fill.rule for fill in fills if parameter in (None, fill.parameter)]
            return named[0] if named else _rule(layer, kind, role, variable)
    return find_rule(OTHER, None, None, {}, len(variable.shape))


def _alike(kind: str) -> tuple[str, ...]:
    return next((kinds for kinds in _ALIKE_KINDS if kind in kinds), ())


def _kind(export: ExportView, layer: Layer) -> str:
    """Return the kind of the torch module: where each group has one channel, it is depthwise.

    Depthwise over a single channel is a plain convolution, and a grouped one whose groups have one
    input channel each is depthwise. The kernels have the same elements in the same order. A group
    norm with as many groups as channels is an instance norm.
    """
    if layer.kind == "group_norm":
        channels = max(max(export.variables[name].shape) for name in layer.variables.values())
        return "instance_norm" if layer.attributes.get("groups") == channels else "group_norm"
    kernel = layer.variables.get("kernel")
    axes = None if kernel is None else export.variables[kernel].source_axes
    sizes = dict(zip(axes or "", export.variables[kernel].shape if kernel else (), strict=False))
    if layer.kind in _PLAIN_OF_DEPTHWISE and sizes.get("C") == 1:
        return _PLAIN_OF_DEPTHWISE[layer.kind]
    depthwise = f"depthwise_{layer.kind}"
    is_grouped = layer.attributes.get("groups", 1) > 1
    return depthwise if is_grouped and sizes.get("I") == 1 and depthwise in FAMILIES else layer.kind


def _unit(export: ExportView, layers: list[Layer], kind: str) -> TfUnit:
    rules: dict[str, Rule] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    refusals: dict[str, str] = {}
    layer = layers[0]
    family = FAMILIES.get(kind)
    if family is not None and family.fills is not None:
        return _recurrent_unit(export, layers, kind)
    for role, name in sorted(layer.variables.items()):
        variable = export.variables[name]
        try:
            rule = _rule(layer, kind, role, variable)
            shapes[parameter_name(kind, role)] = rule.target_shape(variable.shape)
            rules[role] = rule
        except RuleError as error:
            refusals[role] = str(error)
    indices = tuple(e.index for e in layers if e.index < len(export.layers))
    return TfUnit(layer, indices, kind, rules, shapes, refusals)


def _recurrent_unit(export: ExportView, layers: list[Layer], kind: str) -> TfUnit:
    layer = layers[0]
    indices = tuple(e.index for e in layers)
    try:
        fills = _fills(export, layer, kind)
    except RuleError as error:
        return TfUnit(layer, indices, kind, {}, {}, dict.fromkeys(layer.variables, str(error)))
    shapes: dict[str, tuple[int, ...]] = {}
    for role, found in fills.items():
        for fill in found:
            shape = fill.rule.target_shape(export.variables[layer.variables[role]].shape)
            rows = shapes.get(fill.parameter, (0,))[0] + shape[0]
            shapes[fill.parameter] = (rows, *shape[1:])
    refusals = {role: f"nn.{kind.upper()} has no {role}" for role in layer.variables.keys() - fills}
    rules = {role: found[0].rule for role, found in fills.items()}
    return TfUnit(layer, indices, kind, rules, shapes, refusals, fills)


def _fills(export: ExportView, layer: Layer, kind: str) -> Mapping[str, tuple[Fill, ...]]:
    """Return what each role fills. Raises RuleError where torch computes something else."""
    family = FAMILIES.get(kind)
    if family is None or family.fills is None:
        return {}
    return family.fills(layer.attributes, variable_shapes(export, layer))


def variable_shapes(export: ExportView, layer: Layer) -> dict[str, tuple[int, ...]]:
    """Return role -> shape of the layer's variables."""
    return {role: export.variables[name].shape for role, name in layer.variables.items()}


def _rule(layer: Layer, kind: str, role: str, variable: Variable) -> Rule:
    axes = variable.source_axes
    if kind != variable.op_kind and kind in FAMILIES:
        axes = _axes_in(layer, kind, role, len(variable.shape))
    return find_rule(kind, role, axes, layer.attributes, len(variable.shape))


def _axes_in(layer: Layer, kind: str, role: str, rank: int) -> str | None:
    """Return the axes that an operation of ``kind`` gives the role.

    A variable that two kinds of operation read (an embedding that is the output layer as well)
    carries the axes of the first only.
    """
    if kind == "dense" and role == "kernel":
        return "OI" if layer.attributes.get("transpose_b") else "IO"
    fitting = (e.source_axes for e in FAMILIES[kind].layouts if e.role == role)
    return next((axes for axes in fitting if len(axes) == rank), None)
