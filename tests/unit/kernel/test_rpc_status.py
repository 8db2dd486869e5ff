"""Errors on the wire: what goes in comes out."""

from __future__ import annotations

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.errors import Kind, ServiceError
from services.kernel.rpc.status import CODES, DETAILS_KEY, KINDS, from_rpc_error, to_message, to_trailers

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


def over_the_wire(error: ServiceError, request_id: str = "") -> ServiceError:
    trailers = grpc.aio.Metadata(*to_trailers(error, request_id))
    return from_rpc_error(
        grpc.aio.AioRpcError(CODES[error.kind], grpc.aio.Metadata(), trailers, details=to_message(error))
    )


@given(
    kind=st.sampled_from(Kind),
    message=WORDS,
    hint=WORDS,
    field=WORDS,
    retry_after=st.none() | st.integers(0, 10_000).map(lambda tenths: tenths / 10),
    fact=st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
)
def test_an_error_survives_the_wire(
    *, kind: Kind, message: str, hint: str, field: str, retry_after: float | None, fact: str
) -> None:
    sent = ServiceError(
        kind, "A_REASON", message, hint=hint, field=field, retry_after=retry_after, metadata={"limit": fact}
    )

    got = over_the_wire(sent)

    assert (got.kind, got.reason, got.message, got.hint, got.field) == (kind, "A_REASON", message, hint, field)
    assert got.retry_after == pytest.approx(retry_after)
    assert got.metadata == {"limit": fact}


def test_the_request_id_travels_with_the_error() -> None:
    got = over_the_wire(ServiceError(Kind.NOT_FOUND, "X", "None."), "6dd5e0a1-4c2c-4e50-9c5b-0d6d6f1a0a55")

    assert got.metadata["request_id"] == "6dd5e0a1-4c2c-4e50-9c5b-0d6d6f1a0a55"


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_status_but_ok_has_a_kind(code: grpc.StatusCode) -> None:
    assert isinstance(KINDS[code], Kind)


def test_every_kind_has_a_status_of_its_own() -> None:
    assert len(set(CODES.values())) == len(Kind)


@given(text=st.text(max_size=20_000), name=st.text(max_size=500))
def test_trailers_stay_below_what_grpc_carries(text: str, name: str) -> None:
    error = ServiceError(Kind.NOT_FOUND, "X", text, hint=text, field=text, metadata={"a": text, "b": name})

    size = sum(len(value) for _, value in to_trailers(error, "r"))

    assert size + 3 * len(to_message(error).encode()) < 8192


def test_a_message_that_is_no_unicode_does_not_break_the_answer() -> None:
    assert to_message(ServiceError(Kind.INTERNAL, "X", "name \udcff")) == "name ?"


@pytest.mark.parametrize("details", [b"", b"\xff\xff\xff", b"\x08\x05"])
def test_foreign_failures_get_a_sentence_of_ours(details: bytes) -> None:
    trailers = grpc.aio.Metadata((DETAILS_KEY, details))

    got = from_rpc_error(
        grpc.aio.AioRpcError(
            grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), trailers, details="ipv4:127.0.0.1: boom"
        )
    )

    assert (got.kind, got.reason) == (Kind.UNAVAILABLE, "SERVER_UNAVAILABLE")
    assert "boom" not in got.sentence()
