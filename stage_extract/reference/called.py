"""Which functions of a library some nodes may call."""

from __future__ import annotations

from typing import Any, Dict, Iterable, Iterator, List, Mapping

from stage_extract.reference.result import ReferenceUnavailable


def called_functions(nodes: Iterable[Any], functions: Mapping[str, Any]) -> List[str]:
    """Give the names of all functions that nodes call, directly or in a function.

    Args:
        nodes: NodeDefs.
        functions: FunctionDefs by name.
    """
    called: Dict[str, None] = {}
    pending: List[Iterable[Any]] = [nodes]
    while pending:
        for node in pending.pop():
            for name in _called_by(node):
                if name in functions and name not in called:
                    called[name] = None
                    pending.append(functions[name].node_def)
    return list(called)


def check_recursion(functions: Mapping[str, Any]) -> None:
    """Make sure that no function calls itself: TensorFlow does not end then.

    Raises:
        ReferenceUnavailable: one does.
    """
    calls = {
        name: [one for node in function.node_def for one in _called_by(node) if one in functions]
        for name, function in functions.items()
    }
    while calls:
        ends = [name for name, called in calls.items() if not any(one in calls for one in called)]
        if not ends:
            raise ReferenceUnavailable(f"the function '{next(iter(calls))}' calls itself")
        for name in ends:
            del calls[name]


def _called_by(node: Any) -> Iterator[str]:
    yield node.op
    for value in node.attr.values():
        yield value.func.name
        for function in value.list.func:
            yield function.name
