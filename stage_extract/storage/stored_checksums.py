"""The checksums that a checkpoint keeps of its tensors, for its record."""

from __future__ import annotations

from array import array
from typing import Dict, List, Sequence, Union

from stage_extract.reader import VariableInfo, VariableReader


class StoredChecksums:
    """CRC32C of variables, four bytes each: there may be very many, and they are told last.

    Args:
        reader: knows them.
        variables: of which.
    """

    def __init__(self, reader: VariableReader, variables: Sequence[VariableInfo]) -> None:
        self._variables = variables
        self._values = array("I")
        self._ends = array("I")
        for variable in variables:
            self._values.extend(reader.checksums(variable.name))
            self._ends.append(len(self._values))

    def __len__(self) -> int:
        """Give how many there are; none where the format keeps none."""
        return len(self._values)

    def by_name(self) -> Dict[str, Union[str, List[str]]]:
        """Give 8 hexadecimal digits for each variable, a list of such for a partitioned one."""
        found: Dict[str, Union[str, List[str]]] = {}
        begin = 0
        for variable, end in zip(self._variables, self._ends):
            texts = [f"{value:08x}" for value in self._values[begin:end]]
            found[variable.name] = texts[0] if len(texts) == 1 else texts
            begin = end
        return found
