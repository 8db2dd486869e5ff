"""The token of a call, out of whatever a caller sends."""

from __future__ import annotations

import pytest

from services.kernel.rpc.bearer import bearer_in, bearer_of


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "ddk_abc"])
def test_a_header_without_bearer_token_holds_none(header: str) -> None:
    assert bearer_of(header) == ""


def test_the_scheme_is_read_in_any_case() -> None:
    assert bearer_of("bEaReR x") == "x"


@pytest.mark.parametrize(
    ("metadata", "token"),
    [
        ((), ""),
        ((("authorization", b"Bearer x"),), ""),
        ((("x", "y"), ("authorization", "Bearer x"), ("authorization", "Bearer z")), "x"),
    ],
)
def test_the_first_header_of_a_call_counts_and_bytes_are_none(
    metadata: tuple[tuple[str, str | bytes], ...], token: str
) -> None:
    assert bearer_in(metadata) == token
