"""What a scanner knows of its Trivy: whether it can scan, why not, and what a scan of today would be made with."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.kernel.model.engine import Engine
from services.scanner.engine import EngineRelease
from services.scanner.settings import TrivySettings
from services.scanner.trivy.server import ask_server
from services.scanner.trivy.watch import TrivyWatch
from tests.builders.advisories import Json
from tests.builders.trivy import databases, fake_trivy, write_database, written
from tests.fakes.clock import ManualClock

NOW = ManualClock().now()
DAY = timedelta(days=1)
OURS: Json = {
    "version": "20260301-aa",
    "built_at": written(NOW),
    "sample": False,
    "ecosystems": ["Debian:12"],
    "families": {"Debian": written(NOW - DAY)},
}


def a_watch(folder: Path, **settings: Any) -> TrivyWatch:
    known = TrivySettings(trivy=folder / "trivy", **settings)
    return TrivyWatch(known, folder / "databases", max_age=7 * DAY, clock=ManualClock())


async def looked(folder: Path, **settings: Any) -> TrivyWatch:
    watch = a_watch(folder, **settings)
    await watch.open()
    return watch


async def test_what_is_missing_is_told_by_its_reason_until_it_comes(tmp_path: Path) -> None:
    bare = await looked(tmp_path)
    fake_trivy(tmp_path, "exit 0")
    without = await looked(tmp_path)
    databases(tmp_path / "databases", written(NOW), ours=OURS)
    whole = await looked(tmp_path)

    reasons = [(watch.health().ready, watch.health().reason) for watch in (bare, without, whole)]
    assert reasons == [(False, "TRIVY_MISSING"), (False, "TRIVY_DATABASE_MISSING"), (True, "")]
    health = whole.health()
    assert (health.engine, health.version, health.database_version) == (Engine.TRIVY, "0.72.0", "20260301-aa")
    assert health.database_at == NOW - DAY
    assert "DRYDOCK_TRIVY" in bare.health().message


@pytest.mark.parametrize(
    ("updated_at", "ours", "reason"),
    [
        (NOW - 8 * DAY, None, "STALE_ADVISORIES"),
        (NOW - 6 * DAY, None, ""),
        (NOW, {**OURS, "sample": True}, "SAMPLE_ADVISORIES"),
        (NOW, {**OURS, "families": {"Debian": written(NOW - 8 * DAY)}}, "STALE_ADVISORIES"),
    ],
)
async def test_one_that_no_verdict_rests_on_can_scan_and_says_so(
    tmp_path: Path, updated_at: Any, ours: Json | None, reason: str
) -> None:
    fake_trivy(tmp_path, "exit 0")
    databases(tmp_path / "databases", written(updated_at), ours=ours)

    health = (await looked(tmp_path)).health()

    assert (health.ready, health.reason) == (True, reason)


class Advisories:
    """The watch of our own engine, as far as versions need it."""

    version = "a1"

    def __init__(self, moment: datetime = NOW) -> None:
        self.moment = moment

    @property
    def meta(self) -> Advisories:
        return self

    def stale_families(self, now: datetime, max_age: timedelta) -> tuple[str, ...]:
        return ("Debian",) if now - self.moment > max_age else ()


def a_release(trivy: TrivyWatch, ours: Advisories, clock: ManualClock) -> EngineRelease:
    return EngineRelease(ours, lambda: "c1", trivy, clock=clock, max_age=7 * DAY)  # type: ignore[arg-type]


async def test_whatever_changes_the_result_changes_the_key(tmp_path: Path) -> None:
    fake_trivy(tmp_path, "exit 0")
    folder = databases(tmp_path / "databases", "2026-02-27T00:00:00Z")

    async def keys(**settings: Any) -> list[tuple[str, str]]:
        release = a_release(await looked(tmp_path, **settings), Advisories(), ManualClock())
        return [(release.engine_version(each), release.advisories_version(each)) for each in Engine]

    seen = [await keys()]
    assert await keys() == seen[0]
    seen.append(await keys(trivy_layer_bytes=5))
    fake_trivy(tmp_path, "exit 0 # another", version="0.73.0")
    seen.append(await keys())
    write_database(folder / "java-db", "trivy-java.db", "2026-02-01T00:00:00Z", version=1)
    seen.append(await keys())
    shutil.rmtree(folder / "db")
    write_database(folder / "db", "trivy.db", "2026-02-28T00:00:00Z")
    seen.append(await keys())

    by_engine = dict(zip(Engine, zip(*seen, strict=True), strict=True))
    assert len(set(by_engine[Engine.TRIVY])) == len(set(by_engine[Engine.ALL])) == len(seen)
    assert len(set(by_engine[Engine.SECURITY_CENTER])) == 1


async def test_a_report_is_no_answer_once_its_advisories_are_too_old_for_a_verdict(tmp_path: Path) -> None:
    fake_trivy(tmp_path, "exit 0")
    databases(tmp_path / "databases", written(NOW), ours=OURS)
    clock = ManualClock()
    watch = TrivyWatch(
        TrivySettings(trivy=tmp_path / "trivy"), tmp_path / "databases", max_age=7 * DAY, clock=clock
    )
    await watch.open()
    release = a_release(watch, Advisories(NOW), clock)

    def keys() -> list[str]:
        return [release.engine_version(each) for each in Engine]

    young = keys()
    clock.advance(5 * 86400)
    assert keys() == young
    clock.advance(3 * 86400)
    old = keys()
    assert [one == other for one, other in zip(young, old, strict=True)] == [False] * 3
    assert all("stale=Debian" in each for each in old)
    clock.advance(86400)
    assert keys() == old


async def test_it_looks_again_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.scanner.trivy.watch._LOOK_SECONDS", 0.01)
    watch, stopping = await looked(tmp_path), asyncio.Event()
    running = asyncio.create_task(watch.run(stopping))

    fake_trivy(tmp_path, "exit 0")
    databases(tmp_path / "databases", written(NOW))
    async with asyncio.timeout(20):
        while not watch.health().ready:
            await asyncio.sleep(0.01)

    stopping.set()
    await running


@asynccontextmanager
async def answering(content: bytes, status: str = "200 OK") -> AsyncIterator[str]:
    """A server that says one thing to all."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + content)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"


VERSION = b'{"Version":"0.72.0","VulnerabilityDB":{"Version":2,"UpdatedAt":"2026-02-28T00:00:00Z"}}'


async def test_a_server_tells_its_version_and_the_moment_of_its_database(tmp_path: Path) -> None:
    fake_trivy(tmp_path, "exit 0")
    databases(tmp_path / "databases", written(NOW), java=True)
    async with answering(VERSION) as address:
        found = await ask_server(address)
        watch = await looked(tmp_path, trivy_server=address)

    assert (found.version, found.database.version) == ("0.72.0", "2026-02-28T00:00:00Z")
    assert watch.advisories_version == "2026-02-28T00:00:00Z"
    assert f"java={written(NOW)}" in watch.engine_version  # jars are told apart here, not at the server
    assert watch.health().ready


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        (b"<html>", "200 OK", "TRIVY_SERVER_UNREACHABLE"),
        (b"\xff" * 100_000, "200 OK", "TRIVY_SERVER_UNREACHABLE"),
        (VERSION, "404 Not Found", "TRIVY_SERVER_UNREACHABLE"),
        (VERSION, "302 Found\r\nLocation: http://127.0.0.1:1/", "TRIVY_SERVER_UNREACHABLE"),
        (b'{"Version":"0.72.0"}', "200 OK", "TRIVY_DATABASE_MISSING"),
    ],
)
async def test_what_is_no_server_of_trivys_has_its_reason(
    tmp_path: Path, content: bytes, status: str, reason: str
) -> None:
    fake_trivy(tmp_path, "exit 0")
    async with answering(content, status) as address:
        watch = await looked(tmp_path, trivy_server=address)

    assert (watch.health().ready, watch.health().reason) == (False, reason)


@pytest.mark.parametrize("value", ["127.0.0.1:4954", "ftp://host", "http://", "http://user:pw@host:1"])
def test_an_address_of_a_server_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="http://HOST:PORT"):
        TrivySettings(trivy_server=value)


def test_a_token_may_be_in_a_file_and_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")

    settings = TrivySettings(trivy_token_file=tmp_path / "token")

    assert settings.trivy_token.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(settings)
