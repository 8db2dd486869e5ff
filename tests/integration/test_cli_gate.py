"""`drydock gate --local`: the verdict of an image here and now, and the exit statuses that pipelines rely on."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.lab.image import build_image, write_layout
from services.lab.layer import LayerBuilder
from tests.builders.advisories import affected, before, cvss, record, write_zip
from tests.commandline import Ran, drydock

PURL = "pkg:pypi/x@3"


class Place:
    """An image with the package x 3, and advisories that a test names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        layer = LayerBuilder().file("srv/x-3.dist-info/METADATA", "Metadata-Version: 2.1\nName: x\nVersion: 3\n\n")
        write_layout(folder / "layout", {"1.0": build_image([layer.build()])})
        self.image = f"oci:{folder}/layout:1.0"

    def advise(self, *severities: str, fixed: str = "4", days: int = 0) -> None:
        """Says that x has vulnerabilities; of unknown severity where it is empty. It was said `days` ago."""
        today = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        said = {
            "HIGH": {"severity": cvss("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N")},
            "LOW": {"severity": cvss("CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N")},
            "": {},
        }
        records = [
            record(f"CVE-2026-{number}", affected("PyPI", "x", *before(fixed)), modified=today, **said[severity])
            for number, severity in enumerate(severities)
        ] or [record("CVE-1-1", affected("PyPI", "x", *before("2")), modified=today)]
        write_zip(self.folder / "all.zip", records)

    def write(self, name: str, content: str) -> str:
        (self.folder / name).write_text(content)
        return str(self.folder / name)

    async def gate(self, *arguments: str) -> Ran:
        given = ("--advisories", str(self.folder / "all.zip"), "--data", str(self.folder), "--output", "json")
        return await drydock("gate", "--local", self.image, *given, *arguments)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.advise()
    return made


def codes(ran: Ran) -> list[str]:
    return [reason["code"] for reason in ran.json["reasons"]]


async def test_an_image_with_nothing_in_it_passes(place: Place) -> None:
    ran = await place.gate()
    assert (ran.status, ran.json["decision"], ran.stderr) == (0, "PASS", "")
    assert codes(ran) == ["WITHIN_LIMITS"]
    assert ran.json["digest"].startswith("sha256:")


@pytest.mark.parametrize(
    ("severities", "arguments", "status"),
    [
        (("HIGH",), (), 1),
        (("HIGH",), ("--fail-on", "critical"), 0),
        (("HIGH",), ("--allow", "high=1"), 0),
        (("HIGH", "HIGH"), ("--allow", "high=1"), 1),
        (("LOW",), (), 0),
        (("LOW",), ("--allow", "low=0"), 1),
        (("",), ("--fail-on", "critical"), 1),
        (("",), ("--fail-on", "critical", "--ignore-unknown"), 0),
        (("HIGH",), ("--kind", "malicious"), 0),
        (("HIGH",), ("--kind", "application"), 1),
    ],
)
async def test_the_policy_says_what_fails(
    place: Place, severities: tuple[str, ...], arguments: tuple[str, ...], status: int
) -> None:
    place.advise(*severities)
    ran = await place.gate(*arguments)
    assert ran.status == status
    assert ran.json["decision"] == ("FAIL" if status else "PASS")
    if status:
        assert ran.error["reason"] == "GATE_FAILED"
        assert {finding["id"] for finding in ran.json["failing"]} == {
            f"CVE-2026-{number}" for number in range(len(severities))
        }


async def test_the_same_policy_judges_a_plain_scan_but_for_unknown_severity(place: Place) -> None:
    given = ("--advisories", str(place.folder / "all.zip"), "--data", str(place.folder), "--fail-on", "high")
    place.advise("HIGH")
    failed = await drydock("scan", place.image, *given)
    assert failed.status == 1
    assert "1 HIGH finding, and 0 may pass. [GATE_FAILED]" in failed.stderr
    place.advise("")
    passed = await drydock("scan", place.image, *given)
    assert passed.status == 0
    assert "Of 1 findings nobody has said how severe they are" in passed.stderr


async def test_exemptions_hold_until_their_day_is_over(place: Place) -> None:
    place.advise("HIGH")
    today = datetime.now(UTC).date()
    form = '[[exempt]]\nid = "CVE-2026-0"\npackage = "x"\nreason = "not reachable"\nuntil = {}\n'
    valid = place.write("valid.toml", form.format(today))
    ran = await place.gate("--exempt", valid)
    assert (ran.status, ran.json["excused"][0]["reason"]) == (0, "not reachable")
    over = place.write("over.toml", form.format(today - timedelta(days=1)))
    ran = await place.gate("--exempt", over)
    assert (ran.status, ran.json["notes"][0]["code"]) == (1, "EXEMPTION_EXPIRED")


async def test_a_vex_document_excuses_what_it_speaks_of(place: Place) -> None:
    place.advise("HIGH", "HIGH")
    statement = {
        "vulnerability": {"name": "CVE-2026-0"},
        "products": [{"@id": PURL}],
        "status": "not_affected",
        "justification": "vulnerable_code_not_present",
    }
    document = {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": "https://example.org/vex-1",
        "author": "Team X",
        "timestamp": "2026-01-01T00:00:00Z",
        "version": 1,
        "statements": [statement],
    }
    ran = await place.gate("--vex", place.write("x.vex.json", json.dumps(document)))
    assert ran.status == 1
    assert [finding["id"] for finding in ran.json["failing"]] == ["CVE-2026-1"]
    assert [(each["finding"]["id"], each["source"]) for each in ran.json["excused"]] == [("CVE-2026-0", "VEX")]


async def test_facts_do_not_grow_young_by_being_imported(place: Place) -> None:
    place.advise(days=3)
    old = await place.gate("--max-advisory-age", "48h")
    assert (old.status, codes(old)) == (5, ["ADVISORIES_TOO_OLD"])
    young = await place.gate("--max-advisory-age", "96h")
    assert (young.status, codes(young)) == (0, ["WITHIN_LIMITS"])


async def test_what_cannot_be_judged_is_undecided(place: Place) -> None:
    ran = await drydock("gate", "--local", place.image, "--data", str(place.folder), "--output", "json")
    assert (ran.status, ran.json["decision"]) == (5, "UNDECIDED")
    assert "SAMPLE_ADVISORIES" in codes(ran)
    assert ran.error["reason"] == codes(ran)[0]


async def test_an_image_that_is_not_there_is_no_verdict(place: Place) -> None:
    ran = await drydock("gate", "--local", f"oci:{place.folder}/none", "--output", "json")
    assert (ran.status, ran.stdout) == (3, "")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "INVALID_IMAGE"),
        (("prod",), "INVALID_IMAGE"),
        (("prod", "a:1", "--local", "oci:x"), "INVALID_IMAGE"),
        (("--local", "oci:x", "--wait", "5m"), "INVALID_IMAGE"),
        (("prod", "a:1", "--allow", "high"), "INVALID_LIMIT"),
        (("prod", "a:1", "--allow", "awful=1"), "INVALID_LIMIT"),
        (("prod", "a:1", "--exempt", "/none.toml"), "FILE_NOT_READABLE"),
        (("prod", "a:1", "--vex", "/none.json"), "FILE_NOT_READABLE"),
        (("--local", "oci:x", "--max-advisory-age", "0s"), "INVALID_AGE"),
        (("prod", "a:1", "--max-advisory-age", "36500d"), "INVALID_AGE"),
    ],
)
async def test_wrong_usage_is_told_before_anything_is_done(arguments: tuple[str, ...], reason: str) -> None:
    ran = await drydock("gate", *arguments, "--output", "json")
    assert (ran.status, ran.error["reason"]) == (2, reason)


@pytest.mark.parametrize(
    "content",
    [
        "not toml",
        "exempt = 1",
        "exempt = [1]",
        '[[exempt]]\nid = "CVE-1"',
        '[[exempt]]\nid = "CVE-1"\nreason = " "',
        '[[exempt]]\nid = "CVE-1"\nreason = 1',
        '[[exempt]]\nid = "CVE-1"\nreason = "a"\nuntil = "tomorrow"',
        '[[exempt]]\nid = "CVE-1"\nreason = "a"\nexpires = 2026-01-01',
    ],
)
async def test_exemptions_that_cannot_be_taken_are_refused(place: Place, content: str) -> None:
    ran = await place.gate("--exempt", place.write("bad.toml", content))
    assert (ran.status, ran.error["reason"]) == (2, "INVALID_EXEMPTION")


async def test_without_a_server_the_status_says_so() -> None:
    ran = await drydock("gate", "prod", "a:1", "--server", "127.0.0.1:1", "--output", "json")
    assert ran.status == 4
