"""The tables of fields say what TensorFlow's own descriptors say."""

from __future__ import annotations

from typing import Any, Dict

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FieldDescriptor

# Loads the descriptors of all messages.
from stage_extract.messages import native
from stage_extract.messages.schema import ENUM, MAP, MESSAGE, TABLES, Field
from stage_extract.messages.tables import ENUMS

_POOL = descriptor_pool.Default()
_TYPES = {
    value: name[len("TYPE_") :].lower()
    for name, value in vars(FieldDescriptor).items()
    if name.startswith("TYPE_")
}


def full_name(name: str) -> str:
    return name if name.startswith("google.") else f"tensorflow.{name}"


def short_name(descriptor: Any) -> str:
    return str(descriptor.full_name).replace("tensorflow.", "", 1)


def expected_field(descriptor: Any) -> Dict[str, Any]:
    kind = _TYPES[descriptor.type]
    type_name = ""
    entry = None
    repeated = descriptor.label == FieldDescriptor.LABEL_REPEATED
    if descriptor.enum_type is not None:
        type_name = short_name(descriptor.enum_type)
    elif descriptor.message_type is not None:
        type_name = short_name(descriptor.message_type)
        if descriptor.message_type.GetOptions().map_entry:
            kind, repeated = MAP, False
            entry = {field.name: expected_field(field) for field in descriptor.message_type.fields}
    oneof = descriptor.containing_oneof.name if descriptor.containing_oneof else ""
    return {
        "number": descriptor.number,
        "kind": kind,
        "type": None if entry else type_name,
        "entry": entry,
        "repeated": repeated,
        "oneof": oneof,
    }


def found_field(field: Field) -> Dict[str, Any]:
    entry = None
    if field.kind == MAP:
        entry = {one.name: found_field(one) for one in TABLES[field.type_name].by_name.values()}
    return {
        "number": field.number,
        "kind": field.kind,
        "type": None if entry else field.type_name,
        "entry": entry,
        "repeated": field.repeated,
        "oneof": field.oneof,
    }


MESSAGES = sorted(name for name in TABLES if not name.endswith(".entry"))


@pytest.mark.parametrize("name", MESSAGES)
def test_fields_are_those_of_the_descriptor(name: str) -> None:
    descriptor = _POOL.FindMessageTypeByName(full_name(name))
    expected = {field.name: expected_field(field) for field in descriptor.fields}
    found = {name: found_field(field) for name, field in TABLES[name].by_name.items()}
    assert found == expected


@pytest.mark.parametrize("name", sorted(ENUMS))
def test_values_are_those_of_the_enum(name: str) -> None:
    descriptor = _POOL.FindEnumTypeByName(full_name(name))
    assert dict(ENUMS[name]) == {value.name: value.number for value in descriptor.values}


def test_every_message_that_a_field_names_has_a_table() -> None:
    named = {
        field.type_name
        for table in TABLES.values()
        for field in table.by_name.values()
        if field.kind in (MESSAGE, MAP)
    }
    enums = {
        field.type_name
        for table in TABLES.values()
        for field in table.by_name.values()
        if field.kind == ENUM
    }
    assert named <= set(TABLES)
    assert enums == set(ENUMS)


def test_both_kinds_of_messages_have_the_same_names() -> None:
    from stage_extract.messages import pure

    for name in native.__all__:
        assert hasattr(pure, name), name
