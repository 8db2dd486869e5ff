"""What a scan that begins now looks for follows clamd: it goes, comes back, and has other signatures."""

from __future__ import annotations

from pathlib import Path

from services.scanner.inspectors.clamd import Clamd
from services.scanner.inspectors.inspection import Inspection
from services.scanner.search import Search
from services.scanner.search_watch import SearchWatch
from tests.fakes.clamd import fake_clamd


def release(watch: SearchWatch) -> str | None:
    assert watch.now.inspection is not None
    return watch.now.inspection.clamd.release if watch.now.inspection.clamd is not None else None


async def test_it_follows_clamd(tmp_path: Path) -> None:
    search = Search(inspection=Inspection())
    watch = SearchWatch(search, Clamd(address=str(tmp_path / "clamd")))
    await watch.look()
    assert [each.code for each in watch.now.complaints] == ["CLAMD_UNAVAILABLE"]
    with fake_clamd(tmp_path) as fake:
        await watch.look()
        assert (release(watch), watch.now.complaints) == (fake.release, ())
        fake.release = "ClamAV 1.4.3/27813/Wed Nov 25 09:11:02 2026"
        await watch.look()
        assert release(watch) == fake.release
    await watch.look()
    assert release(watch) is None
    assert [each.code for each in watch.now.complaints] == ["CLAMD_UNAVAILABLE"]


async def test_without_one_nobody_is_asked() -> None:
    search = Search(inspection=Inspection())
    watch = SearchWatch(search, None)
    await watch.look()
    assert watch.now is search
