"""Which repositories and tags a registry has, page by page; with the real registry as the judge."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator

import msgspec
import pytest
from pydantic import SecretStr

from services.kernel.model.access import RegistryAccess
from services.kernel.model.reference import parse_repository
from services.kernel.reasons import Reason, ScanFailure
from services.lab.faults import CutOff, Fault, Redirect, Status, WithHeader
from services.lab.push import open_push, push_image, push_manifest
from services.lab.registry import LabRegistry, serve_registry
from services.lab.tokens import serve_tokens
from services.registry.catalog import RegistryCatalog
from services.registry.limits import ImageLimits, RetryPolicy, SourceSettings
from services.registry.pages import all_pages
from services.registry.retry import Retrier
from services.registry.wire import open_session
from tests.builders.images import REPOSITORY, Waits, an_image
from tests.builders.tokens import push_with_token
from tests.registries import PASSWORD, USERNAME, StartRegistry

TAGS = tuple(f"1.{number}" for number in range(7))
TEAM_APP = parse_repository(REPOSITORY)
CATALOG, TAG_LIST = "/v2/_catalog", f"/v2/{REPOSITORY}/tags/list"


@contextlib.asynccontextmanager
async def catalog_of(
    access: RegistryAccess, *, limits: ImageLimits | None = None
) -> AsyncIterator[RegistryCatalog]:
    settings = SourceSettings(limits=limits or ImageLimits(page_names=2), retry=RetryPolicy(attempts=3))
    async with open_session() as session:
        retrier = Retrier(settings.retry, sleep=Waits(), draw=lambda: 1.0)
        yield RegistryCatalog(session, access, settings, retrier=retrier)


async def repositories(access: RegistryAccess, limits: ImageLimits | None = None) -> list[str]:
    limits = limits or ImageLimits(page_names=2)
    async with catalog_of(access, limits=limits) as catalog:
        pages = all_pages(catalog.repositories, limits, host=access.address)
        return [name async for page in pages for name in page.names]


async def tags(access: RegistryAccess, limits: ImageLimits | None = None) -> list[str]:
    limits = limits or ImageLimits(page_names=2)
    async with catalog_of(access, limits=limits) as catalog:
        pages = all_pages(catalog.repository(TEAM_APP).tags, limits, host=access.address)
        return [name async for page in pages for name in page.names]


@pytest.fixture
async def lab() -> AsyncIterator[LabRegistry]:
    async with serve_registry() as registry:
        await push_tags(open_access(registry))
        yield registry


def open_access(lab: LabRegistry) -> RegistryAccess:
    return RegistryAccess(address=lab.address, plain_http=True)


async def push_tags(access: RegistryAccess) -> None:
    image = an_image()
    await push_image(access, REPOSITORY, TAGS[0], image)
    async with open_push(access) as client:
        for tag in TAGS[1:]:
            await push_manifest(client, REPOSITORY, tag, image.media_type, image.manifest)


async def test_every_repository_and_every_tag_is_listed(each_registry: StartRegistry) -> None:
    async with each_registry() as running:
        await push_tags(running.access)
        for name in ("alone", "team/api", "team/deep/er", "zoo"):
            await push_image(running.access, name, "1", an_image(name))

        assert await repositories(running.access) == ["alone", "team/api", REPOSITORY, "team/deep/er", "zoo"]
        assert sorted(await tags(running.access)) == list(TAGS)


async def test_list_is_read_on_from_a_cursor(each_registry: StartRegistry) -> None:
    async with each_registry() as running:
        for name in ("a", "b", "c"):
            await push_image(running.access, name, "1", an_image(name))
        async with catalog_of(running.access) as catalog:
            first = await catalog.repositories()
        async with catalog_of(running.access) as catalog:
            second = await catalog.repositories(first.next_cursor)

    assert (first.names, second.names, second.next_cursor) == (("a", "b"), ("c",), "")


async def test_empty_registry_has_no_repositories(each_registry: StartRegistry) -> None:
    async with each_registry() as running:
        assert await repositories(running.access) == []


async def test_unknown_repository_is_told_from_an_empty_one(each_registry: StartRegistry) -> None:
    async with each_registry() as running:
        with pytest.raises(ScanFailure) as caught:
            await tags(running.access)

    assert caught.value.why is Reason.IMAGE_NOT_FOUND
    assert f"no repository {REPOSITORY}" in caught.value.message


async def test_repository_whose_tags_were_all_deleted_is_empty_or_unknown(each_registry: StartRegistry) -> None:
    async with each_registry() as running:
        digest = await push_image(running.access, REPOSITORY, "1.0", an_image())
        async with (
            open_push(running.access) as client,
            client.delete(f"/v2/{REPOSITORY}/manifests/{digest}") as response,
        ):
            assert response.status == 202
        try:
            assert await tags(running.access) == []
        except ScanFailure as failure:
            assert failure.why is Reason.IMAGE_NOT_FOUND


async def test_catalogue_is_read_with_credentials(each_registry: StartRegistry) -> None:
    async with each_registry(basic_auth=True) as running:
        await push_image(running.access, REPOSITORY, "1.0", an_image())
        assert await repositories(running.access) == [REPOSITORY]

        wrong = dataclasses.replace(running.access, password=SecretStr("wr0ng-secret"))
        with pytest.raises(ScanFailure) as caught:
            await repositories(wrong)

    assert caught.value.why is Reason.REGISTRY_CATALOG_REFUSED
    assert "refused the user name and password" in caught.value.message
    assert "wr0ng-secret" not in caught.value.sentence()


async def test_catalogue_is_read_with_a_token_of_its_own(each_registry: StartRegistry) -> None:
    async with serve_tokens(users={USERNAME: PASSWORD}) as server, each_registry(tokens=server) as running:
        await push_with_token(running, server, REPOSITORY, "1.0")

        assert await repositories(running.access) == [REPOSITORY]
        assert await tags(running.access) == ["1.0"]
        with pytest.raises(ScanFailure) as stranger:
            await repositories(dataclasses.replace(running.access, username=""))

    scopes = [seen.query.partition("scope=")[2] for seen in server.seen]
    assert scopes[:2] == ["registry:catalog:*", f"repository:{REPOSITORY}:pull"]
    assert stranger.value.why is Reason.REGISTRY_CATALOG_REFUSED


@pytest.mark.parametrize("status", [401, 403, 404, 405, 501])
async def test_registry_that_lists_nothing_is_told_apart(lab: LabRegistry, status: int) -> None:
    lab.faults.add(CATALOG, Status(code=status))

    with pytest.raises(ScanFailure) as caught:
        await repositories(open_access(lab))

    assert caught.value.why is Reason.REGISTRY_CATALOG_REFUSED
    assert "name the repositories" in caught.value.hint
    assert len(await tags(open_access(lab))) == len(TAGS)


async def test_passing_failures_are_tried_again(lab: LabRegistry) -> None:
    lab.faults.add(CATALOG, Status(code=503), times=1)
    lab.faults.add(TAG_LIST, CutOff(after_bytes=10), times=1)

    assert await repositories(open_access(lab)) == [REPOSITORY]
    assert sorted(await tags(open_access(lab))) == list(TAGS)


@pytest.mark.parametrize(
    "link",
    [
        f"<http://elsewhere.invalid{TAG_LIST}?n=100&last=1.3>; rel=next",
        '<//elsewhere.invalid/?last=1.3&n=100>; title="a"; rel="next"',
        f'<{TAG_LIST}?n=9>; rel="first", <../../../../etc/passwd?n=100&last=1.3#x>; rel="next"',
    ],
)
async def test_next_page_is_asked_of_the_same_registry(lab: LabRegistry, link: str) -> None:
    lab.faults.add(TAG_LIST, WithHeader(name="Link", value=link), times=1)

    found = await tags(open_access(lab))

    assert found == ["1.0", "1.1", "1.4", "1.5", "1.6"]  # the first page as it is, then what is behind 1.3
    assert {seen.path for seen in lab.seen if seen.path.endswith("tags/list")} == {TAG_LIST}


@pytest.mark.parametrize("link", ["<>; rel=next", "<http://[x?n=1>; rel=next", f'<{TAG_LIST}>; rel="next"'])
async def test_next_page_that_cannot_be_asked_for_is_no_end(lab: LabRegistry, link: str) -> None:
    lab.faults.add(TAG_LIST, WithHeader(name="Link", value=link))

    with pytest.raises(ScanFailure) as caught:
        await tags(open_access(lab))

    assert caught.value.why is Reason.REGISTRY_ERROR


async def test_pages_that_go_in_circles_end(lab: LabRegistry) -> None:
    lab.faults.add(TAG_LIST, WithHeader(name="Link", value="<?last=1.0>; rel=next"))
    with pytest.raises(ScanFailure) as itself:
        await tags(open_access(lab))

    lab.faults.clear()
    with pytest.raises(ScanFailure) as too_many:
        await tags(open_access(lab), ImageLimits(page_names=1, pages=3))

    assert "names itself" in itself.value.message
    assert "more than 3 pages" in too_many.value.message


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'{"tags": "all"}',
        b'{"tags": [1, 2]}',
        b'{"tags": ["a", "',
        b"[" * 100_000,
        b'{"tags": ["' + b"a" * 5000 + b'"]}',
    ],
)
async def test_page_that_makes_no_sense_is_an_error(lab: LabRegistry, body: bytes) -> None:
    lab.faults.add(TAG_LIST, Status(code=200, body=body))

    with pytest.raises(ScanFailure) as caught:
        await tags(open_access(lab), ImageLimits(page_bytes=4096))

    assert caught.value.why is Reason.REGISTRY_ERROR
    assert "\n" not in caught.value.sentence()


async def test_names_that_the_grammar_forbids_are_counted_and_left_out(lab: LabRegistry) -> None:
    evil = ["1.0", "../../etc", "-x", "a b", "", "x" * 129, "\u001b[31m", "2.0"]
    lab.faults.add(TAG_LIST, Status(code=200, body=msgspec.json.encode({"tags": evil})))
    lab.faults.add(
        CATALOG, Status(code=200, body=msgspec.json.encode({"repositories": ["ok", "UP", "a//b", "../x"]}))
    )

    async with catalog_of(open_access(lab)) as catalog:
        of_tags = await catalog.repository(TEAM_APP).tags()
        of_repositories = await catalog.repositories()

    assert (of_tags.names, of_tags.malformed) == (("1.0", "2.0"), 6)
    assert (of_repositories.names, of_repositories.malformed) == (("ok",), 3)


@pytest.mark.parametrize("fault", [Redirect("http://169.254.169.254/latest"), Redirect("gopher://x/")])
async def test_redirect_of_a_list_is_guarded_as_any(lab: LabRegistry, fault: Fault) -> None:
    lab.faults.add(TAG_LIST, fault)

    with pytest.raises(ScanFailure) as caught:
        await tags(open_access(lab))

    assert caught.value.why is Reason.REGISTRY_REDIRECT_REFUSED
