"""The depot: what is fetched is held against its hash, kept, and fetched from nowhere that was not allowed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.fixer.failure import FixFailure, FixReason
from services.fixer.plan.packages import Release
from services.fixer.repositories.depot import Depot, Expected
from services.fixer.repositories.door import open_door
from services.fixer.repositories.keyrings import Keyrings
from services.fixer.repositories.open import open_depot
from services.fixer.repositories.shelf import Shelf
from services.kernel.clock import SystemClock
from services.kernel.egress import Egress, parse_networks
from services.registry.limits import Timeouts
from tests.builders.apks import Apk, signing_key

CONTENT = b"package " * 4000
EXPECTED = Expected(size=len(CONTENT), checksum=f"sha256:{hashlib.sha256(CONTENT).hexdigest()}")
QUICK = Timeouts(connect_seconds=2, idle_seconds=1, request_seconds=2)


class Mirror:
    """A server of which the tests say what it answers."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.failing = 0
        self.redirect = ""
        self.halfway: asyncio.Event | None = None
        """What it waits for in the middle of a file."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        if self.failing:
            self.failing -= 1
            return web.Response(status=503)
        if self.redirect:
            raise web.HTTPFound(self.redirect)
        if request.path not in self.files:
            return web.Response(status=404)
        content = self.files[request.path]
        if self.halfway is None:
            return web.Response(body=content)
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(content[: len(content) // 2])
        await self.halfway.wait()
        await response.write(content[len(content) // 2 :])
        return response


@pytest.fixture
async def mirror() -> AsyncIterator[tuple[Mirror, str]]:
    mirror, app = Mirror(), web.Application()
    app.router.add_get("/{path:.*}", mirror.answer)
    async with TestServer(app) as server:
        yield mirror, str(server.make_url("")).rstrip("/")


@asynccontextmanager
async def depot_in(folder: Path, *, networks: str = "127.0.0.0/8", room: int = 1 << 20) -> AsyncIterator[Depot]:
    egress = Egress(networks=parse_networks(networks))
    async with open_door(egress, SystemClock(), QUICK) as door:
        shelf, keys = Shelf(folder / "packages", room), Keyrings(folder / "keyrings")
        async with open_depot(door, shelf, keys, folder / "packages") as depot:
            yield depot


async def failure_of(
    depot: Depot, url: str, expected: Expected = EXPECTED, *, tampered: bool = True
) -> FixFailure:
    with pytest.raises(FixFailure) as caught:
        await depot.file(url, expected, tampered=tampered)
    return caught.value


async def test_a_file_is_fetched_once_and_verified_each_time(tmp_path: Path, mirror: tuple[Mirror, str]) -> None:
    server, root = mirror
    server.files["/a.deb"] = CONTENT
    for _ in range(2):
        async with depot_in(tmp_path) as depot:
            assert (await depot.file(f"{root}/a.deb", EXPECTED, tampered=True)).read_bytes() == CONTENT
    assert server.asked == ["/a.deb"]
    kept = next(each for each in (tmp_path / "packages").iterdir() if each.is_file())
    kept.chmod(0o644)
    kept.write_bytes(CONTENT[:-1] + b"x")
    async with depot_in(tmp_path) as depot:
        assert (await depot.file(f"{root}/a.deb", EXPECTED, tampered=True)).read_bytes() == CONTENT
    assert server.asked == ["/a.deb"] * 2


async def test_a_file_of_another_hash_is_called_tampered_and_not_kept(
    tmp_path: Path, mirror: tuple[Mirror, str]
) -> None:
    server, root = mirror
    server.files["/a.deb"] = CONTENT[:-1] + b"x"
    async with depot_in(tmp_path) as depot:
        assert (await failure_of(depot, f"{root}/a.deb")).why is FixReason.PACKAGE_TAMPERED
        assert (await failure_of(depot, f"{root}/a.deb", tampered=False)).why is FixReason.INDEX_TAMPERED
    assert list((tmp_path / "packages").iterdir()) == []


async def test_more_bytes_than_announced_are_not_read(tmp_path: Path, mirror: tuple[Mirror, str]) -> None:
    server, root = mirror
    server.files["/a.deb"] = CONTENT * 2
    async with depot_in(tmp_path) as depot:
        assert (await failure_of(depot, f"{root}/a.deb")).why is FixReason.REPOSITORY_INVALID
        with pytest.raises(FixFailure) as caught:
            await depot.small(f"{root}/a.deb", at_most=100)
    assert caught.value.why is FixReason.REPOSITORY_INVALID


async def test_fewer_bytes_than_announced_are_no_file(tmp_path: Path, mirror: tuple[Mirror, str]) -> None:
    server, root = mirror
    server.files["/a.deb"] = CONTENT[:10]
    async with depot_in(tmp_path) as depot:
        assert (await failure_of(depot, f"{root}/a.deb")).why is FixReason.REPOSITORY_UNREACHABLE
    assert list((tmp_path / "packages").iterdir()) == []


async def test_what_passes_is_tried_again(tmp_path: Path, mirror: tuple[Mirror, str]) -> None:
    server, root = mirror
    server.files["/a.deb"], server.failing = CONTENT, 1
    async with depot_in(tmp_path) as depot:
        assert (await depot.file(f"{root}/a.deb", EXPECTED, tampered=True)).read_bytes() == CONTENT
    assert len(server.asked) == 2


async def test_a_missing_index_is_none_and_a_missing_package_a_failure(
    tmp_path: Path, mirror: tuple[Mirror, str]
) -> None:
    _, root = mirror
    async with depot_in(tmp_path) as depot:
        assert await depot.small(f"{root}/InRelease", at_most=100) is None
        assert (await failure_of(depot, f"{root}/a.deb")).why is FixReason.REPOSITORY_UNREACHABLE


async def test_nobody_listens_there(tmp_path: Path) -> None:
    async with depot_in(tmp_path) as depot:
        assert (await failure_of(depot, "http://127.0.0.1:1/a.deb")).why is FixReason.REPOSITORY_UNREACHABLE


@pytest.mark.parametrize("url", ["http://mirror.example:99999/debian", "http://mirror.example:x/debian"])
async def test_what_is_no_address_is_a_failure_like_any_other(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.fixer.repositories.door._PAUSES", ())
    async with depot_in(tmp_path) as depot:
        assert (await failure_of(depot, url)).why is FixReason.REPOSITORY_UNREACHABLE


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://169.254.169.254/latest", "ADDRESS_REFUSED"),
        ("http://10.1.2.3/debian", "ADDRESS_NOT_ALLOWED"),
        ("http://[::ffff:10.1.2.3]/debian", "ADDRESS_NOT_ALLOWED"),
        ("http://127.0.0.1:5432/debian", "PORT_REFUSED"),
        ("ftp://127.0.0.1/debian", "SCHEME_REFUSED"),
        ("http://user:secret@127.0.0.1/debian", "CREDENTIALS_IN_ADDRESS"),
    ],
)
async def test_addresses_that_repositories_may_not_have(tmp_path: Path, url: str, why: str) -> None:
    async with depot_in(tmp_path) as depot:
        failure = await failure_of(depot, url)
    assert (failure.why, failure.metadata["why"]) == (FixReason.REPOSITORY_REFUSED, why)
    assert "secret" not in failure.message


async def test_a_redirect_leads_nowhere_that_was_not_allowed(tmp_path: Path, mirror: tuple[Mirror, str]) -> None:
    server, root = mirror
    server.redirect = "http://169.254.169.254/latest/meta-data"
    async with depot_in(tmp_path) as depot:
        assert (await failure_of(depot, f"{root}/a.deb")).why is FixReason.REPOSITORY_REFUSED
        server.redirect = f"{root}/for/ever"
        assert (await failure_of(depot, f"{root}/a.deb")).why is FixReason.REPOSITORY_UNREACHABLE


async def test_the_shelf_forgets_what_was_not_used_for_longest(tmp_path: Path, mirror: tuple[Mirror, str]) -> None:
    server, root = mirror
    async with depot_in(tmp_path, room=2 * len(CONTENT)) as depot:
        for number in range(3):
            content = CONTENT[:-1] + bytes([number])
            server.files[f"/{number}"] = content
            checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
            path = await depot.file(
                f"{root}/{number}", Expected(size=len(content), checksum=checksum), tampered=True
            )
            assert path.read_bytes() == content
        assert len([each for each in (tmp_path / "packages").iterdir() if each.is_file()]) == 2


async def test_what_is_coming_lies_with_its_fix_and_not_on_the_shelf(
    tmp_path: Path, mirror: tuple[Mirror, str]
) -> None:
    """Whoever is killed meanwhile leaves nothing but the folder of its fix, which the next process clears."""
    server, root = mirror
    server.files["/a.deb"], server.halfway = CONTENT, asyncio.Event()
    async with depot_in(tmp_path) as depot:
        fetching = asyncio.create_task(depot.file(f"{root}/a.deb", EXPECTED, tampered=True))
        packages = tmp_path / "packages"
        async with asyncio.timeout(10):
            while not sum(each.stat().st_size for each in packages.rglob("*") if each.is_file()):
                await asyncio.sleep(0.01)
        assert [each for each in packages.iterdir() if each.is_file()] == []
        server.halfway.set()
        assert (await fetching).read_bytes() == CONTENT
    assert [each.read_bytes() for each in packages.iterdir()] == [CONTENT]


def test_keys_of_a_distribution_are_ours_and_the_operators(tmp_path: Path) -> None:
    (tmp_path / "debian").mkdir()
    (tmp_path / "debian" / "own.asc").write_bytes(b"key")
    (tmp_path / "debian" / "README.md").write_bytes(b"no key")
    keys = Keyrings(tmp_path).of(Release(id="debian", version="12"))
    assert keys["own.asc"] == b"key"
    assert "README.md" not in keys
    assert Keyrings(tmp_path).of(Release(id="../debian", version="12")) == {}


async def test_an_apk_is_held_against_its_control_and_its_data(tmp_path: Path, mirror: tuple[Mirror, str]) -> None:
    server, root = mirror
    package = Apk(name="tool", version="1-r0", files={"usr/bin/tool": random.Random(1).randbytes(200_000)})
    content = package.build(signing_key())
    expected = Expected(size=len(content), checksum=f"apk1:{base64.b64decode(package.checksum()[2:]).hex()}")
    async with depot_in(tmp_path) as depot:
        for at in (700, len(content) - 50):
            server.files["/tool.apk"] = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
            assert (await failure_of(depot, f"{root}/tool.apk", expected)).why is FixReason.PACKAGE_TAMPERED
        server.files["/tool.apk"] = content
        assert (await depot.file(f"{root}/tool.apk", expected, tampered=True)).read_bytes() == content
    async with depot_in(tmp_path) as depot:
        assert (await depot.file(f"{root}/tool.apk", expected, tampered=True)).read_bytes() == content
    assert server.asked == ["/tool.apk"] * 3
