"""The functions of a graph's library, with their tensors named as a graph names them."""

from __future__ import annotations

import sys
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from stage_extract.graph.graphdef import Node
from stage_extract.graph.op_outputs import SEVERAL_OUTPUTS, Output

CALL_OPS = frozenset(("PartitionedCall", "StatefulPartitionedCall"))
IF_OPS = frozenset(("If", "StatelessIf"))
WHILE_OPS = frozenset(("StatelessWhile", "While"))
# op -> the attributes that name the functions it runs
_FUNCTION_ATTRIBUTES = {
    **dict.fromkeys(CALL_OPS, ("f",)),
    **dict.fromkeys(IF_OPS, ("then_branch", "else_branch")),
    **dict.fromkeys(WHILE_OPS, ("cond", "body")),
}


class FunctionUnusable(ValueError):
    """A function that a node runs is missing or broken; the text says how."""


class Body(NamedTuple):
    """One function.

    Attributes:
        arguments: the tensors that stand for its arguments inside of it.
        nodes: its nodes; they read arguments and each other as "name:index".
        results: the tensors that it gives.
        is_generic: attributes of its nodes are those of the call.
    """

    arguments: Tuple[str, ...]
    nodes: Tuple[Node, ...]
    results: Tuple[str, ...]
    is_generic: bool


class FunctionLibrary:
    """Looks functions up.

    Args:
        meta: the MetaGraphDef.
    """

    def __init__(self, meta: Any) -> None:
        functions = meta.graph_def.library.function
        self._definitions = {one.signature.name: one for one in functions}
        self._outputs: Dict[str, Tuple[Output, ...]] = dict(SEVERAL_OUTPUTS)
        signatures = (one.signature for one in functions)
        for definition in (*meta.meta_info_def.stripped_op_list.op, *signatures):
            self._outputs[definition.name] = tuple(
                Output(one.name, one.number_attr or one.type_list_attr)
                for one in definition.output_arg
            )
        self._bodies: Dict[str, Body] = {}

    def called(self, node: Node) -> Tuple[str, ...]:
        """Give the names of the functions that a node runs, if it is a call, an If or a While."""
        if node.op in self._definitions:
            return (node.op,)
        keys = _FUNCTION_ATTRIBUTES.get(node.op, ())
        return tuple(node.proto.attr[key].func.name for key in keys if key in node.proto.attr)

    def given_attributes(self, node: Node) -> Mapping[str, Any]:
        """Give the attributes that a call has for a generic function."""
        attributes = node.proto.attr
        given: Mapping[str, Any] = attributes["f"].func.attr if node.op in CALL_OPS else attributes
        return given

    def result_types(self, node: Node, function: str) -> List[int]:
        """Give TensorFlow's numbers of the types that a call gives."""
        given = self.given_attributes(node)
        outputs = self._definitions[function].signature.output_arg
        return [
            given[one.type_attr].type if one.type_attr in given else one.type for one in outputs
        ]

    def body(self, name: str) -> Body:
        """Give a function.

        Raises:
            FunctionUnusable: it is not in the file, or is broken.
        """
        if name not in self._bodies:
            if name not in self._definitions:
                raise FunctionUnusable(f"the function '{name}' is not in the file")
            self._bodies[name] = self._read(self._definitions[name])
        return self._bodies[name]

    def _read(self, definition: Any) -> Body:
        signature = definition.signature
        for one in (*signature.input_arg, *signature.output_arg):
            if one.number_attr or one.type_list_attr:
                raise FunctionUnusable(f"'{one.name}' of '{signature.name}' is a list")
        arguments = {one.name: (Output(one.name, ""),) for one in signature.input_arg}
        reader = _BodyReader(signature.name, arguments)
        for proto in definition.node_def:
            reader.add(proto.name, self._outputs.get(proto.op, ()), proto)
        results = []
        for output in signature.output_arg:
            if output.name not in definition.ret:
                raise FunctionUnusable(f"'{signature.name}' does not say what '{output.name}' is")
            results.append(reader.tensor(definition.ret[output.name]))
        return Body(
            tuple(f"{name}:0" for name in arguments),
            tuple(reader.node(proto) for proto in definition.node_def),
            tuple(results),
            len(signature.attr) > 0,
        )


class _BodyReader:
    """Turns the references of one function's body into "name:index"."""

    def __init__(self, function: str, arguments: Mapping[str, Tuple[Output, ...]]) -> None:
        self._function = function
        self._arguments = frozenset(arguments)
        self._outputs: Dict[str, Tuple[Output, ...]] = dict(arguments)
        self._protos: Dict[str, Any] = {}

    def add(self, name: str, outputs: Tuple[Output, ...], proto: Any) -> None:
        if name in self._outputs:
            raise FunctionUnusable(f"'{self._function}' has two nodes '{name}'")
        self._outputs[name] = outputs
        self._protos[name] = proto

    def node(self, proto: Any) -> Node:
        controls = tuple(one[1:] for one in proto.input if one.startswith("^"))
        tensors = [self.tensor(one) for one in proto.input if not one.startswith("^")]
        inputs = tuple(map(sys.intern, tensors))
        kept = tuple(one for one in controls if one not in self._arguments)
        return Node(proto.name, sys.intern(proto.op), inputs, kept, proto)

    def tensor(self, reference: str) -> str:
        """Give "argument" or "node:output:place" as "name:index"."""
        name, *rest = reference.split(":")
        place = rest.pop() if rest and rest[-1].isdigit() else "0"
        if name not in self._outputs:
            raise FunctionUnusable(f"'{self._function}' reads '{reference}', which is not in it")
        start = self._start(name, rest[0]) if rest else 0
        return f"{name}:{start + int(place)}"

    def _start(self, name: str, wanted: str) -> int:
        start = 0
        outputs = self._outputs[name]
        for output in outputs if len(outputs) > 1 else ():
            if output.name == wanted:
                break
            start += _length(self._protos[name], output.length)
        return start


def _length(proto: Any, attribute: str) -> int:
    """Give the length of a list of outputs; 1 for what is no list."""
    if not attribute:
        return 1
    if attribute not in proto.attr:
        return 0
    value = proto.attr[attribute]
    return len(value.list.type) if value.WhichOneof("value") == "list" else int(value.i)


def filled(proto: Any, given: Mapping[str, Any]) -> Any:
    """Give a NodeDef of a generic function with the attributes that the call has for it."""
    wanted = {key: one.placeholder for key, one in proto.attr.items() if one.placeholder}
    if not wanted:
        return proto
    copy = type(proto)()
    copy.CopyFrom(proto)
    for key, name in wanted.items():
        if name in given:
            copy.attr[key].CopyFrom(given[name])
    return copy


def first_difference(node: Node, library: FunctionLibrary) -> Optional[str]:
    """Say where what a node gives its functions is not what they take; None if all fits."""
    bodies = [library.body(name) for name in library.called(node)]
    given = len(node.inputs) - (1 if node.op in IF_OPS else 0)
    for name, body in zip(library.called(node), bodies):
        if len(body.arguments) != given:
            return f"it gives '{name}' {given} tensors instead of {len(body.arguments)}"
    results = [len(body.results) for body in bodies]
    if node.op in IF_OPS and results[0] != results[1]:
        return f"its branches give {results[0]} and {results[1]} tensors"
    if node.op in WHILE_OPS and results != [1, given]:
        return f"its functions give {results[0]} and {results[1]} tensors"
    return None
