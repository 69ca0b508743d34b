"""Writes a graph's calls, Ifs and Whiles out as plain nodes (see functions.py)."""

from __future__ import annotations

from typing import Callable, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from stage_extract.graph.function_library import (
    IF_OPS,
    WHILE_OPS,
    Body,
    FunctionLibrary,
    filled,
)
from stage_extract.graph.graphdef import Graph, Node, node_name
from stage_extract.graph.loops import loop_frames
from stage_extract.graph.machinery import is_update
from stage_extract.graph.made_nodes import Shapes, made, output_shapes

_PARALLEL_ITERATIONS = 10

# Nodes without inputs wait for these: they are made in the branch or the loop that they belong to.
Pivots = Tuple[str, ...]


class Lowerer:
    """One graph on its way.

    Args:
        graph: the graph as it was saved.
        library: its functions.
        problem: says why a call cannot be written out.
        refused: calls that stay as they are, and why; those that turn up inside are added.
    """

    def __init__(
        self,
        graph: Graph,
        library: FunctionLibrary,
        problem: Callable[[Node], Optional[str]],
        refused: Dict[str, str],
    ) -> None:
        self._graph = graph
        self._library = library
        self._problem = problem
        self._refused = refused
        self._nodes: Dict[str, Node] = {}
        self._taken: Set[str] = set()
        self.renamed: Dict[str, str] = {}
        self.lowered: Set[str] = set()

    def run(self) -> Dict[str, Node]:
        """Give the new nodes by name; every call's nodes stand in its place."""
        for node in self._graph:
            self._take(node.name)
        frames = loop_frames(self._graph)
        for node in self._graph:
            inside = (node_name(one) for one in node.inputs)
            looping = next((name for name in inside if name in frames), None)
            self._place(node, node.controls if looping is None else (*node.controls, looping))
        self.renamed = {name: self._behind(tensor) for name, tensor in self.renamed.items()}
        return {name: self._rewired(node) for name, node in self._nodes.items()}

    def _rewired(self, node: Node) -> Node:
        if not any(tensor in self.renamed for tensor in node.inputs):
            return node
        inputs = tuple(self._behind(tensor) for tensor in node.inputs)
        return Node(node.name, node.op, inputs, node.controls, node.proto)

    def _behind(self, tensor: str) -> str:
        seen: Set[str] = set()
        while tensor in self.renamed and tensor not in seen:
            seen.add(tensor)
            tensor = self.renamed[tensor]
        return tensor

    def _take(self, name: str) -> None:
        """Keep a name, and the scopes around it, from being given again."""
        while name and name not in self._taken:
            self._taken.add(name)
            name = name.rpartition("/")[0]

    def _free(self, name: str) -> str:
        """Give a name, or scope, that nothing has, like the given one."""
        while name in self._taken:
            name += "_"
        self._take(name)
        return name

    def _add(self, op: str, name: str, inputs: Sequence[str], **attributes: object) -> str:
        """Add a node of a free name; gives the name."""
        name = self._free(name)
        self._nodes[name] = made(op, name, tuple(inputs), **attributes)
        return name

    def _place(self, node: Node, pivots: Pivots) -> None:
        called = self._library.called(node)
        problem = self._refused.get(node.name) or self._problem(node) if called else None
        if not called or problem is not None:
            self._nodes[node.name] = node
            if problem is not None:
                self._refused[node.name] = problem
            return
        self.lowered.add(node.name)
        if node.op in IF_OPS:
            types = [int(one) for one in node.proto.attr["Tout"].list.type]
            results = self._branches(node, called[0], called[1], types)
        elif node.op in WHILE_OPS:
            types = [int(one) for one in node.proto.attr["T"].list.type]
            results = _Loop(self, node, types).write(*called)
        else:
            types = self._library.result_types(node, called[0])
            results = self.inline(node, called[0], node.inputs, node.name, pivots)
        self._hand_on(node, results, types)

    def _hand_on(self, node: Node, results: Sequence[str], types: Sequence[int]) -> None:
        for index, tensor in list(enumerate(results))[1:]:
            self.renamed[f"{node.name}:{index}"] = tensor
        if results:
            shapes = output_shapes(node)[:1]
            one = made("Identity", node.name, (results[0],), T=types[0], shapes=shapes)
        else:
            one = made("NoOp", node.name, ())
        self._nodes[node.name] = Node(one.name, one.op, one.inputs, node.controls, one.proto)

    def inline(
        self, call: Node, function: str, arguments: Sequence[str], scope: str, pivots: Pivots
    ) -> List[str]:
        """Add the nodes of a function; gives the tensors of its results."""
        body = self._library.body(function)
        # "cond" may have a neighbour "cond/Identity".
        scope = self._free(scope) if scope != call.name else self._free_scope(scope, body)
        tensors = dict(zip(body.arguments, arguments))
        for node in body.nodes:
            self._take(f"{scope}/{node.name}")
        given = self._library.given_attributes(call)
        updates = []
        for node in body.nodes:
            inputs = tuple(tensors.get(one) or f"{scope}/{one}" for one in node.inputs)
            controls = tuple(f"{scope}/{one}" for one in node.controls)
            if not inputs:
                controls += pivots
            proto = filled(node.proto, given) if body.is_generic else node.proto
            self._place(Node(f"{scope}/{node.name}", node.op, inputs, controls, proto), pivots)
            if is_update(node):
                updates.append(f"{scope}/{node.name}")
        if updates:
            # TensorFlow runs the updates of a function's states though nothing reads them.
            name = self._free(f"{scope}/updates")
            self._nodes[name] = Node(name, "NoOp", (), tuple(updates), made("NoOp", name, ()).proto)
        return [tensors.get(one) or f"{scope}/{one}" for one in body.results]

    def _free_scope(self, scope: str, body: Body) -> str:
        names = (f"{scope}/{node.name}" for node in body.nodes)
        return self._free(scope) if any(name in self._taken for name in names) else scope

    def _branches(self, node: Node, then: str, other: str, types: Sequence[int]) -> List[str]:
        """Write an If out: Switch nodes, both branches, and a Merge for each result."""
        predicate, *data = node.inputs
        bool_type = node.proto.attr["Tcond"].type
        data_types = node.proto.attr["Tin"].list.type
        switches = [
            self._add("Switch", f"{node.name}/Switch_{index}", (tensor, predicate), T=data_type)
            for index, (tensor, data_type) in enumerate(zip(data, data_types))
        ]
        taken = self._add("Switch", f"{node.name}/Switch", (predicate, predicate), T=bool_type)
        results = []
        for output, function, place in ((0, other, "else"), (1, then, "then")):
            pivot = self._add(
                "Identity", f"{node.name}/pivot_{place}", (f"{taken}:{output}",), T=bool_type
            )
            arguments = [f"{name}:{output}" for name in switches]
            scope = f"{node.name}/{place}"
            results.append(self.inline(node, function, arguments, scope, (pivot,)))
        shapes = output_shapes(node)
        return [
            self._merge(f"{node.name}/Merge_{at}", pair, types[at], shapes[at : at + 1])
            for at, pair in enumerate(zip(*results))
        ]

    def _merge(self, name: str, inputs: Sequence[str], merged_type: int, shapes: Shapes) -> str:
        made_name = self._add("Merge", name, inputs, T=merged_type, N=2, shapes=shapes)
        return f"{made_name}:0"

    def add_loop_node(self, op: str, name: str, inputs: Sequence[str], **attributes: object) -> str:
        """Add a node of a loop; gives its first output."""
        return f"{self._add(op, name, inputs, **attributes)}:0"

    def send_back(self, merge: str, tensor: str) -> None:
        """Let a loop's Merge read what a turn sends to the next one."""
        node = self._nodes[node_name(merge)]
        self._nodes[node.name] = Node(node.name, node.op, (node.inputs[0], tensor), (), node.proto)

    def constant_results(self, function: str) -> Mapping[int, int]:
        """Give, by place, the results of a function that are one of its arguments as it is."""
        body = self._library.body(function)
        nodes = {node.name: node for node in body.nodes}
        places = {tensor: place for place, tensor in enumerate(body.arguments)}
        found = {}
        for place, tensor in enumerate(body.results):
            for _ in range(len(nodes)):
                node = nodes.get(node_name(tensor))
                if node is None or node.op != "Identity" or not node.inputs:
                    break
                tensor = node.inputs[0]
            if tensor in places:
                found[place] = places[tensor]
        return found


class _Loop:
    """One While on its way.

    What each turn hands on unchanged (a captured weight) enters the loop as a constant of it.
    """

    def __init__(self, lowerer: Lowerer, node: Node, types: Sequence[int]) -> None:
        self._lowerer = lowerer
        self._node = node
        self._types = types
        self._shapes = output_shapes(node)

    def write(self, condition: str, body: str) -> List[str]:
        """Give the tensors behind the loop."""
        unchanged = self._lowerer.constant_results(body)
        constants = {place for place, argument in unchanged.items() if place == argument}
        if len(constants) == len(self._types):
            # Nothing changes from turn to turn; one value keeps the loop a loop.
            constants.discard(0)
        changing = [place for place in range(len(self._types)) if place not in constants]
        entered = [
            self._add("Enter", place, (tensor,), **self._frame(place in constants))
            for place, tensor in enumerate(self._node.inputs)
        ]
        merged = list(entered)
        for place in changing:
            merged[place] = self._add(
                "Merge",
                place,
                (entered[place], entered[place]),
                N=2,
                shapes=self._shapes[place : place + 1],
            )
        name = self._node.name
        first = node_name(merged[changing[0]])
        [test] = self._lowerer.inline(self._node, condition, merged, f"{name}/cond", (first,))
        loop_condition = self._lowerer.add_loop_node("LoopCond", f"{name}/LoopCond", (test,))
        return self._turn(body, merged, changing, loop_condition)

    def _turn(
        self, body: str, merged: Sequence[str], changing: Sequence[int], loop_condition: str
    ) -> List[str]:
        inside, behind = list(merged), list(self._node.inputs)
        for place in changing:
            switch = node_name(self._add("Switch", place, (merged[place], loop_condition)))
            inside[place] = self._add("Identity", place, (f"{switch}:1",))
            behind[place] = self._add("Exit", place, (f"{switch}:0",))
        pivot = node_name(inside[changing[0]])
        scope = f"{self._node.name}/body"
        sent = self._lowerer.inline(self._node, body, inside, scope, (pivot,))
        for place in changing:
            back = self._add("NextIteration", place, (sent[place],))
            self._lowerer.send_back(merged[place], back)
        return behind

    def _add(self, op: str, place: int, inputs: Sequence[str], **attributes: object) -> str:
        name = f"{self._node.name}/{op}_{place}"
        attributes["T"] = self._types[place]
        return self._lowerer.add_loop_node(op, name, inputs, **attributes)

    def _frame(self, is_constant: bool) -> Dict[str, object]:
        iterations = self._node.attribute("parallel_iterations") or _PARALLEL_ITERATIONS
        return {
            "frame_name": f"{self._node.name}/frame",
            "is_constant": is_constant,
            "parallel_iterations": iterations,
        }
