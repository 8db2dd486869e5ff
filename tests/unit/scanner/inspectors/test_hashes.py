"""Files that are known to be bad are found by their hashes, wherever they lie."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from services.kernel.model.finding import FindingKind
from services.kernel.model.severity import Severity
from services.scanner.bounds import ScanBounds
from services.scanner.inspectors.content import ContentInspector
from services.scanner.inspectors.hashes import KnownHashes, broken_lines, our_hashes
from services.scanner.inspectors.inspection import Inspection
from services.scanner.inspectors.limits import InspectionLimits
from services.scanner.inspectors.rulefiles import RuleFile
from services.scanner.search import open_search
from tests.builders.malware import EICAR, zipped

BAD = b"what somebody knows to be bad"
SHA256 = hashlib.sha256(BAD).hexdigest()
MD5 = hashlib.md5(BAD, usedforsecurity=False).hexdigest()
SIZE = len(BAD)


def inspector(*lines: str, **limits: int) -> ContentInspector:
    return ContentInspector(
        Inspection(hashes=(RuleFile("x.sha256", "\n".join(lines)),), limits=InspectionLimits(**limits))
    )


def test_our_list_has_eicar() -> None:
    known = KnownHashes(our_hashes()).of(EICAR)
    assert known is not None
    assert known.id == "eicar-test-file"


@pytest.mark.parametrize(
    "line",
    [
        f"{SHA256}  Some.Bad/File",
        f"{SHA256.upper()} *Some.Bad/File",
        f"{MD5}\tSome.Bad/File",
        f"{MD5}:{SIZE}:Some.Bad/File",
        f"{SHA256}:*:Some.Bad/File:73",
    ],
)
def test_a_known_file_is_found_with_its_hashes(line: str) -> None:
    [found] = inspector("# a comment", "", line).file("opt/x", BAD, 0o644)
    assert (found.rule.id, found.rule.kind, found.rule.severity) == (
        "Some.Bad/File",
        FindingKind.MALICIOUS_SAMPLE,
        Severity.HIGH,
    )
    assert (found.path, found.sha256, found.md5) == ("opt/x", SHA256, MD5)


@pytest.mark.parametrize("line", [f"{SHA256} Bad", f"{MD5} Bad", f"{MD5}:{SIZE}:Bad"])
def test_it_is_found_in_an_archive_and_in_what_is_too_large_to_be_held(line: str) -> None:
    [inside] = inspector(line).file("opt/x.zip", zipped(**{"y": BAD}), 0o644)
    assert inside.path == "opt/x.zip!/y"
    pieces = iter([memoryview(BAD)[:9], memoryview(BAD)[9:]])
    [passing] = inspector(line, window_bytes=4, overlap_bytes=1).passing("opt/x", pieces, SIZE).finish()
    assert (passing.rule.id, passing.sha256) == ("Bad", SHA256)


def test_nobody_hashes_what_has_the_size_of_none() -> None:
    known = KnownHashes([RuleFile("x.hdb", f"{MD5}:{SIZE}:Bad")])
    assert not known.wants(SIZE + 1)
    assert known.wants(SIZE)
    assert known.known(SIZE + 1, MD5) is None


def test_what_a_rule_of_that_name_found_is_told_once() -> None:
    content = EICAR
    assert [each.rule.id for each in ContentInspector(Inspection()).file("x", content, 0o644)] == [
        "eicar-test-file"
    ]


def test_the_operator_s_lists_are_read_and_their_broken_lines_told(tmp_path: Path) -> None:
    (tmp_path / "a.md5").write_text(f"{MD5} Bad\nno hash\n{'a' * 40} sha1\n")
    (tmp_path / "b.yar").write_text("rule x { condition: false }")
    search = open_search(ScanBounds(malware_rules=tmp_path), tmp_path)
    assert search.inspection is not None
    assert [each.name for each in search.inspection.files] == ["b.yar"]
    assert [each.name for each in search.inspection.hashes] == ["a.md5"]
    [complaint] = search.complaints
    assert "a.md5, line 2: 2 lines are not" in complaint.message
    assert [each.rule.id for each in ContentInspector(search.inspection).file("x", BAD, 0o644)] == ["Bad"]


def test_other_lists_make_another_name_for_analyses() -> None:
    keys = {
        Inspection(hashes=lists).key for lists in ((), (RuleFile("a.md5", MD5),), (RuleFile("a.md5", f"{MD5} x"),))
    }
    assert len(keys) == 3


def test_a_list_of_one_hash_for_each_line_is_none_that_is_broken() -> None:
    assert broken_lines(RuleFile("x.sha256", f"{SHA256}\n{MD5}\n")) is None
