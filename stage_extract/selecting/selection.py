"""Decides which tensors of a checkpoint are the model, and says why the others stay out."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from stage_extract.dtypes import BY_NAME
from stage_extract.graph.keys import WORKERS_MEAN
from stage_extract.reader import VariableInfo
from stage_extract.selecting.keras_state import KerasState, is_counter
from stage_extract.selecting.lookup_tables import lookup_tables
from stage_extract.selecting.optimizer_graph import OptimizerHints, strip_number
from stage_extract.selecting.plain_names import without_outputs
from stage_extract.storage.slices import count_elements

OPTIMIZER_SLOT = "optimizer_slot"
STEP_COUNTER = "step_counter"
STRING = "string"
UNSUPPORTED_DTYPE = "unsupported_dtype"
OPAQUE_BUFFER = "opaque_buffer"
HASH_TABLE = "hash_table"

# Last part of a slot's name -> the slot has the shape of its variable. The words are the default
# names of the optimizers in tensorflow/python/training, tensorflow/contrib/opt, and of those that
# BERT, ALBERT and tensor2tensor brought along.
_SLOT_WORDS: Mapping[str, bool] = MappingProxyType(
    {
        **dict.fromkeys(
            ("Adam", "AdamW", "AdaMax", "Adamax", "Nadam", "LazyAdam", "AMSGrad", "RAdam"), True
        ),
        **dict.fromkeys(
            ("Adadelta", "Adagrad", "AdagradDA", "RegAdagrad", "ProximalAdagrad"), True
        ),
        **dict.fromkeys(("Momentum", "MomentumW", "RMSProp", "RMSprop", "Ftrl"), True),
        **dict.fromkeys(("AddSign", "AddSignOptimizer", "PowerSign", "PowerSignOptimizer"), True),
        **dict.fromkeys(("LARS", "LARSOptimizer", "LAMB", "LAMBOptimizer", "AccumGrad"), True),
        **dict.fromkeys(("adam_m", "adam_v", "lamb_m", "lamb_v"), True),
        # These keep matrices or factors of another shape.
        **dict.fromkeys(("Shampoo", "Adafactor", "AdafactorOptimizer", "SM3"), False),
    }
)
# mesh-tensorflow's Adafactor: VARIABLE_slot_vr …
_SUFFIX_SLOT = re.compile(r"(.+)_slot_(?:vr|vc|v|m)$")
_TRAILING_NUMBER = re.compile(r"\d+$")
_BETA_POWER = re.compile(r"(?:.*/)?beta[12]_power(?:_\d+)?$")
_STEP_NAME = re.compile(r"(?:.*/)?(?:global_step|sync_rep_local_step|stale_counter)(?:_\d+)?$")
# Keras: "training/Adam/conv/kernel/m", "training/Adam/Variable_3", "Adam/iterations".
_KERAS_OPTIMIZERS = "Adadelta|Adagrad|Adam|Adamax|Ftrl|Nadam|RMSprop|SGD|TFOptimizer"
_KERAS_SLOT = re.compile(rf"training(?:_\d+)?/(?:{_KERAS_OPTIMIZERS})(?:_\d+)?/.+")
_KERAS_SCALAR = re.compile(
    rf"(?:{_KERAS_OPTIMIZERS})(?:_\d+)?/"
    r"(?:iterations|iter|lr|learning_rate|decay|beta_1|beta_2|rho|momentum|momentum_cache|epsilon)"
    r"(?:_\d+)?"
)
_KERAS_STEPS = re.compile(r"(?:training(?:_\d+)?/)?[^/]+/(?:iterations|iter)(?:_\d+)?")
# Object-based checkpoints (tensorflow/python/training/tracking/graph_view.py).
_OBJECT_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_OBJECT_SLOT = re.compile(r"(.+)/\.OPTIMIZER_SLOT/(.+)/([^/]+)/\.ATTRIBUTES/VARIABLE_VALUE$")
_OBJECT_STEP = re.compile(r"(?:.*/)?(?:save_counter|iter|global_step)/\.ATTRIBUTES/VARIABLE_VALUE$")
# tensorflow/python/training/experimental/loss_scale.py, contrib/mixed_precision.
_LOSS_SCALE = ("bad_steps", "current_loss_scale", "good_steps", "loss_scale")
# contrib.opt.GGTOptimizer keeps three tensors for all variables together.
_GGT_NAMES = ("grad_buffer", "moment1", "flat_grad")


class Skipped(NamedTuple):
    """A tensor that stays out of the export.

    Attributes:
        variable: what it is.
        category: one of this module's constants.
        reason: in words.
    """

    variable: VariableInfo
    category: str
    reason: str

    def to_json(self) -> Dict[str, Any]:
        """Give the entry of graph.json's "skipped"."""
        return {
            "name": self.variable.name,
            "dtype": self.variable.dtype,
            "shape": list(self.variable.shape),
            "category": self.category,
            "reason": self.reason,
            **({} if self.variable.key is None else {"key": self.variable.key}),
        }


class Selection(NamedTuple):
    """The tensors of a checkpoint, divided; both parts sorted by name."""

    kept: Tuple[VariableInfo, ...]
    skipped: Tuple[Skipped, ...]


_Finding = Optional[Tuple[str, str]]
_WHOLE_NUMBERS = frozenset(("int32", "int64"))


class _Judge:
    """Judges one tensor after the other; knows all of the checkpoint's names."""

    def __init__(self, variables: Sequence[VariableInfo], hints: OptimizerHints) -> None:
        self._by_name = {variable.name: variable for variable in variables}
        self._hints = hints
        self._words = dict(_SLOT_WORDS)
        for word in hints.slot_words:
            self._words.setdefault(word, True)
        slots = (_OBJECT_SLOT.match(variable.name) for variable in variables)
        self._object_optimizers = tuple({match.group(2) + "/" for match in slots if match})
        self._keras = KerasState(variables)
        self._ggt = all(name in self._by_name for name in _GGT_NAMES)

    def training_state(self, variable: VariableInfo) -> _Finding:
        """Tell what part of the training's state a tensor is; None if it is none."""
        finding = self._slot_of_keras_object(variable)
        if finding is not None:
            return finding
        if variable.name in self._hints.trainable:
            # tf.Variable(0, name="step") is called trainable too, but no gradient moves it.
            return self.step_counter(variable) if variable.dtype in _WHOLE_NUMBERS else None
        checks: Tuple[Callable[[VariableInfo], _Finding], ...] = (
            self._slot_by_graph,
            self._slot_by_name,
            self._slot_of_object,
            self._slot_of_keras,
            self.step_counter,
        )
        findings = (check(variable) for check in checks)
        return next((finding for finding in findings if finding is not None), None)

    def opaque_buffer(self, variable: VariableInfo) -> _Finding:
        """Tell whether a tensor only holds others once more, in an arrangement of cuDNN's own."""
        parts = self._hints.opaque.get(variable.name)
        if parts is None or not parts <= self._by_name.keys():
            return None
        return OPAQUE_BUFFER, f"cuDNN's own arrangement of {min(parts)} and what belongs to it"

    def _slot_by_graph(self, variable: VariableInfo) -> _Finding:
        owner = self._hints.slots.get(variable.name)
        if owner is None or variable.name == owner:
            return None
        word = variable.name.rpartition("/")[2]
        return OPTIMIZER_SLOT, f"{word} slot of {owner} (an op that applies its gradient reads it)"

    def _slot_by_name(self, variable: VariableInfo) -> _Finding:
        if variable.name in self._hints.still:
            return None
        if _BETA_POWER.match(variable.name) and count_elements(variable.shape) == 1:
            return OPTIMIZER_SLOT, "a power of beta that Adam's step size needs"
        if self._is_loss_scale(variable):
            return OPTIMIZER_SLOT, "state of the loss scale of a training in float16"
        if self._ggt and variable.name in _GGT_NAMES:
            return OPTIMIZER_SLOT, "GGT's state of all variables"
        match = _SUFFIX_SLOT.match(variable.name)
        if match and match.group(1) in self._by_name:
            return OPTIMIZER_SLOT, f"Adafactor slot of {match.group(1)}"
        body, slash, word = variable.name.rpartition("/")
        same_shape = self._words.get(word, self._words.get(strip_number(word)))
        if not slash or same_shape is None:
            return None
        owner = self._owner(body, variable.shape if same_shape else None)
        if owner is None:
            return None
        return OPTIMIZER_SLOT, f"{word} slot of {owner}"

    def _is_loss_scale(self, variable: VariableInfo) -> bool:
        """Tell a loss scale, and the numbers of steps that it went well or badly with."""
        scope, slash, word = variable.name.rpartition("/")
        beside = self._by_name.get(f"{scope}{slash}good_steps")
        return variable.shape == () and word in _LOSS_SCALE and beside is not None

    def _owner(self, body: str, shape: Optional[Tuple[int, ...]]) -> Optional[str]:
        """Find the variable that a slot with this name (its last part taken off) belongs to.

        The slot stands under the variable's own name, perhaps inside the scope in which the
        optimizer was called ("OptimizeLoss/conv/kernel"), or with a rest of a partition's name
        behind it, or with the name of the optimizer there ("kernel/LAMBOptimizer/adam_m").
        """
        parts = body.split("/")
        candidates = [("/".join(parts[start:]), "") for start in range(len(parts))]
        candidates += [
            ("/".join(parts[:end]), "/".join(parts[end:])) for end in range(len(parts) - 1, 0, -1)
        ]
        for name, rest in candidates:
            variable = self._by_name.get(name) or self._by_name.get(WORKERS_MEAN + name)
            if variable is None or (shape is not None and variable.shape != shape):
                continue
            if not rest or strip_number(rest) in _SLOT_WORDS or _is_rest_of_part(name, rest):
                return name
        return None

    def _slot_of_object(self, variable: VariableInfo) -> _Finding:
        match = _OBJECT_SLOT.match(variable.name)
        if match:
            return OPTIMIZER_SLOT, f"{match.group(3)} slot of {match.group(1)}"
        if variable.name.startswith(self._object_optimizers) and variable.shape == ():
            kind = STEP_COUNTER if _OBJECT_STEP.match(variable.name) else OPTIMIZER_SLOT
            return kind, "a setting or counter of the optimizer object"
        return None

    def _slot_of_keras_object(self, variable: VariableInfo) -> _Finding:
        """Find the state of an optimizer of tf.keras; it calls it all trainable."""
        if self._keras.is_setting(variable):
            return OPTIMIZER_SLOT, "a setting of a Keras optimizer"
        owner = self._keras.owner(variable)
        if owner is not None:
            return OPTIMIZER_SLOT, f"slot of {owner}, of a Keras optimizer"
        if self._keras.is_nameless_slot(variable):
            return OPTIMIZER_SLOT, "state of the Keras optimizer of model.fit"
        if "/" in variable.name and is_counter(variable):
            return STEP_COUNTER, "the number of steps that a Keras optimizer has made"
        return None

    def _slot_of_keras(self, variable: VariableInfo) -> _Finding:
        is_slot = _KERAS_SLOT.fullmatch(variable.name) is not None
        is_setting = variable.shape == () and _KERAS_SCALAR.fullmatch(variable.name) is not None
        if not is_slot and not is_setting:
            return None
        if variable.shape == () and _KERAS_STEPS.fullmatch(variable.name):
            return STEP_COUNTER, "the number of steps that a Keras optimizer has made"
        if is_setting:
            return OPTIMIZER_SLOT, "a setting of a Keras optimizer"
        return OPTIMIZER_SLOT, "state of the Keras optimizer of model.fit"

    def step_counter(self, variable: VariableInfo) -> _Finding:
        if variable.name in self._hints.step_counters:
            return STEP_COUNTER, "the graph's global step"
        if count_elements(variable.shape) != 1:
            return None
        if _STEP_NAME.match(variable.name):
            return STEP_COUNTER, "counts the steps of the training"
        if variable.name.endswith(_OBJECT_VALUE) and _OBJECT_STEP.match(variable.name):
            return STEP_COUNTER, "counts the steps or saves of the training"
        return None


def _is_rest_of_part(name: str, rest: str) -> bool:
    """Tell whether `rest` is what TensorFlow leaves of the name of a variable's part.

    For the slot of a partitioned variable inside another scope, SaveSliceInfo's name is cut by the
    length of the part's name at the wrong place (tensorflow/python/training/slot_creator.py), so
    "kernel/part_0/Adagrad" comes out as "kernel/t_0/Adagrad".
    """
    number = _TRAILING_NUMBER.search(rest)
    part = f"{name}/part_{number.group()}" if number else None
    return part is not None and (part.endswith(rest) or rest.endswith("/" + part))


def _not_storable(variable: VariableInfo) -> _Finding:
    element_type = BY_NAME[variable.dtype]
    if element_type.safetensors is not None:
        return None
    if variable.dtype == "string":
        return STRING, "text, not numbers"
    return UNSUPPORTED_DTYPE, f"safetensors has no element type for {variable.dtype}"


def select(
    variables: Sequence[VariableInfo],
    hints: OptimizerHints,
    keep_optimizer: bool,
    told: Mapping[str, _Finding] = MappingProxyType({}),
) -> Selection:
    """Divide the tensors of a checkpoint into the model and what stays out.

    Moving statistics, moving averages and untrained variables belong to the model.

    Args:
        variables: all tensors of the checkpoint, sorted by name.
        hints: what the graph says of the optimizers.
        keep_optimizer: keep optimizer slots and step counters as well.
        told: what the file says is state of the training (`Source.training_state`).
    """
    plain = without_outputs(variables)
    judge = _Judge(plain, hints if plain is variables else hints.without_outputs())
    tables = lookup_tables(plain)
    kept: List[VariableInfo] = []
    skipped: List[Skipped] = []
    for variable, named in zip(variables, plain):
        content = tables.get(named.name)
        finding = None if content is None else (HASH_TABLE, content)
        finding = finding or _not_storable(variable) or judge.opaque_buffer(named)
        if finding is None and not keep_optimizer:
            finding = (
                told[variable.name] or judge.step_counter(named)
                if variable.name in told
                else judge.training_state(named)
            )
        if finding is None:
            kept.append(variable)
        else:
            skipped.append(Skipped(variable, *finding))
    return Selection(tuple(kept), tuple(skipped))
