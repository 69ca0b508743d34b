"""Lookup tables in a checkpoint (tensorflow/python/ops/lookup_ops.py): they are no weights.

A table is saved as two tensors, "TABLE-keys" and "TABLE-values".
"""

from __future__ import annotations

from typing import Dict, Sequence

from stage_extract.reader import VariableInfo

_KEYS, _VALUES = "-keys", "-values"
# Keys of floats are those of attention.
_KEY_DTYPES = ("int32", "int64", "string")


def lookup_tables(variables: Sequence[VariableInfo]) -> Dict[str, str]:
    """Give the name of each tensor of a lookup table, and what it is in words."""
    by_name = {variable.name: variable for variable in variables}
    found = {}
    for keys in variables:
        table = keys.name[: -len(_KEYS)] if keys.name.endswith(_KEYS) else ""
        values = by_name.get(table + _VALUES)
        if not table or values is None or keys.dtype not in _KEY_DTYPES:
            continue
        if len(keys.shape) == 1 and keys.shape == values.shape[:1]:
            found[keys.name] = f"the keys of the lookup table {table}"
            found[values.name] = f"the values of the lookup table {table}"
    return found
