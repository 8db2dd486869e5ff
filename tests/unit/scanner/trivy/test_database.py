"""Trivy's databases: missing, broken, old or ours; and lent to a run as they were at one moment."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.kernel.reasons import Reason, ScanFailure
from services.scanner.trivy.database import lend_databases, read_databases
from tests.builders.advisories import NOW
from tests.builders.trivy import EMPTY_DATABASE, databases, write_database, written

DAY = timedelta(days=1)
OURS = {
    "version": "20260301-aa",
    "built_at": written(NOW),
    "sample": False,
    "ecosystems": ["Debian:12", "PyPI", "Red Hat:enterprise_linux:9::appstream"],
    "families": {"Debian": written(NOW - 9 * DAY), "PyPI": written(NOW), "Red Hat": None},
}


def test_one_of_trivys_own_is_known_by_its_moment(tmp_path: Path) -> None:
    found = read_databases(databases(tmp_path, "2026-02-27T06:11:04.5Z", java=True))

    assert (found.version, found.java) == ("2026-02-27T06:11:04Z", "2026-02-27T06:11:04Z")
    assert found.built_at == datetime(2026, 2, 27, 6, 11, 4, 500000, tzinfo=UTC)
    assert found.speaks_of("Debian:13")
    assert found.stale_parts(NOW, 7 * DAY, {"Debian"}) == {}
    assert found.stale_parts(NOW, 1 * DAY, {"Debian"}) == {"": found.built_at}


def test_one_that_was_made_of_our_advisories_tells_more(tmp_path: Path) -> None:
    found = read_databases(databases(tmp_path, written(NOW), ours=OURS))

    assert (found.version, found.built_at, found.sample, found.java) == ("20260301-aa", NOW, False, "")
    assert found.facts_at == NOW
    spoken = [
        each
        for each in ("Debian:12", "Debian:13", "PyPI", "npm", "Red Hat:enterprise_linux:9")
        if found.speaks_of(each)
    ]
    assert spoken == ["Debian:12", "PyPI", "Red Hat:enterprise_linux:9"]
    assert found.stale_parts(NOW, 7 * DAY, {"PyPI", "npm"}) == {}
    assert set(found.stale_parts(NOW, 7 * DAY, {"PyPI", "Debian", "Red Hat"})) == {"Debian", "Red Hat"}


def test_a_moment_that_nobody_tells_is_stale(tmp_path: Path) -> None:
    found = read_databases(databases(tmp_path, "0001-01-01T00:00:00Z"))

    assert (found.version, found.built_at) == ("undated", None)
    assert found.stale_parts(NOW, 7 * DAY, ()) == {"": None}


def broken(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def without(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (shutil.rmtree, Reason.TRIVY_DATABASE_MISSING),
        (without("trivy.db"), Reason.TRIVY_DATABASE_MISSING),
        (without("metadata.json"), Reason.TRIVY_DATABASE_MISSING),
        (broken("trivy.db", b""), Reason.TRIVY_DATABASE_BROKEN),
        (broken("trivy.db", b"no bolt database" * 1000), Reason.TRIVY_DATABASE_BROKEN),
        (broken("trivy.db", EMPTY_DATABASE[:-1]), Reason.TRIVY_DATABASE_BROKEN),
        (broken("metadata.json", b"\xff{"), Reason.TRIVY_DATABASE_BROKEN),
        (broken("metadata.json", b'{"Version":1}'), Reason.TRIVY_DATABASE_BROKEN),
        (broken("drydock.json", b"[]"), Reason.TRIVY_DATABASE_BROKEN),
    ],
)
@pytest.mark.parametrize("lend", [False, True])
def test_what_is_missing_or_broken_has_its_reason(
    tmp_path: Path, damage: Callable[[Path], object], why: Reason, *, lend: bool
) -> None:
    folder = databases(tmp_path / "databases", written(NOW))
    damage(folder / "db")

    with pytest.raises(ScanFailure) as caught:
        if lend:
            lend_databases(folder, tmp_path / "cache")
        else:
            read_databases(folder)

    assert caught.value.why is why
    assert "drydock advisories export" in caught.value.hint


def test_what_is_lent_stays_when_the_folder_gets_another(tmp_path: Path) -> None:
    folder = databases(tmp_path / "databases", "2026-02-27T00:00:00Z", java=True)

    lent = lend_databases(folder, tmp_path / "cache")
    shutil.rmtree(folder)
    databases(folder, "2026-02-28T00:00:00Z")

    assert lent.version == "2026-02-27T00:00:00Z"
    assert (tmp_path / "cache" / "db" / "trivy.db").read_bytes() == EMPTY_DATABASE
    assert json.loads((tmp_path / "cache" / "db" / "metadata.json").read_text())["UpdatedAt"] == lent.version
    assert (tmp_path / "cache" / "java-db" / "trivy-java.db").exists()


def test_what_trivy_does_to_a_lent_database_does_not_reach_it(tmp_path: Path) -> None:
    folder = databases(tmp_path / "databases", written(NOW))

    lend_databases(folder, tmp_path / "cache")
    (tmp_path / "cache" / "db" / "trivy.db").unlink()
    (tmp_path / "cache" / "db" / "metadata.json").write_text("{}")

    assert read_databases(folder).built_at == NOW


def test_a_broken_java_database_is_none(tmp_path: Path) -> None:
    folder = databases(tmp_path, written(NOW))
    write_database(folder / "java-db", "other.db", written(NOW))

    assert read_databases(folder).java == ""
