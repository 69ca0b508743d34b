"""What was found at the user's path, whatever its format: what the rest reads from."""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from typing import Callable, Mapping, NamedTuple, Optional, Tuple

from stage_extract.graph.graphdef import MetaGraph
from stage_extract.reader import VariableReader

NO_META = "no .meta file beside the checkpoint"


class GraphFile(abc.ABC):
    """Where a graph comes from.

    It is parsed anew at each call: a large graph is not kept while something else is done.

    Attributes:
        kind: graph.json's `source.graph`.
        words: the file, for messages ("the .meta file").
    """

    kind: str
    words: str

    @abc.abstractmethod
    def parse(self) -> MetaGraph:
        """Read the graph.

        Raises:
            GraphUnreadable: the file holds no graph that can be used.
            NotReadable: the operating system refuses.
        """

    def parse_to_run(self) -> MetaGraph:
        """Read the graph as TensorFlow is to run it, with the same names (raises as `parse`)."""
        return self.parse()


class Choice(NamedTuple):
    """What was chosen where a file holds several things.

    Attributes:
        option: the user's option that chooses another.
        chosen: its value as if it had been given; None if there is nothing to choose from.
        available: every value.
    """

    option: str
    chosen: Optional[str]
    available: Tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """One model in one format. Its files are there and fit each other; no weights are read yet.

    Attributes:
        format: graph.json's `source.checkpoint_format`.
        prefix: path for people; only its base name reaches the results.
        step: training step; None where nothing names one.
        paths: every file that is read.
        open_reader: opens the variables; may be called again, and the caller closes each reader.
        graph: None where there is only a list of variables.
        restore_prefix: where TensorFlow's own restore op finds the variables; None where it has
            none for the format, and the variables come from `open_reader`.
        inputs: tensors that the file itself names as inputs; the user's come first.
        outputs: the same of outputs.
        warnings: what was odd, for the user.
        no_graph: why `graph` is None.
        choices: what was chosen among what the file holds.
        renamed: the variables have other names than in the file (`VariableInfo.key`).
        variable_order: names of variables in the order of their layers, where the file tells it.
        training_state: variable -> which state of the training it is (category of `selection`,
            reason), None for none; without those of which the file itself does not tell.
    """

    format: str
    prefix: str
    step: Optional[int]
    paths: Tuple[str, ...]
    open_reader: Callable[[], VariableReader]
    graph: Optional[GraphFile]
    restore_prefix: Optional[str]
    inputs: Tuple[str, ...] = ()
    outputs: Tuple[str, ...] = ()
    warnings: Tuple[str, ...] = ()
    no_graph: str = NO_META
    choices: Tuple[Choice, ...] = ()
    renamed: bool = False
    variable_order: Tuple[str, ...] = ()
    training_state: Mapping[str, Optional[Tuple[str, str]]] = field(default_factory=dict)
