"""A trial of a registry: what it says of one that is well, of one that is not, and of one with nothing in it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Sequence

import pytest
from pydantic import SecretStr

from services.kernel.model.access import RegistryAccess
from services.kernel.model.reference import RepositoryName, parse_repository
from services.kernel.reasons import Reason, ScanFailure
from services.lab.faults import Delay, Disconnect, Status
from services.lab.image import build_index
from services.lab.push import push_image
from services.lab.registry import LabRegistry, serve_registry
from services.lab.tokens import serve_tokens
from services.registry.limits import RetryPolicy, SourceSettings
from services.registry.trial import Trial, try_registry
from tests.builders.images import REPOSITORY, an_image
from tests.builders.tokens import push_with_token
from tests.registries import PASSWORD, USERNAME, StartRegistry

NAME = parse_repository(REPOSITORY)


async def trial(access: RegistryAccess, *known: RepositoryName, pull: bool = True, seconds: float = 10.0) -> Trial:
    settings = SourceSettings(retry=RetryPolicy(attempts=1))
    return await try_registry(settings, access, known, pull=pull, seconds=seconds)


def why(failure: ScanFailure | None) -> Reason | None:
    return failure.why if failure else None


def with_password(access: RegistryAccess, password: str) -> RegistryAccess:
    return RegistryAccess(address=access.address, plain_http=True, username=USERNAME, password=SecretStr(password))


@contextlib.asynccontextmanager
async def lab(*repositories: str) -> AsyncIterator[tuple[LabRegistry, RegistryAccess]]:
    async with serve_registry() as registry:
        access = RegistryAccess(address=registry.address, plain_http=True)
        for repository in repositories:
            await push_image(access, repository, "1.0", an_image(repository))
        yield registry, access


async def test_an_image_is_pulled_but_for_its_layers(each_registry: StartRegistry) -> None:
    async with each_registry() as registry:
        await push_image(registry.access, REPOSITORY, "1.0", an_image())
        for known in ((), (NAME,), (parse_repository("gone/app"), NAME)):
            assert await trial(registry.access, *known) == Trial(pulled=f"{REPOSITORY}:1.0")


async def test_the_first_image_of_an_index_is_pulled(each_registry: StartRegistry) -> None:
    async with each_registry() as registry:
        await push_image(registry.access, REPOSITORY, "1.0", build_index([an_image()], attestations=True))
        assert await trial(registry.access) == Trial(pulled=f"{REPOSITORY}:1.0")


async def test_an_empty_registry_says_nothing_against_us(each_registry: StartRegistry) -> None:
    async with each_registry() as registry:
        assert await trial(registry.access) == Trial()


async def test_a_wrong_password_is_refused_also_without_a_pull(each_registry: StartRegistry) -> None:
    async with each_registry(basic_auth=True) as registry:
        await push_image(registry.access, REPOSITORY, "1.0", an_image())
        assert (await trial(registry.access)).pulled == f"{REPOSITORY}:1.0"
        for pull in (True, False):
            tried = await trial(with_password(registry.access, "wrong"), pull=pull)
            assert (why(tried.refused), tried.silent) == (Reason.REGISTRY_UNAUTHORIZED, None)
            stranger = RegistryAccess(address=registry.access.address, plain_http=True)
            assert why((await trial(stranger, pull=pull)).refused) is Reason.REGISTRY_UNAUTHORIZED


async def test_a_token_is_asked_for_the_root_and_for_the_repository(each_registry: StartRegistry) -> None:
    async with serve_tokens(users={USERNAME: PASSWORD}) as tokens, each_registry(tokens=tokens) as registry:
        await push_with_token(registry, tokens, REPOSITORY, "1.0")
        known = with_password(registry.access, PASSWORD)
        assert (await trial(known, NAME)).pulled == f"{REPOSITORY}:1.0"
        for pull in (True, False):
            tried = await trial(with_password(registry.access, "wrong"), NAME, pull=pull)
            assert why(tried.refused) is Reason.REGISTRY_UNAUTHORIZED


async def test_nobody_at_the_address_is_silence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    tried = await trial(RegistryAccess(address=address, plain_http=True), NAME)
    assert (why(tried.silent), tried.refused, tried.pulled) == (Reason.REGISTRY_UNREACHABLE, None, "")


@pytest.mark.parametrize(
    ("code", "reason"),
    [(500, Reason.REGISTRY_ERROR), (404, Reason.REGISTRY_ERROR), (418, Reason.REGISTRY_ERROR)],
)
async def test_an_answer_that_no_registry_gives_is_silence(code: int, reason: Reason) -> None:
    async with lab(REPOSITORY) as (registry, access):
        registry.faults.add("/v2/", Status(code=code))
        assert why((await trial(access)).silent) is reason


async def test_a_registry_that_hides_its_root_is_judged_by_what_can_be_pulled() -> None:
    async with lab(REPOSITORY) as (registry, access):
        registry.faults.add("/v2/", Status(code=403))
        assert (await trial(access, pull=False)).pulled == f"{REPOSITORY}:1.0"
        registry.faults.add("/v2/*", Status(code=403))
        assert why((await trial(access)).refused) is Reason.REGISTRY_FORBIDDEN


async def test_a_refused_repository_counts_only_when_no_other_gives_an_image() -> None:
    async with lab("closed/app", "team/app") as (registry, access):
        registry.faults.add("/v2/closed/*", Status(code=403))
        closed = parse_repository("closed/app")
        assert (await trial(access, closed)).pulled == "team/app:1.0"
        registry.faults.add("/v2/team/*", Status(code=403))
        assert why((await trial(access, closed)).refused) is Reason.REGISTRY_FORBIDDEN


async def test_a_catalogue_that_is_not_for_us_is_no_fault() -> None:
    async with lab(REPOSITORY) as (registry, access):
        registry.faults.add("/v2/_catalog*", Status(code=403))
        assert await trial(access) == Trial()
        assert (await trial(access, NAME)).pulled == f"{REPOSITORY}:1.0"


@pytest.mark.parametrize("broken", ["/v2/*/tags/*", "/v2/*/manifests/*", "/v2/*/blobs/*"])
async def test_what_breaks_in_between_settles_nothing(broken: str) -> None:
    async with lab(REPOSITORY) as (registry, access):
        registry.faults.add(broken, Disconnect())
        tried = await trial(access, NAME)
        assert (why(tried.unsettled), tried.silent, tried.refused) == (Reason.REGISTRY_UNREACHABLE, None, None)


async def test_a_limited_rate_settles_nothing() -> None:
    async with lab(REPOSITORY) as (registry, access):
        registry.faults.add("/v2/", Status(code=429))
        assert why((await trial(access)).unsettled) is Reason.REGISTRY_RATE_LIMITED


@pytest.mark.parametrize(("slow", "field"), [("/v2/", "silent"), ("/v2/*/manifests/*", "unsettled")])
async def test_a_registry_that_takes_too_long_is_given_up(slow: str, field: str) -> None:
    async with lab(REPOSITORY) as (registry, access):
        registry.faults.add(slow, Delay(30.0))
        tried = await trial(access, NAME, seconds=0.3)
        assert why(getattr(tried, field)) is Reason.REGISTRY_TIMEOUT


async def test_at_most_five_repositories_are_tried() -> None:
    names: Sequence[str] = [f"team/app{number}" for number in range(9)]
    async with lab(*names) as (registry, access):
        registry.faults.add("/v2/*/manifests/*", Status(code=404))
        assert await trial(access) == Trial()
        asked = {seen.path for seen in registry.seen if seen.method == "GET" and "/manifests/" in seen.path}
        assert len(asked) == 5
