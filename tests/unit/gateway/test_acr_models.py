"""Our messages beside the models of the official SDK: every field by its name on the wire and of its type."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from alibabacloud_cr20181201 import models as cr
from google.protobuf.descriptor import FieldDescriptor

from services.gateway.acr.door import SERVICE

_SCALARS = {
    FieldDescriptor.CPPTYPE_STRING: "str",
    FieldDescriptor.CPPTYPE_INT32: "int",
    FieldDescriptor.CPPTYPE_INT64: "int",
    FieldDescriptor.CPPTYPE_BOOL: "bool",
}
_WRITTEN = (
    re.compile(r"result\['(\w+)'\] = self\.(\w+)"),
    re.compile(r"result\['(\w+)'\] = \[\]\s+if self\.(\w+)"),
)
_NEVER_SET = {"ListScanRuleResponse.ScanRules": {"InstanceId"}}
"""What a message has that stands in two places, and is not sent in this one."""
_MODEL = re.compile(r"(?:main_models\.)?(\w+)")


def wire_of(model: Any) -> dict[str, str]:
    """The names that a model has on the wire, with the types that its constructor says."""
    source = inspect.getsource(model.to_map)
    names = {field: name for pattern in _WRITTEN for name, field in pattern.findall(source)}
    said = inspect.signature(model.__init__).parameters
    return {names[field]: str(said[field].annotation) for field in said if field != "self"}


def check(message: Any, model: Any, where: str) -> None:
    """Holds a message against a model, and what lies inside against what lies inside."""
    theirs, ours = wire_of(model), {field.json_name: field for field in message.fields}
    assert set(ours) - _NEVER_SET.get(where, set()) == set(theirs), where
    for name in theirs:
        field = ours[name]
        said = theirs[name]
        listed = re.fullmatch(r"List\[(.*)\]", said)
        assert bool(listed) is field.is_repeated, f"{where}.{name}"
        inner = listed[1] if listed else said
        if field.message_type is None:
            assert inner == _SCALARS[field.cpp_type], f"{where}.{name}"
        else:
            found = _MODEL.fullmatch(inner)
            assert found is not None
            check(field.message_type, getattr(cr, found[1].rstrip("_")), f"{where}.{name}")


@pytest.mark.parametrize("method", list(SERVICE.methods), ids=lambda method: method.name)
def test_every_field_is_that_of_the_official_model(method: Any) -> None:
    check(method.input_type, getattr(cr, f"{method.name}Request"), f"{method.name}Request")
    check(method.output_type, getattr(cr, f"{method.name}ResponseBody"), f"{method.name}Response")
