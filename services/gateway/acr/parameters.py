"""The parameters of a call as a message: every way in which clients of the reference write them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar, cast
from urllib.parse import parse_qsl

import msgspec
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from services.gateway.acr.failures import Code, refusal
from services.kernel.errors import ServiceError

M = TypeVar("M", bound=Message)
_MOST_PARAMETERS: Final = 2000
_MOST_ITEMS: Final = 1000
_NUMBER: Final = re.compile(r"-?[0-9]{1,19}")
_BOUNDS: Final = {
    FieldDescriptor.CPPTYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(1 << 63), (1 << 63) - 1),
}
_BOOLEANS: Final = {"true": True, "false": False}


def parse_pairs(encoded: bytes) -> Sequence[tuple[str, str]]:
    """Decodes a query string or a form, in their order.

    Raises:
        ServiceError: PARAMETER_ERROR.
    """
    try:
        return parse_qsl(
            encoded.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS
        )
    except ValueError as error:  # UnicodeDecodeError among the rest
        raise refusal(Code.PARAMETER_ERROR, "The parameters are no UTF-8, or too many.") from error


def merge(query: Sequence[tuple[str, str]], form: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Returns the parameters of query and form together.

    Raises:
        ServiceError: PARAMETER_ERROR when one comes twice with two values: nobody could say which one is meant.
    """
    merged: dict[str, str] = {}
    for name, value in (*query, *form):
        if merged.setdefault(name, value) != value:
            raise refusal(Code.PARAMETER_ERROR, f"The parameter {name[:80]} comes twice, with two values.")
    return merged


def to_request(kind: type[M], parameters: Mapping[str, str]) -> M:
    """Reads the message of an action; parameters that it has no field for are passed over, as `RegionId`.

    Lists come as `Name.1=a&Name.2=b` or as one JSON array, objects as JSON; booleans in any case; numbers in
    decimal digits. What is empty counts as not sent, as there.

    Raises:
        ServiceError: PARAMETER_ERROR.
    """
    request = kind()
    for field in fields_of(request):
        if field.is_repeated:
            getattr(request, field.name).extend(_list(field, parameters))
        elif text := parameters.get(field.json_name, ""):
            if field.message_type is not None:
                _fill(getattr(request, field.name), _json(field.json_name, text), field.json_name)
            else:
                setattr(request, field.name, _scalar(field, text))
    return request


def to_object(otherwise: M, text: str, name: str) -> M:
    """Reads the JSON of an object that comes as a text, with the values of `otherwise` where it names none.

    Keys are the reference's, or those of our protos, as Terraform's provider mixes them; others are passed over.

    Raises:
        ServiceError: PARAMETER_ERROR that names the parameter.
    """
    _fill(otherwise, _json(name, text), name)
    return otherwise


def fields_of(message: Message) -> Sequence[FieldDescriptor]:
    """Returns the fields of a message, by the type that both of protobuf's implementations meet."""
    return cast("Sequence[FieldDescriptor]", message.DESCRIPTOR.fields)


def _fill(message: Any, value: object, name: str) -> None:
    if not isinstance(value, dict):
        raise _wrong(name, "must be a JSON object")
    message.SetInParent()
    for field in fields_of(message):
        given = value.get(field.json_name, value.get(field.name))
        if given is not None:
            _put(message, field, given)


def _put(message: Any, field: FieldDescriptor, given: object) -> None:
    if not field.is_repeated:
        if field.message_type is not None:
            _fill(getattr(message, field.name), given, field.json_name)
        else:
            setattr(message, field.name, _scalar(field, _text(field, given)))
        return
    if not isinstance(given, list) or len(given) > _MOST_ITEMS:
        raise _wrong(field.json_name, f"must be a list of at most {_MOST_ITEMS} items")
    items = getattr(message, field.name)
    for item in given:
        if field.message_type is not None:
            _fill(items.add(), item, field.json_name)
        else:
            items.append(_scalar(field, _text(field, item)))


def _text(field: FieldDescriptor, value: object) -> str:
    """Writes a scalar of JSON as it would stand in a query."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    raise _wrong(field.json_name, "must be a text, a number or a boolean")


def _scalar(field: FieldDescriptor, text: str) -> str | int | bool:
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return text
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        found = _BOOLEANS.get(text.lower())
        if found is None:
            raise _wrong(field.json_name, "must be true or false")
        return found
    low, high = _BOUNDS[field.cpp_type]
    if not _NUMBER.fullmatch(text) or not low <= int(text) <= high:
        raise _wrong(field.json_name, "must be a number")
    return int(text)


def _list(field: FieldDescriptor, parameters: Mapping[str, str]) -> Sequence[str]:
    name = field.json_name
    whole = parameters.get(name, "")
    if whole:
        items = _json(name, whole)
    else:
        numbered = re.compile(rf"{re.escape(name)}\.([1-9][0-9]{{0,5}})")
        found = [(int(match[1]), value) for key, value in parameters.items() if (match := numbered.fullmatch(key))]
        items = [value for _, value in sorted(found)]
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise _wrong(field.json_name, 'must be a list of texts, as in ["a","b"] or as .1=a and .2=b')
    if len(items) > _MOST_ITEMS:
        raise _wrong(field.json_name, f"may have {_MOST_ITEMS} items")
    return items


def _json(name: str, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _wrong(name, "must be JSON") from error


def _wrong(name: str, what: str) -> ServiceError:
    return refusal(Code.PARAMETER_ERROR, f"The parameter {name} {what}.")
