"""A model's inputs and outputs: found in its training graph, or as the user says."""

from __future__ import annotations

import difflib
from typing import Dict, Iterable, List, NamedTuple, Sequence, Set, Tuple

from stage_extract.errors import EndpointNotFound
from stage_extract.graph.critics import CriticFinder
from stage_extract.graph.dtypes import output_dtype
from stage_extract.graph.graphdef import (
    Graph,
    MetaGraph,
    Node,
    node_name,
    output_index,
)
from stage_extract.graph.heads import Head, HeadFinder, Rejected, only_last
from stage_extract.graph.hints import Hints, find_hints
from stage_extract.graph.network import Network, is_pipeline, is_random
from stage_extract.graph.probes import without_probes
from stage_extract.graph.shapes import StaticShapes
from stage_extract.graph.switches import Switch
from stage_extract.graph.towers import choose_readings, choose_towers
from stage_extract.graph.traverse import ancestors, behind, forward_order
from stage_extract.graph.variables import RESHAPING_OPS, VariableTable

_NEAREST_NAMES = 5


class Candidate(NamedTuple):
    """A tensor that may be an input or output, and why it is or is not."""

    tensor: str
    chosen: bool
    reason: str


class Endpoints(NamedTuple):
    """What a model reads and gives.

    Attributes:
        inputs: tensors to feed, in the order in which the forward pass meets them.
        outputs: tensors to fetch.
        input_candidates: all tensors that were looked at, the chosen ones among them.
        output_candidates: likewise.
    """

    inputs: List[str]
    outputs: List[str]
    input_candidates: List[Candidate]
    output_candidates: List[Candidate]


class EndpointFinder:
    """Finds the endpoints of one graph.

    Args:
        meta: the graph as it was saved.
        graph: the same with its branches taken and without dropout.
        network: the model in it.
        table: its variables.
        shapes: its static shapes.
        switches: placeholders with fixed values.
    """

    def __init__(
        self,
        meta: MetaGraph,
        graph: Graph,
        network: Network,
        table: VariableTable,
        shapes: StaticShapes,
        switches: Sequence[Switch],
    ) -> None:
        self._meta = meta
        self._graph = graph
        self._network = network
        self._table = table
        self._shapes = shapes
        self._switches = {switch.tensor: switch for switch in switches}

    def find(self, inputs: Sequence[str], outputs: Sequence[str]) -> Endpoints:
        """Find inputs and outputs.

        Args:
            inputs: what the user calls inputs; empty to find them.
            outputs: what the user calls outputs; empty to find them.

        Raises:
            EndpointNotFound: the user names a tensor that the inference graph lacks.
        """
        hints = find_hints(self._meta)
        wanted = [self._existing(name, "output") for name in outputs]
        fed = [self._existing(name, "input") for name in inputs]
        candidates = self._judge_outputs(hints, wanted)
        chosen = [one.tensor for one in candidates if one.chosen]
        found, input_candidates = self._find_inputs(chosen, fed, hints)
        return Endpoints(found, chosen, input_candidates, candidates)

    def _existing(self, name: str, role: str) -> str:
        tensor = self._meta.tensor(name)
        if self._graph.has_tensor(tensor):
            return tensor
        if self._meta.graph.has_tensor(tensor):
            raise EndpointNotFound(
                f"The {role} {name!r} lies in a branch of the graph that only training takes.",
                "Expected a tensor of the inference graph.",
                "Name a tensor outside the branch; `inspect` lists the candidates.",
            )
        names = [node.name for node in self._graph]
        near = difflib.get_close_matches(node_name(tensor), names, _NEAREST_NAMES)
        raise EndpointNotFound(
            f"The graph has no tensor {name!r}, which was given as an {role}.",
            f"Nearest names: {', '.join(near)}." if near else "No name is similar.",
            "Give the name as TensorFlow does (node:0); `inspect` lists the candidates.",
        )

    def _judge_outputs(self, hints: Hints, wanted: Sequence[str]) -> List[Candidate]:
        heads, rejected = self._find_heads()
        named = {
            tensor: where
            for tensor, where in hints.outputs.items()
            if self._graph.producer(tensor) is not None
        }
        plausible = {
            tensor: where
            for tensor, where in named.items()
            if node_name(tensor) in self._network.forward
        }
        if wanted:
            chosen = dict.fromkeys(wanted, "named by the user")
        elif plausible and (hints.is_signed or len(plausible) == len(named)):
            chosen = {tensor: f"named in {where}" for tensor, where in plausible.items()}
        else:
            chosen = {head.tensor: head.why for head in heads}
        candidates = [Candidate(tensor, True, why) for tensor, why in chosen.items()]
        others = [Rejected(head.tensor, head.why) for head in heads]
        others += [Rejected(tensor, f"named in {where}") for tensor, where in named.items()]
        for tensor, why in others + rejected:
            if tensor not in {one.tensor for one in candidates}:
                candidates.append(Candidate(tensor, False, why))
        return candidates

    def _find_heads(self) -> Tuple[List[Head], List[Rejected]]:
        finder = HeadFinder(self._graph, self._network, self._shapes)
        rejected: List[Rejected] = []
        heads, probes = without_probes(self._graph, finder.find(), self._table)
        heads, earlier = only_last(self._graph, heads, self._network, finder.compared())
        heads, readings = choose_readings(self._graph, heads, self._network, self._shapes)
        critics = CriticFinder(self._graph, self._network, self._table, self._shapes)
        heads, verdicts = critics.replace_verdicts(heads)
        heads, towers = choose_towers(self._graph, heads, self._network, self._table, self._shapes)
        for group in (probes, earlier, readings, verdicts, towers, finder.rejected):
            rejected.extend(group)
        return heads, rejected

    def _find_inputs(
        self, outputs: Sequence[str], fed: Sequence[str], hints: Hints
    ) -> Tuple[List[str], List[Candidate]]:
        reasons: Dict[str, str] = dict.fromkeys(fed, "named by the user")
        known = {*reasons, *self._switches}
        named = {name: where for name, where in hints.inputs.items() if name not in known}
        if not fed:
            reasons.update((tensor, f"named in {where}") for tensor, where in named.items())
        for tensor in self._needed_sources(outputs, reasons):
            reasons.setdefault(tensor, "the layers are computed from it")
        ordered = self._in_forward_order(outputs, reasons)
        candidates = [Candidate(tensor, True, reasons[tensor]) for tensor in ordered]
        for tensor, why in self._other_sources():
            if tensor not in reasons:
                candidates.append(Candidate(tensor, False, why))
        return ordered, candidates

    def _needed_sources(self, outputs: Sequence[str], cut: Iterable[str]) -> List[str]:
        """Give the sources that the outputs need and that no given input stands for."""
        cut = list(cut)
        stops = {node_name(tensor) for tensor in cut}
        sources = set(self._network.sources) - set(self._switches)
        # What feeds a placeholder with a default is not needed where the placeholder is fed.
        fed = [one for one in map(self._graph.producer, sources) if one is not None]
        stops |= {node.name for node in fed if node.op == "PlaceholderWithDefault"}
        order = forward_order(self._graph, outputs, lambda node: node.name in stops)
        read: Dict[str, None] = {}
        for node in order:
            if node.name not in stops:
                read.update((tensor, None) for tensor in node.inputs if tensor in sources)
        read.update((tensor, None) for tensor in outputs if tensor in sources)
        strong = [tensor for tensor in read if not self._is_random_source(tensor)]
        if not strong:
            return [self._whole_random(tensor) for tensor in read]
        entries = self._entries(order, strong)
        # What a layer reads may not be all: a mask, or the rows that a sparse input belongs to.
        stops = {node_name(tensor) for tensor in (*cut, *entries)}
        rest = ancestors(self._graph, outputs, lambda node: node.name in stops) - stops
        return strong if any(node_name(tensor) in rest for tensor in strong) else entries

    def _entries(self, order: Sequence[Node], sources: List[str]) -> List[str]:
        """Give what the layers read where a pipeline delivers many pieces, or text."""
        piped = {tensor for tensor in sources if self._is_piece(tensor)}
        if not piped:
            return sources
        raw = {node_name(tensor) for tensor in piped}
        entries: Dict[str, None] = {}
        for node in order:
            if node.name in self._network.layers:
                for tensor in node.inputs:
                    if self._table.origin(tensor) is None and self._is_before_layers(tensor, raw):
                        entries[self._first_batch(behind(self._graph, tensor))] = None
        text = any(self._is_text(tensor) for tensor in piped)
        if not entries or (len(entries) >= len(piped) and not text):
            return sources
        return [tensor for tensor in sources if tensor not in piped] + list(entries)

    def _first_batch(self, tensor: str) -> str:
        """Go back over reshapes as long as the first axis is that of the samples."""
        node = self._graph.producer(tensor)
        while node is not None and node.op in RESHAPING_OPS and self._is_batch(node.operand(0)):
            tensor = node.operand(0)
            node = self._graph.producer(tensor)
        return tensor

    def _is_batch(self, tensor: str) -> bool:
        """Tell whether a tensor's first axis is of any size: unknown, or -1 to a reshape."""
        shape = self._shapes.of(tensor)
        node = self._graph.producer(tensor)
        if shape is None or len(shape) < 2 or node is None:
            return False
        target = self._graph.producer(node.operand(1)) if node.op == "Reshape" else None
        sizes = target.constant() if target is not None else None
        return shape[0] is None or (sizes is not None and sizes.size > 0 and sizes.flat[0] == -1)

    def _is_piece(self, tensor: str) -> bool:
        node = self._graph.producer(tensor)
        return node is not None and (is_pipeline(node) or self._is_text(tensor))

    def _is_text(self, tensor: str) -> bool:
        node = self._graph.producer(tensor)
        return node is not None and output_dtype(node, output_index(tensor)) == "string"

    def _is_before_layers(self, tensor: str, raw: Set[str]) -> bool:
        """Tell whether a tensor is computed from the pipeline without any layer."""
        above = ancestors(self._graph, [tensor], lambda node: node.name in raw)
        return bool(above & raw) and not above & self._network.layers

    def _is_random_source(self, tensor: str) -> bool:
        node = self._graph.producer(tensor)
        return node is not None and is_random(node)

    def _whole_random(self, tensor: str) -> str:
        """Give tf.random_uniform's and tf.random_normal's result: draws * range + minimum."""
        scope = node_name(tensor).rpartition("/")[0]
        for op in ("Mul", "Add"):
            uses = self._graph.consumers(tensor)
            if len(uses) == 1 and uses[0].node.op in (op, f"{op}V2"):
                reader = uses[0].node.name
                if scope and (reader == scope or reader.startswith(f"{scope}/")):
                    tensor = f"{reader}:0"
        return tensor

    def _in_forward_order(self, outputs: Sequence[str], tensors: Iterable[str]) -> List[str]:
        wanted = list(tensors)
        stops = {node_name(tensor) for tensor in wanted}
        order = forward_order(self._graph, outputs, lambda node: node.name in stops)
        position = {node.name: place for place, node in enumerate(order)}
        last = len(position)
        return sorted(
            wanted, key=lambda one: (position.get(node_name(one), last), output_index(one))
        )

    def _other_sources(self) -> List[Tuple[str, str]]:
        labels: Set[str] = set(self._network.labels)
        others = []
        for tensor in self._network.sources:
            node = self._graph.producer(tensor)
            if node is None or is_random(node):
                continue
            if tensor in labels:
                where = "a pipeline" if is_pipeline(node) else "a placeholder"
                why = f"{where} that no layer needs: labels, weights or settings of the training"
            else:
                why = "the outputs do not need it"
            others.append((tensor, why))
        for tensor, switch in self._switches.items():
            others.append((tensor, f"a switch, {switch.value!r} in inference: {switch.why}"))
        return others
