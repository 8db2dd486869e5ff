"""How the rules of a scanner are: those in use, and those that an operator is just writing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.scanner.bounds import ScanBounds
from services.scanner.inspectors.inspection import Inspection
from services.scanner.inspectors.rulefiles import RuleFile
from services.scanner.rulepacks import RulePacks
from services.scanner.search import open_search
from services.scanner.wiring.workers import server_workers

GOOD, BAD = "rule mine { condition: false }\n", "rule mine { condition: nonsense }\n"


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Path]:
    folder = tmp_path / "mine"
    folder.mkdir()
    yield folder


def packs_of(folder: Path | None, data: Path) -> RulePacks:
    settings = ScanBounds(malware_rules=folder, worker_processes=1)
    search = open_search(settings, data)
    assert search.inspection is not None
    return RulePacks(search.inspection, folder, server_workers(settings, search.inspection))


async def said(packs: RulePacks) -> tuple[bool, str]:
    health = await packs.look()
    return health.ready, health.reason


async def test_the_rules_that_ship_with_drydock_compile(tmp_path: Path) -> None:
    packs = packs_of(None, tmp_path)
    health = await packs.look()
    assert (health.ready, health.reason) == (True, "")
    assert health.version


async def test_a_file_that_breaks_or_changes_shows_and_so_does_its_mending(folder: Path, tmp_path: Path) -> None:
    (folder / "mine.yar").write_text(GOOD)
    packs = packs_of(folder, tmp_path)
    assert await said(packs) == (True, "")
    (folder / "mine.yar").write_text(BAD)
    health = await packs.look()
    assert (health.ready, health.reason) == (False, "RULE_FILE_BROKEN")
    assert "mine.yar" in health.message
    (folder / "mine.yar").write_text(GOOD.replace("false", "true"))
    assert await said(packs) == (True, "RULE_FILES_CHANGED")
    (folder / "mine.yar").write_text(GOOD)
    assert await said(packs) == (True, "")


async def test_a_list_of_hashes_is_read_as_one(folder: Path, tmp_path: Path) -> None:
    (folder / "known.sha256").write_text("a" * 64 + "  dropper\n")
    packs = packs_of(folder, tmp_path)
    assert await said(packs) == (True, "")
    (folder / "known.sha256").write_text("no hash at all\n")
    assert await said(packs) == (False, "RULE_FILE_BROKEN")


async def test_a_folder_that_is_gone_or_cannot_be_read_shows(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packs = packs_of(folder, tmp_path)
    assert await said(packs) == (True, "")
    folder.rmdir()
    assert await said(packs) == (False, "RULE_FILE_BROKEN")

    def vanishes(folder: Path) -> object:
        raise FileNotFoundError(folder)

    monkeypatch.setattr("services.scanner.rulepacks.read_folder", vanishes)
    assert await said(packs) == (False, "RULE_FOLDER_UNREADABLE")


async def test_rules_in_use_that_do_not_compile_are_told_and_tried_again(tmp_path: Path) -> None:
    broken = Inspection(files=(RuleFile("mine.yar", BAD),))
    packs = RulePacks(broken, None, server_workers(ScanBounds(worker_processes=1), broken))
    for _ in range(2):
        health = await packs.look()
        assert (health.ready, health.reason) == (False, "RULES_BROKEN")
