"""Values in which every field varies, those with defaults and those of tomorrow among them."""

from __future__ import annotations

import typing
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from hypothesis import strategies as st
from pydantic import SecretStr

T = TypeVar("T")

MOMENTS = st.integers(0, 200 * 10**15).map(
    lambda past: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=past)
)
"""What a timestamp of protobuf can hold, to the microsecond."""


def whole(cls: type[T], **known: st.SearchStrategy[object]) -> st.SearchStrategy[T]:
    """Makes values of a dataclass or struct; fields that are not `known` vary by their types."""
    hints = typing.get_type_hints(cls, localns={"SecretStr": SecretStr})
    return st.builds(cls, **{name: known.get(name, _by_type(hint)) for name, hint in hints.items()})


def _by_type(hint: object) -> st.SearchStrategy[object]:
    if hint is datetime:
        return MOMENTS
    if datetime in typing.get_args(hint):
        return st.none() | MOMENTS
    return st.from_type(hint)  # type: ignore[arg-type] # a type, though perhaps of a generic kind
