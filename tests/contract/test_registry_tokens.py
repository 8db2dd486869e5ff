"""Token authentication: with the real registry as the judge, and how long tokens are used."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from services.kernel.model.access import RegistryAccess
from services.kernel.reasons import Reason, ScanFailure
from services.lab.faults import CutOff, Delay, Status
from services.lab.image import build_image
from services.lab.tokens import Access, serve_tokens
from services.registry.resolve import ResolvedImage, resolve
from tests.builders.images import (
    REPOSITORY,
    read_blob,
    registry_source,
)
from tests.builders.tokens import (
    LAYER,
    LAYER_DESCRIPTOR,
    Stage,
    push_with_token,
    token_stage,
)
from tests.registries import PASSWORD, USERNAME, StartRegistry

BLOBS = "/v2/*/blobs/*"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with token_stage() as made:
        yield made


async def test_image_is_pulled_with_a_token(each_registry: StartRegistry) -> None:
    async with (
        serve_tokens(users={USERNAME: PASSWORD}) as tokens,
        each_registry(tokens=tokens) as running,
    ):
        await push_with_token(running, tokens, REPOSITORY, "1.0")
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
            await push_with_token(running, tokens, repository, "1.0")
        stranger = dataclasses.replace(running.access, username="")
        async with registry_source(stranger, repository="public/app") as source:
            assert await read_blob(source, LAYER_DESCRIPTOR) == LAYER.content
        async with registry_source(stranger) as source:
            with pytest.raises(ScanFailure) as caught:
                await source.head("1.0")

    assert caught.value.why is Reason.REGISTRY_UNAUTHORIZED
    assert "there are none" in caught.value.message
    assert not any("authorization" in seen.headers for seen in tokens.seen)


async def test_user_without_the_right_is_told_so(each_registry: StartRegistry) -> None:
    async with (
        serve_tokens(users={USERNAME: PASSWORD}) as tokens,
        each_registry(tokens=tokens) as running,
    ):
        await push_with_token(running, tokens, "closed/app", "1.0")
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
    assert "refused the user name" in caught.value.message
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


async def test_token_that_somebody_else_got_is_shown_as_it_is_and_no_other_is_asked_for(
    each_registry: StartRegistry,
) -> None:
    async with (
        serve_tokens(users={USERNAME: PASSWORD}) as tokens,
        each_registry(tokens=tokens) as running,
    ):
        await push_with_token(running, tokens, REPOSITORY, "1.0")
        pull = Access(type="repository", name=REPOSITORY, actions=("pull",))
        given = RegistryAccess(
            address=running.access.address,
            plain_http=True,
            token=SecretStr(tokens.authority.sign(USERNAME, (pull,))),
        )
        async with registry_source(given) as source:
            assert await read_blob(source, LAYER_DESCRIPTOR) == LAYER.content
        async with registry_source(given, repository="public/app") as source:
            with pytest.raises(ScanFailure) as caught:
                await source.head("1.0")

    assert caught.value.why is Reason.REGISTRY_UNAUTHORIZED
    assert "does not take the token" in caught.value.message
    assert given.token.get_secret_value() not in repr(given) + caught.value.sentence()
    assert not tokens.seen
