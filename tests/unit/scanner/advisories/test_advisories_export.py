"""`drydock advisories export`: the facts of the file, and nothing else, as lines."""

import json
from pathlib import Path
from typing import Any

from services.scanner.advisories.export import SCHEMA, export_lines
from tests.builders.advisories import affected, before, compiled, cvss, record

CRITICAL = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"


def exported(folder: Path, *records: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    with compiled(folder, *records) as database:
        head, *lines = [json.loads(line) for line in export_lines(database)]
    return head, lines


def test_the_head_tells_form_and_version(tmp_path: Path) -> None:
    head, lines = exported(tmp_path, record("CVE-1-1", affected("PyPI", "x", *before("2"))))
    assert head["schema"] == SCHEMA
    assert head["built_at"] == "2026-03-01T00:00:00Z"
    assert head["version"].startswith("20260301-")
    assert len(lines) == 1


def test_a_line_holds_all_that_is_known_of_one_vulnerability_of_one_package(tmp_path: Path) -> None:
    of_one_source = record(
        "GHSA-1", affected("PyPI", "Some_Name", *before("2", "1"), versions=["0.5"]), aliases=["CVE-1-1"]
    )
    of_another = record(
        "PYSEC-1", affected("PyPI", "some-name", *before("2")), aliases=["CVE-1-1"], severity=cvss(CRITICAL)
    )
    _, (line,) = exported(tmp_path, of_one_source, of_another)
    assert line == {
        "ecosystem": "PyPI",
        "package": "some-name",
        "id": "CVE-1-1",
        "aliases": ["GHSA-1", "PYSEC-1"],
        "severity": "CRITICAL",
        "score": 9.8,
        "title": "",
        "ceiling": "2",
        "affected": [{"introduced": "1", "fixed": "2"}, {"introduced": "0", "fixed": "2"}],
        "versions": ["0.5"],
    }


def test_every_way_that_an_interval_ends_is_told_apart(tmp_path: Path) -> None:
    ends = {
        "a": ({"introduced": "0"},),
        "b": ({"introduced": "0"}, {"last_affected": "3"}),
        "c": ({"introduced": "1"}, {"limit": "4"}),
    }
    records = [record(f"CVE-1-{name}", affected("PyPI", name, *events)) for name, events in ends.items()]
    _, lines = exported(tmp_path, *records)
    assert [line["affected"] for line in lines] == [
        [{"introduced": "0"}],
        [{"introduced": "0", "last_affected": "3"}],
        [{"introduced": "1", "limit": "4"}],
    ]
    assert [line["ceiling"] for line in lines] == ["", "3", "4"]


def test_packages_of_all_ecosystems_are_there(tmp_path: Path) -> None:
    _, lines = exported(
        tmp_path,
        record("CVE-1-1", affected("npm", "@scope/x", *before("1"))),
        record(
            "CVE-1-2", affected("Debian:12", "openssl", *before("3")), affected("Debian:12", "curl", *before("8"))
        ),
    )
    assert [(line["ecosystem"], line["package"]) for line in lines] == [
        ("Debian:12", "curl"),
        ("Debian:12", "openssl"),
        ("npm", "@scope/x"),
    ]


def test_fixes_in_modules_are_told_apart(tmp_path: Path) -> None:
    fixed = "1:16.20.2-1.module_el8.9.0+3731+490e3ab5"
    _, (line,) = exported(tmp_path, record("ALSA-1", affected("AlmaLinux:8", "nodejs", *before(fixed))))
    assert line["affected"] == [{"introduced": "0", "fixed": fixed, "module": "nodejs@16.20.2"}]
