"""The inner door opens to peers alone, and never to a network without proof."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import grpc
import pytest
from structlog.testing import capture_logs

from services.kernel.errors import Kind, ServiceError
from services.kernel.rpc.identity import Identity, read_certificates, read_tokens
from services.kernel.rpc.inner import check_listen
from tests.builders.certificates import Authority
from tests.builders.peers import TOKEN, inner_door, peer_at

NOBODY = Identity()


async def outcome(server: Identity, client: Identity) -> str:
    """What becomes of a health check between the two: OK or a reason."""
    async with (
        inner_door((), identity=server) as door,
        peer_at(door.address, identity=client, call_seconds=5) as peer,
    ):
        try:
            await peer.check("")
        except ServiceError as error:
            assert error.kind is Kind.UNAVAILABLE
            return error.reason
        return "OK"


async def test_a_peer_with_the_token_is_let_in() -> None:
    assert await outcome(TOKEN, TOKEN) == "OK"


@pytest.mark.parametrize(
    "client", [NOBODY, Identity(tokens=("another",)), Identity(tokens=(TOKEN.tokens[0][:-1],))]
)
async def test_without_the_token_not_even_health_answers(client: Identity) -> None:
    assert await outcome(TOKEN, client) == "PEER_REFUSED"


async def test_while_a_token_is_replaced_both_are_taken() -> None:
    replacing = Identity(tokens=("new", *TOKEN.tokens))
    assert await outcome(replacing, TOKEN) == "OK"
    assert await outcome(replacing, Identity(tokens=("new",))) == "OK"


async def test_the_refusal_tells_nothing_of_the_token() -> None:
    async with inner_door(()) as door, grpc.aio.insecure_channel(door.address) as channel:
        call = channel.unary_unary(
            "/grpc.health.v1.Health/Check", request_serializer=bytes, response_deserializer=bytes
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"", metadata=grpc.aio.Metadata(("authorization", "Bearer wrong")))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert TOKEN.tokens[0] not in str(caught.value)
    assert TOKEN.tokens[0] not in repr(TOKEN)


async def test_certificates_of_one_authority_let_each_other_in() -> None:
    authority = Authority()
    assert await outcome(authority.identity(), authority.identity()) == "OK"


async def test_strangers_do_not_get_through_mutual_tls() -> None:
    authority, foreign = Authority(), Authority("foreign")
    theirs = foreign.issue()
    # Knows whom to trust, but has nothing of its own that we would trust.
    impostor = Identity(certificates=dataclasses.replace(theirs, authority=authority.issue().authority))
    for client in (NOBODY, TOKEN, foreign.identity(), impostor):
        assert await outcome(authority.identity(), client) == "PEER_UNAVAILABLE"


async def test_certificates_and_a_token_are_both_asked_for() -> None:
    authority = Authority()
    both = dataclasses.replace(authority.identity(), tokens=("t",))
    assert await outcome(both, dataclasses.replace(authority.identity(), tokens=("t",))) == "OK"
    assert await outcome(both, authority.identity()) == "PEER_REFUSED"


@pytest.mark.parametrize("address", ["0.0.0.0:7071", "[::]:7071", "10.0.0.1:7071", "rules.internal:7071"])
def test_nothing_listens_beyond_loopback_without_proof(address: str) -> None:
    with pytest.raises(ServiceError) as caught:
        check_listen(address, NOBODY)
    assert (caught.value.reason, address in caught.value.message) == ("INNER_DOOR_UNGUARDED", True)
    check_listen(address, TOKEN)
    check_listen(address, Authority().identity())


@pytest.mark.parametrize("address", ["127.0.0.1:7071", "localhost:7071", "[::1]:7071"])
def test_on_loopback_proof_may_be_missing(address: str) -> None:
    check_listen(address, NOBODY)


async def test_an_unguarded_door_is_told_of() -> None:
    with capture_logs() as logs:
        assert await outcome(NOBODY, NOBODY) == "OK"
    assert "inner_door.unguarded" in {entry["event"] for entry in logs}


def test_tokens_are_read_line_by_line() -> None:
    assert read_tokens("new\n\n  old \n", "DRYDOCK_SERVICE_TOKEN") == ("new", "old")
    assert read_tokens("", "DRYDOCK_SERVICE_TOKEN") == ()


@pytest.mark.parametrize("text", ["two words", "pässword", "x" * 513, "tab\tbed"])
def test_what_cannot_be_a_header_is_no_token(text: str) -> None:
    with pytest.raises(ServiceError) as caught:
        read_tokens(text, "DRYDOCK_SERVICE_TOKEN")
    assert caught.value.reason == "SERVICE_TOKEN_INVALID"
    assert text not in caught.value.sentence()


def test_certificates_are_read_from_their_files(tmp_path: Path) -> None:
    files = Authority().write(tmp_path)
    found = read_certificates(files["tls_cert_file"], files["tls_key_file"], files["tls_ca_file"])
    assert found is not None
    assert b"PRIVATE" in found.key
    assert "PRIVATE" not in repr(found)
    assert read_certificates(None, None, None) is None


def test_a_file_that_is_missing_broken_or_of_another_is_named(tmp_path: Path) -> None:
    files = Authority().write(tmp_path)
    cert, key, ca = files["tls_cert_file"], files["tls_key_file"], files["tls_ca_file"]
    (tmp_path / "other").mkdir()
    other = Authority().write(tmp_path / "other")["tls_key_file"]
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    for wrong, reason, word in (
        ((cert, None, ca), "TLS_INCOMPLETE", "DRYDOCK_TLS_KEY_FILE"),
        ((cert, tmp_path / "gone", ca), "TLS_FILE_UNREADABLE", "gone"),
        ((junk, key, ca), "TLS_FILE_INVALID", "junk"),
        ((cert, junk, ca), "TLS_FILE_INVALID", "junk"),
        ((cert, key, junk), "TLS_FILE_INVALID", "junk"),
        ((cert, other, ca), "TLS_FILE_INVALID", "is not that of"),
    ):
        with pytest.raises(ServiceError) as caught:
            read_certificates(*wrong)
        assert caught.value.reason == reason
        assert word in caught.value.message
