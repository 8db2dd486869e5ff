import io
import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.errors import Kind, ServiceError
from services.scanner.advisories import sources
from services.scanner.advisories.sources import read_source
from tests.builders.advisories import affected, before, record, write_lines, write_zip

RECORDS = [record(f"CVE-1-{number}", affected("PyPI", "x", *before("2"))) for number in range(3)]


def ids(path: Path) -> list[str]:
    return [each.id for each in read_source(path, "the source")]


def refused(path: Path) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        ids(path)
    assert "the source" in caught.value.message
    return caught.value


def test_a_zip_a_directory_lines_and_a_single_record_give_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "folder" / "deep"
    folder.mkdir(parents=True)
    for each in RECORDS:
        (folder / f"{each['id']}.json").write_text(json.dumps(each, indent=1))
    expected = [each["id"] for each in RECORDS]
    assert ids(write_zip(tmp_path / "all.zip", RECORDS)) == expected
    assert ids(write_lines(tmp_path / "all.ndjson", RECORDS)) == expected
    assert ids(tmp_path / "folder") == expected
    assert ids(folder / "CVE-1-1.json") == ["CVE-1-1"]


def test_unknown_fields_and_nulls_are_no_damage(tmp_path: Path) -> None:
    odd = {
        **RECORDS[0],
        "new_field": {"a": [1]},
        "aliases": None,
        "severity": None,
        "details": "x",
        "credits": [{}],
    }
    assert ids(write_lines(tmp_path / "a.ndjson", [odd])) == ["CVE-1-0"]


@given(share=st.floats(0.01, 0.99))
def test_a_zip_cut_off_anywhere_is_broken(tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
    path = write_zip(tmp_path_factory.mktemp("zip") / "all.zip", RECORDS)
    content = path.read_bytes()
    path.write_bytes(content[: max(2, int(len(content) * share))])
    assert refused(path).reason == "ADVISORY_SOURCE_BROKEN"


def test_a_zip_with_a_flipped_bit_names_its_member(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "all.zip", RECORDS)
    content = bytearray(path.read_bytes())
    content[len("PK") + 60] ^= 0xFF
    path.write_bytes(content)
    error = refused(path)
    assert error.reason == "ADVISORY_SOURCE_BROKEN"
    assert "CVE-1-0.json" in error.message


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"id": 7}', '{"id": ""}', "{}", '{"id":"a","affected":{}}', "\x00"]
)
def test_a_broken_record_breaks_its_source_and_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.ndjson"
    path.write_text(json.dumps(RECORDS[0]) + "\n" + content + "\n")
    error = refused(path)
    assert error.reason == "ADVISORY_SOURCE_BROKEN"
    assert "line 2" in error.message


@pytest.mark.parametrize("name", ["empty.zip", "empty.ndjson"])
def test_a_source_without_records_is_broken(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    _ = write_zip(path, []) if name.endswith(".zip") else path.write_text("\n")
    assert refused(path).reason == "ADVISORY_SOURCE_BROKEN"


def test_a_missing_source_is_wrong_usage(tmp_path: Path) -> None:
    error = refused(tmp_path / "none.zip")
    assert (error.kind, error.reason) == (Kind.INVALID_ARGUMENT, "ADVISORY_SOURCE_NOT_FOUND")


def test_a_record_beyond_the_bound_is_refused_without_being_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MAX_RECORD_BYTES", 1000)
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("big.json", io.BytesIO(b" " * 5_000_000).getvalue())
    error = refused(path)
    assert error.reason == "ADVISORY_SOURCE_TOO_LARGE"
    assert "big.json" in error.message


def test_a_zip_that_inflates_too_far_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_RECORD_BYTES", 60_000)
    padded = [record(f"CVE-1-{number}", details="a" * 50_000) for number in range(40)]
    monkeypatch.setattr(sources, "MAX_RATIO", 10)
    assert refused(write_zip(tmp_path / "bomb.zip", padded)).reason == "ADVISORY_SOURCE_TOO_LARGE"


def test_too_many_records_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_RECORDS", 2)
    assert refused(write_lines(tmp_path / "a.ndjson", RECORDS)).reason == "ADVISORY_SOURCE_TOO_LARGE"


def test_links_in_a_directory_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside.json").write_text(json.dumps(RECORDS[0]))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps(RECORDS[1]))
    (folder / "b.json").symlink_to(tmp_path / "outside.json")
    assert ids(folder) == ["CVE-1-1"]


def test_a_directory_of_zips_and_lines_is_read_as_all_of_them(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    write_zip(folder / "a.zip", RECORDS[:1])
    write_lines(folder / "b.ndjson", RECORDS[1:])
    (folder / "SOURCES.md").write_text("not a record")
    assert ids(folder) == [each["id"] for each in RECORDS]
