import multiprocessing
import os
from datetime import timedelta
from pathlib import Path

import lmdb
import msgspec
import pytest

from services.kernel.errors import ServiceError
from services.scanner.advisories import files as module
from services.scanner.advisories.compile import Source
from services.scanner.advisories.database import FORMAT, META_KEY, Database
from services.scanner.advisories.files import AdvisoryFiles, AdvisoryReader
from services.scanner.pipeline.match import match
from tests.builders.advisories import NOW, affected, before, debian, python, record, write_lines


def source(folder: Path, fixed: str) -> Source:
    path = write_lines(folder / f"{fixed}.ndjson", [record("CVE-1-1", affected("PyPI", "x", *before(fixed)))])
    return Source(path=path, name=path.name)


def fix_known_to(reader: AdvisoryReader) -> str:
    (vulnerability,) = reader.database().vulnerabilities("PyPI", "x")
    return vulnerability.ceiling


def read_in_a_process(data: str) -> tuple[int, str]:
    return os.getpid(), fix_known_to(AdvisoryReader(AdvisoryFiles(Path(data))))


def test_a_reader_follows_the_swap_and_old_files_go(tmp_path: Path) -> None:
    files = AdvisoryFiles(tmp_path / "data")
    reader = AdvisoryReader(files)
    seen = []
    opened = []
    for number in range(1, 5):
        files.install([source(tmp_path, str(number))], now=NOW)
        seen.append(fix_known_to(reader))
        opened.append(reader.database())
    assert seen == ["1", "2", "3", "4"]
    assert reader.database() is opened[-1]
    assert len(list(files.folder.glob("*.mdb"))) == 2
    assert not list(files.folder.glob(".import-*"))
    reader.close()


def test_a_file_removed_while_open_still_answers(tmp_path: Path) -> None:
    files = AdvisoryFiles(tmp_path / "data")
    files.install([source(tmp_path, "1")], now=NOW)
    with files.open() as database:
        for number in range(2, 5):
            files.install([source(tmp_path, str(number))], now=NOW)
        assert not database.path.exists()
        assert database.vulnerabilities("PyPI", "x")[0].ceiling == "1"


def test_several_readers_of_one_process_share_a_file_and_close_it_each_for_themselves(tmp_path: Path) -> None:
    files = AdvisoryFiles(tmp_path / "data")
    files.install([source(tmp_path, "1")], now=NOW)
    first, second = files.open(), files.open()
    first.close()
    first.close()
    assert second.vulnerabilities("PyPI", "x")[0].ceiling == "1"
    second.close()
    with files.open() as again:
        assert again.vulnerabilities("PyPI", "x")[0].ceiling == "1"


def test_a_broken_source_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    files = AdvisoryFiles(tmp_path / "data")
    files.install([source(tmp_path, "1")], now=NOW)
    there = sorted(files.folder.iterdir())
    broken = tmp_path / "broken.ndjson"
    broken.write_text("{")
    with pytest.raises(ServiceError) as caught:
        files.install([source(tmp_path, "2"), Source(path=broken, name="broken.ndjson")], now=NOW)
    assert caught.value.reason == "ADVISORY_SOURCE_BROKEN"
    assert sorted(files.folder.iterdir()) == there
    assert fix_known_to(AdvisoryReader(files)) == "1"


def test_the_same_facts_make_the_same_file(tmp_path: Path) -> None:
    one, two = AdvisoryFiles(tmp_path / "one"), AdvisoryFiles(tmp_path / "two")
    versions = {each.install([source(tmp_path, "1")], now=NOW).version for each in (one, two)}
    assert len(versions) == 1
    assert one.install([source(tmp_path, "1")], now=NOW + timedelta(days=1)).version not in versions


def test_a_file_of_an_older_format_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "advisories.mdb"
    with lmdb.open(str(path), subdir=False) as environment, environment.begin(write=True) as transaction:
        transaction.put(META_KEY, msgspec.msgpack.encode({"format": FORMAT - 1, "version": "20260101-0"}))
    with pytest.raises(ServiceError, match=f"it has format {FORMAT - 1}, this version of Drydock reads {FORMAT}"):
        Database(path)


def test_without_an_import_the_sample_is_compiled_once(tmp_path: Path) -> None:
    files = AdvisoryFiles(tmp_path)
    path = files.ensure()
    made = path.stat().st_mtime_ns
    assert files.ensure() == path
    assert path.stat().st_mtime_ns == made
    with files.open() as database:
        assert database.meta.sample
        result = match(None, [python("Jinja2", "2.10")], database, unread=(), now=NOW, max_age=timedelta(days=7))
    assert "CVE-2019-10906" in {finding.id for finding in result.findings}
    assert result.coverage_reason == "SAMPLE_ADVISORIES"


def test_an_older_sample_is_made_anew_and_an_import_never_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = AdvisoryFiles(tmp_path / "data")
    first = files.ensure()
    monkeypatch.setattr(module, "SNAPSHOT", source(tmp_path, "7").path)
    second = files.ensure()
    assert first != second
    files.install([source(tmp_path, "8")], now=NOW)
    monkeypatch.setattr(module, "SNAPSHOT", source(tmp_path, "9").path)
    assert fix_known_to(AdvisoryReader(files)) == "8"


def test_the_sample_knows_the_packages_of_the_demo(tmp_path: Path) -> None:
    packages = [
        debian("libssl3", "3.0.9-1", source="openssl"),
        debian("curl", "7.88.1-10"),
        debian("libc6", "2.36-9", source="glibc"),
        debian("zlib1g", "1:1.2.13.dfsg-1", source="zlib"),
        *(
            python(name, version)
            for name, version in (
                ("Jinja2", "2.10"),
                ("urllib3", "1.23"),
                ("requests", "2.19.1"),
                ("PyYAML", "5.3"),
                ("Flask", "0.12.2"),
                ("Werkzeug", "0.14.1"),
                ("Django", "3.2"),
            )
        ),
    ]
    with AdvisoryFiles(tmp_path).open() as database:
        findings = match(None, packages, database, unread=(), now=NOW, max_age=timedelta(days=7)).findings
    assert {finding.key.package for finding in findings} == {package.name for package in packages}
    assert all(finding.score is not None for finding in findings)


@pytest.mark.parametrize("damage", ["cut", "gone", "pointer"])
def test_a_damaged_data_directory_is_told_and_cured_by_an_import(tmp_path: Path, damage: str) -> None:
    files = AdvisoryFiles(tmp_path / "data")
    files.install([source(tmp_path, "1")], now=NOW)
    path = files.current()
    assert path is not None
    path.chmod(0o644)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    elif damage == "gone":
        path.unlink()
    else:
        (files.folder / "current").write_text('{"file": "../../etc/passwd", "bytes": 1}')
    with pytest.raises(ServiceError) as caught:
        files.open()
    assert caught.value.reason == "ADVISORIES_UNREADABLE"
    files.install([source(tmp_path, "2")], now=NOW)
    assert fix_known_to(AdvisoryReader(files)) == "2"


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.mdb"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(ServiceError) as caught:
        Database(path)
    assert caught.value.reason == "ADVISORIES_UNREADABLE"


@pytest.mark.slow
def test_several_processes_read_one_file(tmp_path: Path) -> None:
    files = AdvisoryFiles(tmp_path / "data")
    files.install([source(tmp_path, "5")], now=NOW)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        answers = pool.map(read_in_a_process, [str(tmp_path / "data")] * 4)
    assert {fix for _, fix in answers} == {"5"}
    assert os.getpid() not in {process for process, _ in answers}
