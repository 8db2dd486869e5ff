import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from services.kernel.clock import SystemClock
from services.kernel.errors import ServiceError
from services.scanner.advisories.files import AdvisoryFiles
from services.scanner.advisories.settings import AdvisorySettings
from services.scanner.advisories.state import describe
from services.scanner.advisories.update import import_sources
from tests.builders.advisories import affected, before, record, write_zip
from tests.fakes.clock import ManualClock

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
QUICK = AdvisorySettings(connect_timeout_seconds=1, read_timeout_seconds=0.3, download_timeout_seconds=2)


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def zipped(tmp_path: Path) -> bytes:
    return write_zip(tmp_path / "all.zip", [record("CVE-1-1", affected("PyPI", "x", *before("2")))]).read_bytes()


async def failure(files: AdvisoryFiles, *names: str, settings: AdvisorySettings = QUICK) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await import_sources(files, names, settings=settings, clock=SystemClock())
    assert files.current() is None
    assert not list(files.folder.glob(".download-*"))
    return caught.value


async def test_sources_are_fetched_and_become_current(tmp_path: Path) -> None:
    content = zipped(tmp_path)
    files = AdvisoryFiles(tmp_path / "data")

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=content)

    async with serving(answer) as url:
        meta = await import_sources(
            files, [f"{url}/PyPI/all.zip?token=secret"], settings=QUICK, clock=SystemClock()
        )
    assert meta.ecosystems == {"PyPI": 1}
    assert [source.name for source in meta.sources] == [f"{url}/PyPI/all.zip"]
    assert not list(files.folder.glob(".download-*"))
    assert files.current() is not None


def of(folder: Path, ecosystem: str, modified: str) -> Path:
    folder.mkdir()
    return write_zip(
        folder / "all.zip", [record("CVE-1-1", affected(ecosystem, "x", *before("2")), modified=modified)]
    )


async def test_a_fresh_source_makes_no_other_family_young(tmp_path: Path) -> None:
    paths = [
        of(tmp_path / "Alpine", "Alpine:v3.18", "2025-09-10T00:00:00Z"),
        of(tmp_path / "Debian", "Debian:12", "2026-11-23T00:00:00Z"),
    ]
    files = AdvisoryFiles(tmp_path / "data")
    meta = await import_sources(files, [str(path) for path in paths], settings=QUICK, clock=ManualClock())
    assert meta.families == {
        "Alpine": datetime(2025, 9, 10, tzinfo=UTC),
        "Debian": datetime(2026, 11, 23, tzinfo=UTC),
    }
    assert meta.facts_at == datetime(2026, 11, 23, tzinfo=UTC)
    now, max_age = ManualClock().now(), timedelta(days=7)
    assert (meta.stale_families(now, max_age), meta.is_stale(now, max_age)) == (("Alpine",), True)
    told = describe(tmp_path / "data", now)
    assert told.endswith("Alpine 440 days old, stale: no verdict rests on it; Debian 1 days old")


RECORDED = datetime(2025, 9, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "youngest"),
    [
        ({"Last-Modified": "Mon, 23 Nov 2026 10:11:12 GMT"}, datetime(2026, 11, 23, 10, 11, 12, tzinfo=UTC)),
        ({"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}, RECORDED),
        ({"Last-Modified": "Tue, 24 Nov 2026 12:00:01 GMT"}, RECORDED),
        ({"Last-Modified": "Tue, 23 Nov 2026 10:11:12 GMT"}, RECORDED),
        ({"Last-Modified": "Mon, 23 Nov 2026 10:11:12 +0000"}, RECORDED),
        ({"Last-Modified": "2026-11-23T10:11:12Z"}, RECORDED),
        ({"Last-Modified": "9" * 5000}, RECORDED),
        ({"Date": "Mon, 23 Nov 2026 10:11:12 GMT"}, RECORDED),
    ],
)
async def test_a_server_tells_that_a_quiet_source_is_no_older(
    tmp_path: Path, headers: dict[str, str], youngest: datetime
) -> None:
    quiet = of(tmp_path / "quiet", "Alpine:v3.18", "2025-09-10T00:00:00Z")
    other = of(tmp_path / "other", "PyPI", "2025-09-10T00:00:00Z")

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=quiet.read_bytes(), headers=headers)

    async with serving(answer) as url:
        names = [f"{url}/all.zip", str(other)]
        meta = await import_sources(AdvisoryFiles(tmp_path / "data"), names, settings=QUICK, clock=ManualClock())
    assert meta.families == {"Alpine": youngest, "PyPI": RECORDED}


@pytest.mark.parametrize("status", [404, 500, 503])
async def test_an_error_of_the_server_is_told(tmp_path: Path, status: int) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status)

    async with serving(answer) as url:
        error = await failure(AdvisoryFiles(tmp_path), f"{url}/all.zip")
    assert error.reason == "ADVISORY_SOURCE_UNREACHABLE"
    assert str(status) in error.message


async def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    error = await failure(AdvisoryFiles(tmp_path), "http://user:secret@127.0.0.1:9/all.zip")
    assert error.reason == "ADVISORY_SOURCE_UNREACHABLE"
    assert "secret" not in error.message


async def test_a_server_that_falls_silent_meets_the_deadline(tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"PK")
        await gone.wait()
        return response

    async with serving(answer) as url:
        error = await failure(AdvisoryFiles(tmp_path), f"{url}/all.zip")
        gone.set()
    assert error.reason == "ADVISORY_SOURCE_UNREACHABLE"


async def test_an_answer_cut_off_is_unreachable_not_imported(tmp_path: Path) -> None:
    content = zipped(tmp_path)

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(content))})
        await response.prepare(request)
        await response.write(content[: len(content) // 2])
        assert request.transport is not None
        request.transport.abort()
        return response

    async with serving(answer) as url:
        error = await failure(AdvisoryFiles(tmp_path / "data"), f"{url}/all.zip")
    assert error.reason == "ADVISORY_SOURCE_UNREACHABLE"


async def test_an_answer_beyond_the_bound_is_refused(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 5000)

    bounded = QUICK.model_copy(update={"download_max_bytes": 1000})
    async with serving(answer) as url:
        error = await failure(AdvisoryFiles(tmp_path), f"{url}/all.zip", settings=bounded)
    assert error.reason == "ADVISORY_SOURCE_TOO_LARGE"


async def test_half_a_zip_behind_a_good_answer_is_broken(tmp_path: Path) -> None:
    content = zipped(tmp_path)

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=content[: len(content) // 2])

    async with serving(answer) as url:
        error = await failure(AdvisoryFiles(tmp_path / "data"), f"{url}/all.zip")
    assert error.reason == "ADVISORY_SOURCE_BROKEN"
    assert f"{url}/all.zip" in error.message


def test_sources_are_a_list_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRYDOCK_ADVISORY_SOURCES", "http://a/x.zip, http://b/y.zip")
    assert AdvisorySettings().sources == ("http://a/x.zip", "http://b/y.zip")


def drydock(data: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from services.cli.main import main; main()", "advisories", *words],
        env={**os.environ, "DRYDOCK_DATA_DIR": str(data), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
def test_the_commands_import_and_tell_what_is_there(tmp_path: Path) -> None:
    data = tmp_path / "data"
    sample = drydock(data, "status", "--output", "json")
    assert json.loads(sample.stdout)["sample"] is True
    zipped(tmp_path)
    imported = drydock(data, "import", str(tmp_path / "all.zip"), "--output", "json")
    facts = json.loads(imported.stdout)
    assert (imported.returncode, facts["sample"], facts["records"], facts["stale"]) == (0, False, 1, True)
    assert facts["ecosystems"] == {"PyPI": 1}
    assert facts["sources"][0]["records"] == 1
    assert (facts["facts_at"], facts["built_at"][:10]) == ("2026-02-28T00:00:00Z", f"{datetime.now(UTC):%Y-%m-%d}")
    assert facts["age_seconds"] > 86_400
    of_family = {key: facts[key] for key in ("facts_at", "age_seconds", "stale")}
    assert facts["families"] == {"PyPI": of_family}
    failed = drydock(data, "update", DRYDOCK_ADVISORY_SOURCES="http://127.0.0.1:9/all.zip")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "ADVISORY_SOURCE_UNREACHABLE" in failed.stderr
    after = json.loads(drydock(data, "status", "--output", "json").stdout)
    assert after["version"] == facts["version"]
