"""Token authentication: with the real registry as the judge, and with the lab's for what goes wrong."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator

import pytest
import structlog
from pydantic import SecretStr

from services.kernel.model.access import RegistryAccess
from services.lab.faults import CutOff, Delay, Disconnect, Fault, Redirect, Status, WithHeader
from services.lab.image import build_image
from services.lab.push import push_image
from services.lab.registry import LabRegistry, serve_registry
from services.lab.tokens import Access, LabTokenServer, serve_tokens
from services.scanner.images.interface import Descriptor
from services.scanner.images.limits import Timeouts
from services.scanner.pipeline.resolve import ResolvedImage, resolve
from services.scanner.reasons import Reason, ScanFailure
from tests.builders.images import (
    REPOSITORY,
    a_large_layer,
    an_image,
    layer_descriptor,
    read_blob,
    registry_source,
)
from tests.fakes.clock import ManualClock
from tests.registries import PASSWORD, USERNAME, RunningRegistry, StartRegistry, lab_registry

BLOBS = "/v2/*/blobs/*"
LAYER = a_large_layer()
LAYER_DESCRIPTOR = layer_descriptor(LAYER)


@dataclasses.dataclass(frozen=True, slots=True)
class Stage:
    """A lab registry that asks for tokens, its token server, and the one clock of both and of the client."""

    registry: RunningRegistry
    lab: LabRegistry
    tokens: LabTokenServer
    clock: ManualClock

    @property
    def strangers(self) -> RegistryAccess:
        return dataclasses.replace(self.registry.access, username="")


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    clock = ManualClock()
    async with (
        serve_tokens(users={USERNAME: PASSWORD}, clock=clock) as tokens,
        lab_registry(tokens=tokens) as registry,
    ):
        for repository in (REPOSITORY, "public/app"):
            await push(registry, tokens, repository, "1.0")
        assert registry.lab is not None
        registry.lab.seen.clear()
        yield Stage(registry, registry.lab, tokens, clock)


async def push(registry: RunningRegistry, tokens: LabTokenServer, repository: str, tag: str) -> None:
    access = Access(type="repository", name=repository, actions=("pull", "push"))
    token = tokens.authority.sign(USERNAME, (access,))
    await push_image(registry.access, repository, tag, build_image([LAYER]), token=token)


async def failure_with(
    stage: Stage, access: RegistryAccess | None = None, repository: str = REPOSITORY
) -> ScanFailure:
    async with registry_source(
        access or stage.registry.access, repository=repository, clock=stage.clock, timeouts=IMPATIENT
    ) as source:
        with pytest.raises(ScanFailure) as caught:
            await source.head("1.0")
    return caught.value


IMPATIENT = Timeouts(connect_seconds=1.0, idle_seconds=0.5, request_seconds=5.0)


async def test_image_is_pulled_with_a_token(each_registry: StartRegistry) -> None:
    async with (
        serve_tokens(users={USERNAME: PASSWORD}) as tokens,
        each_registry(tokens=tokens) as running,
    ):
        await push(running, tokens, REPOSITORY, "1.0")
        async with registry_source(running.access) as source:
            resolved = await resolve(source, "1.0", None)
            assert await read_blob(source, LAYER_DESCRIPTOR) == LAYER.content

    assert isinstance(resolved, ResolvedImage)
    assert [seen.query for seen in tokens.seen] == [f"service=drydock-lab&scope=repository:{REPOSITORY}:pull"]


async def test_stranger_pulls_what_is_public_and_nothing_else(each_registry: StartRegistry) -> None:
    async with (
        serve_tokens(users={USERNAME: PASSWORD}) as tokens,
        each_registry(tokens=tokens) as running,
    ):
        for repository in (REPOSITORY, "public/app"):
            await push(running, tokens, repository, "1.0")
        stranger = dataclasses.replace(running.access, username="")
        async with registry_source(stranger, repository="public/app") as source:
            assert await read_blob(source, LAYER_DESCRIPTOR) == LAYER.content
        async with registry_source(stranger) as source:
            with pytest.raises(ScanFailure) as caught:
                await source.head("1.0")

    assert caught.value.why is Reason.REGISTRY_UNAUTHORIZED
    assert "none are configured" in caught.value.message
    assert not any("authorization" in seen.headers for seen in tokens.seen)


async def test_user_without_the_right_is_told_so(each_registry: StartRegistry) -> None:
    async with (
        serve_tokens(users={USERNAME: PASSWORD}) as tokens,
        each_registry(tokens=tokens) as running,
    ):
        await push(running, tokens, "closed/app", "1.0")
        async with registry_source(running.access, repository="closed/app") as source:
            with pytest.raises(ScanFailure) as caught:
                await source.manifest("1.0")

    assert caught.value.why is Reason.REGISTRY_FORBIDDEN
    assert "closed/app:1.0" in caught.value.message


async def test_wrong_password_is_refused_by_the_token_server(each_registry: StartRegistry) -> None:
    async with (
        serve_tokens(users={USERNAME: PASSWORD}) as tokens,
        each_registry(tokens=tokens) as running,
    ):
        access = dataclasses.replace(running.access, password=SecretStr("wr0ng-secret"))
        async with registry_source(access) as source:
            with pytest.raises(ScanFailure) as caught:
                await source.head("1.0")

    assert caught.value.why is Reason.REGISTRY_UNAUTHORIZED
    assert "refused the configured" in caught.value.message
    assert "wr0ng-secret" not in caught.value.sentence()


async def test_token_for_another_service_is_not_taken(each_registry: StartRegistry) -> None:
    async with (
        serve_tokens(users={USERNAME: PASSWORD}) as tokens,
        each_registry(tokens=tokens) as running,
    ):
        tokens.authority.service = "somebody-else"
        async with registry_source(running.access) as source:
            with pytest.raises(ScanFailure) as caught:
                await source.head("1.0")

    assert caught.value.why is Reason.REGISTRY_UNAUTHORIZED
    assert "its own token server" in caught.value.message
    assert len(tokens.seen) == 2  # once, and once anew


async def test_credentials_go_to_the_token_server_and_not_to_the_registry(stage: Stage) -> None:
    async with registry_source(stage.registry.access, clock=stage.clock) as source:
        await source.head("1.0")

    assert [seen.headers["authorization"].split()[0] for seen in stage.tokens.seen] == ["Basic"]
    assert [seen.headers.get("authorization", "")[:7] for seen in stage.lab.seen] == ["", "Bearer "]


async def test_scope_is_ours_whatever_the_challenge_says(stage: Stage) -> None:
    realm = f'Bearer realm="{stage.tokens.realm}",service="drydock-lab"'
    greedy = {"WWW-Authenticate": f'{realm},scope="repository:secret/app:pull,push,delete registry:catalog:*"'}
    stage.lab.faults.add("/v2/", Status(code=401, headers=greedy), times=1)

    async with registry_source(stage.registry.access, clock=stage.clock) as source:
        await source.head("1.0")

    assert [seen.query for seen in stage.tokens.seen] == [
        f"service=drydock-lab&scope=repository:{REPOSITORY}:pull"
    ]


async def test_token_is_used_until_shortly_before_its_end(stage: Stage) -> None:
    async with registry_source(stage.registry.access, clock=stage.clock) as source:
        for age, fetched in ((0, 1), (289, 1), (2, 2), (288, 2)):
            stage.clock.advance(age)
            await source.head("1.0")
            assert len(stage.tokens.seen) == fetched

    assert not any(seen.headers.get("authorization") is None for seen in stage.lab.seen[1:])


async def test_long_fetch_goes_on_with_a_new_token_when_the_old_one_is_too_old(stage: Stage) -> None:
    stage.lab.faults.add(BLOBS, CutOff(300_000), times=1)

    async with (
        registry_source(stage.registry.access, clock=stage.clock) as source,
        source.blob(LAYER_DESCRIPTOR) as chunks,
    ):
        content = await anext(chunks)
        stage.clock.advance(3600)
        async for chunk in chunks:
            content += chunk

    assert content == LAYER.content
    assert len(stage.tokens.seen) == 2
    first, resumed = [seen.headers for seen in stage.lab.seen if "blobs" in seen.path]
    assert first["authorization"] != resumed["authorization"]
    assert "range" in resumed


async def test_long_fetch_goes_on_when_the_registry_gives_up_on_the_token(stage: Stage) -> None:
    stage.lab.faults.add(BLOBS, CutOff(300_000), times=1)

    async with (
        registry_source(stage.registry.access, clock=stage.clock) as source,
        source.blob(LAYER_DESCRIPTOR) as chunks,
    ):
        content = await anext(chunks)
        stage.tokens.authority.revoke_all()
        async for chunk in chunks:
            content += chunk

    assert content == LAYER.content
    assert len(stage.tokens.seen) == 2
    assert ["range" in seen.headers for seen in stage.lab.seen if "blobs" in seen.path] == [False, True, True]


@pytest.mark.parametrize("revoked", [True, False])
async def test_requests_beside_each_other_renew_the_token_once(stage: Stage, revoked: bool) -> None:
    async with registry_source(stage.registry.access, clock=stage.clock) as source:
        await source.head("1.0")
        if revoked:
            stage.tokens.authority.revoke_all()
        else:
            stage.clock.advance(3600)
        await asyncio.gather(*(read_blob(source, LAYER_DESCRIPTOR) for _ in range(8)))

    assert len(stage.tokens.seen) == 2


async def test_cancelled_renewal_leaves_the_others_going(stage: Stage) -> None:
    stage.tokens.faults.add("/token", Delay(30), times=1)
    async with registry_source(stage.registry.access, clock=stage.clock) as source:
        first = asyncio.create_task(source.head("1.0"))
        while not stage.tokens.seen:
            await asyncio.sleep(0)
        second = asyncio.create_task(source.head("1.0"))
        first.cancel()
        assert (await second).digest == build_image([LAYER]).digest

    assert first.cancelled()


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
