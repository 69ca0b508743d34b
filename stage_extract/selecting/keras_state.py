"""What Keras' optimizers keep beside a model: counters, settings, and slots by names of their own.

The counter proves that there is an optimizer: without one, "Adam/dense/m" may be a person's layer.
"""

from __future__ import annotations

import re
from typing import Optional, Sequence

from stage_extract.reader import VariableInfo

_COUNTERS = ("iter", "iterations")
_WHOLE_NUMBERS = ("int32", "int64")
# tensorflow/python/keras/optimizer_v2: a slot is called OPTIMIZER/VARIABLE/WORD.
_SLOT_WORDS = frozenset(
    ("accum_grad", "accum_var", "accumulator", "linear", "m", "mg", "momentum", "rms", "v", "vhat")
)
_SETTINGS = frozenset(
    ("beta_1", "beta_2", "decay", "epsilon", "l1_regularization_strength",
     "l2_regularization_strength", "learning_rate", "learning_rate_power", "lr", "m_schedule",
     "momentum", "momentum_cache", "rho")
)  # fmt: skip
_NUMBER = re.compile(r"_\d+$")
_PART = re.compile(r"/part_\d+$")
# tensorflow/python/keras/optimizers.py, and Keras before TensorFlow had it: slots without names.
_NAMELESS_SLOT = re.compile(r"(?:.*/)?training(?:_\d+)?/(?:[^/]+/)?Variable(?:_\d+)?")


class KerasState:
    """Tells the state of Keras' optimizers among the tensors of one checkpoint."""

    def __init__(self, variables: Sequence[VariableInfo]) -> None:
        self._by_name = {variable.name: variable for variable in variables}
        self._optimizers = {
            variable.name.rpartition("/")[0] + "/"
            for variable in variables
            if "/" in variable.name and is_counter(variable)
        }

    def is_setting(self, variable: VariableInfo) -> bool:
        """Tell a learning rate and the like."""
        scope, slash, word = variable.name.rpartition("/")
        is_named = _NUMBER.sub("", word) in _SETTINGS or word in _SETTINGS
        return variable.shape == () and is_named and scope + slash in self._optimizers

    def owner(self, variable: VariableInfo) -> Optional[str]:
        """Give the variable that a slot belongs to, None for what is no slot."""
        body, _, word = variable.name.rpartition("/")
        if _NUMBER.sub("", word) not in _SLOT_WORDS:
            return None
        for optimizer in self._optimizers:
            if not body.startswith(optimizer):
                continue
            name = body[len(optimizer) :]
            whole = self._by_name.get(_PART.sub("", name))
            if whole is not None and (whole.name != name or whole.shape == variable.shape):
                return whole.name
        return None

    def is_nameless_slot(self, variable: VariableInfo) -> bool:
        """Tell a slot of the first Keras optimizers: "training/Variable_3"."""
        is_named = _NAMELESS_SLOT.fullmatch(variable.name) is not None
        return is_named and bool(self._optimizers)


def is_counter(variable: VariableInfo) -> bool:
    """Tell the number of steps that a Keras optimizer has made."""
    word = _NUMBER.sub("", variable.name.rpartition("/")[2])
    return variable.shape == () and variable.dtype in _WHOLE_NUMBERS and word in _COUNTERS
