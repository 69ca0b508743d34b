"""Tensors of every type have the values that TensorFlow reads from them."""

from __future__ import annotations

from typing import Any, Tuple

import numpy
import pytest
import tensorflow
from tensorflow.python.framework import tensor_util

from stage_extract.dtypes import ELEMENT_TYPES
from stage_extract.messages import native, pure
from stage_extract.messages.tensors import TensorError, make_array

SHAPE = (2, 3)
NUMERIC = [
    number
    for number, element in ELEMENT_TYPES.items()
    if element.size_bytes is not None and not element.name.startswith(("q", "bfloat"))
]
# Not the unsigned ones of 32 and 64 bits.
KNOWN_TO_MAKE_NDARRAY = frozenset(NUMERIC) - {22, 23}
BFLOAT16 = 14
FLOAT, STRING = 1, 7


def both(message: Any) -> Tuple[Any, Any]:
    """Give the array of a message of TensorFlow's and of the same of ours."""
    ours = pure.TensorProto()
    ours.ParseFromString(message.SerializeToString())
    return make_array(message), make_array(ours)


def values_of(number: int, shape: Tuple[int, ...] = SHAPE) -> Any:
    dtype = tensorflow.as_dtype(number).as_numpy_dtype
    count = int(numpy.prod(shape))
    if number == 10:
        return (numpy.arange(count) % 2 == 0).reshape(shape)
    values = numpy.arange(1, count + 1) * (3 if numpy.dtype(dtype).kind == "u" else -3)
    if numpy.dtype(dtype).kind == "c":
        values = values + 1j * numpy.arange(count)
    return values.astype(dtype).reshape(shape)


def shaped(number: int, *sizes: int, **fields: Any) -> Any:
    message = native.TensorProto(dtype=number, **fields)
    for size in sizes:
        message.tensor_shape.dim.add(size=size)
    return message


def listed(number: int, count: int = 6) -> Any:
    """Give a message with the first values one by one, as constants of a few elements have them."""
    message = shaped(number, *SHAPE)
    values = values_of(number).reshape(-1)[:count]
    kind = ELEMENT_TYPES[number].name
    if kind in ("bfloat16", "float16"):
        message.half_val.extend(values.view(numpy.uint16).tolist())
    elif kind.startswith("complex"):
        parts = [part for one in values.tolist() for part in (one.real, one.imag)]
        getattr(message, {"complex64": "scomplex_val"}.get(kind, "dcomplex_val")).extend(parts)
    else:
        fields = {"float32": "float_val", "float64": "double_val", "bool": "bool_val"}
        fields.update((name, f"{name}_val") for name in ("int64", "uint32", "uint64"))
        getattr(message, fields.get(kind, "int_val")).extend(values.tolist())
    return message


@pytest.mark.parametrize("number", NUMERIC, ids=lambda number: ELEMENT_TYPES[number].name)
@pytest.mark.parametrize("form", ["content", "listed"])
def test_values_are_those_of_tensorflow(number: int, form: str) -> None:
    expected = values_of(number)
    message = listed(number)
    if form == "content":
        message = shaped(number, *SHAPE, tensor_content=expected.tobytes())
    if number in KNOWN_TO_MAKE_NDARRAY:
        assert tensor_util.MakeNdarray(message).tobytes() == expected.tobytes()
    for array in both(message):
        assert (array.dtype, array.shape) == (expected.dtype, expected.shape)
        assert array.tobytes() == expected.tobytes()


@pytest.mark.parametrize("form", ["content", "listed"])
def test_bfloat16_is_given_as_its_bits(form: str) -> None:
    expected = values_of(BFLOAT16).view(numpy.uint16)
    message = listed(BFLOAT16)
    if form == "content":
        message = shaped(BFLOAT16, *SHAPE, tensor_content=expected.tobytes())
    for array in both(message):
        assert array.dtype == numpy.uint16
        assert array.tolist() == expected.tolist()


@pytest.mark.parametrize("number", [*NUMERIC, STRING], ids=lambda n: ELEMENT_TYPES[n].name)
@pytest.mark.parametrize("given", [0, 1, 2], ids=["none", "one", "two"])
def test_missing_values_repeat_the_last(number: int, given: int) -> None:
    message = shaped(number, *SHAPE) if number == STRING else listed(number, given)
    if number == STRING:
        message.string_val.extend([b"a", b"\xff"][:given])
    attributes = {"value": tensorflow.compat.v1.AttrValue(tensor=message)}
    attributes["dtype"] = tensorflow.compat.v1.AttrValue(type=number)
    with tensorflow.Graph().as_default() as graph, tensorflow.compat.v1.Session() as session:
        constant = graph.create_op("Const", [], [message.dtype], attrs=attributes)
        expected = session.run(constant.outputs[0])
    for array in both(message):
        assert array.dtype.kind == expected.dtype.kind
        assert array.tolist() == expected.tolist()


@pytest.mark.parametrize("values", [[], [b""], [b"a", b"bc", b"\x00\xff"]], ids=len)
def test_texts_come_as_bytes(values: Any) -> None:
    message = tensor_util.make_tensor_proto(numpy.array(values, object), tensorflow.string)
    for array in both(message):
        assert array.dtype == object
        assert array.tolist() == values


LIES = {
    "2**60-bytes": shaped(FLOAT, 2**30, 2**30, tensor_content=b"\x00" * 8),
    "2**60-of-two": shaped(FLOAT, 2**30, 2**30, float_val=[1, 2]),
    "2**62-of-one": shaped(FLOAT, 2**62, 2**62, float_val=[1]),
    "unknown-size": shaped(FLOAT, -1, float_val=[1]),
    "unknown-rank": native.TensorProto(
        dtype=FLOAT, tensor_shape=native.TensorShapeProto(unknown_rank=True)
    ),
    "too-many-values": shaped(FLOAT, 2, float_val=[1, 2, 3]),
    "a-value-for-none": shaped(FLOAT, 0, 3, float_val=[2.5]),
    "too-many-axes": shaped(FLOAT, *[1] * 33, float_val=[1]),
    "half-an-element": shaped(FLOAT, 2, tensor_content=b"\x00" * 7),
    "half-a-complex": shaped(8, 1, scomplex_val=[1]),
    "resource": shaped(20, 1),
    "no-type": shaped(0, 1),
    "unknown-type": shaped(99, 1),
}


@pytest.mark.parametrize("message", LIES.values(), ids=list(LIES))
def test_a_lie_is_refused_without_room_for_it(message: Any) -> None:
    ours = pure.TensorProto()
    ours.ParseFromString(message.SerializeToString())
    for one in (message, ours):
        with pytest.raises(TensorError):
            make_array(one)


def test_one_value_for_many_takes_no_room() -> None:
    array = make_array(shaped(FLOAT, 2**20, 2**20, float_val=[2.5]))
    assert array.shape == (2**20, 2**20)
    assert array[5, 7] == 2.5
