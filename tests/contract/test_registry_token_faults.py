"""Token servers that fail, lie or are not to be trusted, and challenges that lead there."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import AsyncIterator

import pytest
import structlog

from services.kernel.model.access import RegistryAccess
from services.kernel.reasons import Reason
from services.lab.faults import CutOff, Delay, Disconnect, Fault, Redirect, Status, WithHeader
from services.lab.image import build_image
from services.lab.push import push_image
from services.lab.registry import serve_registry
from services.lab.tokens import serve_tokens
from services.registry.interface import Descriptor
from tests.builders.images import (
    REPOSITORY,
    an_image,
    read_blob,
    registry_source,
)
from tests.builders.tokens import (
    LAYER,
    LAYER_DESCRIPTOR,
    Stage,
    failure_with,
    token_stage,
)
from tests.registries import PASSWORD, USERNAME, lab_registry

BLOBS = "/v2/*/blobs/*"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with token_stage() as made:
        yield made


@pytest.mark.parametrize(
    ("fault", "why", "told", "asked"),
    [
        (Status(code=403), Reason.REGISTRY_FORBIDDEN, "gives no token", 1),
        (Status(code=404), Reason.REGISTRY_ERROR, "404", 1),
        (Status(code=503), Reason.REGISTRY_ERROR, "503", 3),
        (Status(code=429, headers={"Retry-After": "5"}), Reason.REGISTRY_RATE_LIMITED, "rate", 3),
        (Delay(30), Reason.REGISTRY_TIMEOUT, "too long", 3),
        (Disconnect(), Reason.REGISTRY_UNREACHABLE, "reached", 6),  # aiohttp itself asks again once
        (CutOff(10), Reason.TRANSFER_CUT_OFF, "cut off", 3),
        (Redirect("http://127.0.0.1:1/elsewhere"), Reason.REGISTRY_REALM_REFUSED, "redirects", 1),
        (Redirect("{path}"), Reason.REGISTRY_REALM_REFUSED, "redirects", 1),
        (Status(code=200, body=b"{" + b" " * 100_000 + b"}"), Reason.REGISTRY_ERROR, "more than", 1),
        (Status(code=200, body=b"<html>"), Reason.REGISTRY_ERROR, "JSON", 1),
        (Status(code=200, body=b"[" * 5000), Reason.REGISTRY_ERROR, "JSON", 1),
        (Status(code=200, body=b"{}"), Reason.REGISTRY_ERROR, "without a token", 1),
        (Status(code=200, body=b'{"token": "a\\r\\nX-Evil: 1"}'), Reason.REGISTRY_ERROR, "could be sent", 1),
        (Status(code=200, body=b'{"token": "' + b"a" * 40_000 + b'"}'), Reason.REGISTRY_ERROR, "could be sent", 1),
    ],
)
async def test_token_server_that_fails_has_its_reason(
    stage: Stage, fault: Fault, why: Reason, told: str, asked: int
) -> None:
    stage.tokens.faults.add("/token", fault)

    failure = await failure_with(stage)

    assert failure.why is why
    assert told in failure.message
    assert "127.0.0.1" in failure.message
    assert len(stage.tokens.seen) == asked


async def test_token_server_that_asks_for_much_patience_puts_the_scan_off(stage: Stage) -> None:
    stage.tokens.faults.add("/token", Status(code=429, headers={"Retry-After": "900"}))

    assert (await failure_with(stage)).retry_after == 900
    assert len(stage.tokens.seen) == 1


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        ('"token": "T"', 50),
        ('"access_token": "T", "expires_in": 120', 110),
        ('"token": "T", "expires_in": "120"', 110),
        ('"token": "T", "expires_in": 5', 50),
        ('"token": "T", "expires_in": -1', 50),
        ('"token": "T", "expires_in": 1e300', 3590),
        ('"token": "T", "expires_in": 300, "issued_at": "2026-11-24T11:58:20.000000001Z"', 190),
        ('"token": "T", "expires_in": 300, "issued_at": "2030-01-01T00:00:00Z"', 290),
        ('"token": "T", "expires_in": 300, "issued_at": "yesterday"', 290),
    ],
)
async def test_token_lives_as_long_as_its_answer_says(stage: Stage, answer: str, seconds: int) -> None:
    stage.tokens.faults.add("/token", Status(code=200, body=f"{{{answer}}}".encode()))
    async with serve_registry() as easy:
        await push_image(RegistryAccess(address=easy.address, plain_http=True), REPOSITORY, "1.0", an_image())
        challenge = {"WWW-Authenticate": f'Bearer realm="{stage.tokens.realm}"'}
        easy.faults.add("/v2/", Status(code=401, headers=challenge))
        access = dataclasses.replace(stage.registry.access, address=easy.address)
        async with registry_source(access, clock=stage.clock) as source:
            await source.head("1.0")
            stage.clock.advance(seconds - 1)
            await source.head("1.0")
            assert len(stage.tokens.seen) == 1
            stage.clock.advance(1)
            await source.head("1.0")
            assert len(stage.tokens.seen) == 2
        assert easy.seen[-1].headers["authorization"] == "Bearer T"


@pytest.mark.parametrize("realm", ["http://localhost:{port}/token", "https://localhost:{port}/token"])
async def test_realm_on_another_host_never_sees_the_credentials(stage: Stage, realm: str) -> None:
    port = stage.tokens.realm.rpartition(":")[2].partition("/")[0]
    challenge = f'Bearer realm="{realm.format(port=port)}",service="drydock-lab"'
    stage.lab.faults.add("*", Status(code=401, headers={"WWW-Authenticate": challenge}))

    failure = await failure_with(stage)

    assert failure.why is Reason.REGISTRY_REALM_REFUSED
    assert "localhost" in failure.message
    assert stage.tokens.seen == []


async def test_realm_at_a_metadata_address_is_never_asked(stage: Stage) -> None:
    challenge = 'Bearer realm="https://169.254.169.254/latest"'
    stage.lab.faults.add("*", Status(code=401, headers={"WWW-Authenticate": challenge}))

    for access in (stage.registry.access, stage.strangers):
        assert (await failure_with(stage, access)).why is Reason.REGISTRY_REALM_REFUSED


async def test_challenge_that_cannot_be_read_is_an_error_of_the_registry(stage: Stage) -> None:
    stage.lab.faults.add("*", WithHeader("WWW-Authenticate", 'Bearer realm="open'))

    failure = await failure_with(stage)

    assert failure.why is Reason.REGISTRY_ERROR
    assert "cannot be read" in failure.message
    assert len(stage.lab.seen) == 1


async def test_of_two_offers_the_token_is_taken_and_else_the_password_stays_with_the_registry() -> None:
    async with (
        serve_tokens(users={USERNAME: PASSWORD}) as tokens,
        lab_registry(basic_auth=True) as registry,
    ):
        assert registry.lab is not None
        await push_image(registry.access, REPOSITORY, "1.0", build_image([LAYER]))
        for realm in (tokens.realm, "https://elsewhere.invalid/token"):
            registry.lab.seen.clear()
            both = {"WWW-Authenticate": f'Bearer realm="{realm}", Basic realm="lab"'}
            registry.lab.faults.add("/v2/", Status(code=401, headers=both), times=1)
            async with registry_source(registry.access) as source:
                await source.head("1.0")

    assert len(tokens.seen) == 1
    assert [seen.headers.get("authorization", "")[:6] for seen in registry.lab.seen] == ["", "Basic "]


async def test_nothing_that_can_be_offered_is_said(stage: Stage) -> None:
    stage.lab.faults.add("*", WithHeader("WWW-Authenticate", "Negotiate"))

    failure = await failure_with(stage)

    assert failure.why is Reason.REGISTRY_UNAUTHORIZED
    assert "neither Basic nor token" in failure.message


async def test_registry_that_cannot_say_how_to_ask_is_tried_again(stage: Stage) -> None:
    stage.lab.faults.add("/v2/", Status(code=503), times=2)

    async with registry_source(stage.registry.access, clock=stage.clock) as source:
        assert (await source.head("1.0")).digest == build_image([LAYER]).digest


async def test_tokens_do_not_follow_a_redirect_to_another_host(stage: Stage) -> None:
    async with serve_registry() as storage:
        await push_image(
            RegistryAccess(address=storage.address, plain_http=True), REPOSITORY, "1.0", build_image([LAYER])
        )
        storage.seen.clear()
        stage.lab.faults.add(BLOBS, Redirect(f"http://{storage.address}{{path}}"))
        async with registry_source(stage.registry.access, clock=stage.clock) as source:
            assert await read_blob(source, LAYER_DESCRIPTOR) == LAYER.content

        assert ["authorization" in seen.headers for seen in storage.seen] == [False]


async def test_neither_token_nor_password_is_logged(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.tokens.faults.add("/token", Status(code=503), times=1)
    with structlog.testing.capture_logs() as logged, caplog.at_level(logging.DEBUG):
        async with registry_source(stage.registry.access, clock=stage.clock) as source:
            await source.head("1.0")

    token = stage.lab.seen[-1].headers["authorization"].removeprefix("Bearer ")
    basic = stage.tokens.seen[-1].headers["authorization"].removeprefix("Basic ")
    assert logged
    for secret in (token, basic, PASSWORD):
        assert secret not in f"{logged} {caplog.text}"


async def test_descriptor_of_another_repository_needs_its_own_token(stage: Stage) -> None:
    lost = Descriptor(media_type="", digest=LAYER.digest, size=LAYER_DESCRIPTOR.size)
    async with registry_source(stage.registry.access, repository="public/app", clock=stage.clock) as source:
        assert await read_blob(source, lost) == LAYER.content

    assert [seen.query for seen in stage.tokens.seen] == ["service=drydock-lab&scope=repository:public/app:pull"]
