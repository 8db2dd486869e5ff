"""Our intervals against the schema's own pseudo-code (`tests.builders.osv_oracle`)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.model.finding import Package
from services.scanner.advisories.osv import Event, Range
from services.scanner.advisories.ranges import to_intervals
from services.scanner.pipeline.match import match
from tests.builders.advisories import NOW, Json, affected, compiled, record
from tests.builders.osv_oracle import included_in_ranges, is_vulnerable, key_of

KEY = key_of("PyPI")
WORDS = ("introduced", "fixed", "last_affected", "limit")
VERSIONS = [str(number) for number in range(8)]


@st.composite
def ranges(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Ranges whose events are at different versions, in any order, sensible or not."""
    made = []
    for _ in range(draw(st.integers(1, 3))):
        places = draw(st.lists(st.sampled_from(VERSIONS), min_size=1, max_size=6, unique=True))
        events = [{draw(st.sampled_from(WORDS)): place} for place in places]
        made.append({"type": draw(st.sampled_from(["ECOSYSTEM", "SEMVER"])), "events": events})
    return made


@given(ranges())
def test_every_list_of_events_means_what_the_schema_says(given_ranges: list[dict[str, Any]]) -> None:
    intervals = to_intervals(
        [Range(type=each["type"], events=[Event(**event) for event in each["events"]]) for each in given_ranges],
        KEY,
    )
    for version in (*VERSIONS, "0.5", "3.5", "9"):
        ours = any(interval.covers(KEY(version), KEY) for interval in intervals)
        assert ours is included_in_ranges(version, given_ranges, KEY), version


@pytest.mark.parametrize(
    ("events", "version", "verdict"),
    [
        ([{"introduced": "2"}, {"last_affected": "2"}], "2", True),
        ([{"introduced": "2"}, {"fixed": "2"}], "2", False),
        ([{"introduced": "1"}, {"fixed": "2"}, {"introduced": "2"}, {"fixed": "3"}], "2.5", True),
        ([{"introduced": "0"}, {"fixed": "0"}], "5", False),
    ],
)
def test_events_at_one_version_are_taken_as_they_are_written(
    events: list[dict[str, str]], version: str, verdict: bool
) -> None:
    intervals = to_intervals([Range(type="ECOSYSTEM", events=[Event(**event) for event in events])], KEY)
    assert any(interval.covers(KEY(version), KEY) for interval in intervals) is verdict
    assert included_in_ranges(version, [{"events": events}], KEY) is verdict


@pytest.mark.parametrize(
    ("ecosystem", "name", "installed", "entry"),
    [
        ("Maven", "org.apache:x", "2.0", {"versions": ["1.0", "2.0"]}),
        ("Maven", "org.apache:x", "2.0-rc1", affected("Maven", "", {"introduced": "0"}, {"fixed": "2.0"})),
        ("Packagist", "Vendor/X", "1.2.0", {"versions": ["1.2.0"]}),
        ("npm", "@a/b", "1.0.0-beta.1", affected("npm", "", {"introduced": "0"}, {"fixed": "1.0.0"})),
        ("npm", "@a/b", "3.0.0", affected("npm", "", {"introduced": "2.0.0"}, {"last_affected": "2.9.9"})),
        ("Go", "stdlib", "1.21.0-rc.2", affected("Go", "", {"introduced": "1.21.0-0"}, {"fixed": "1.21.1"})),
        (
            "Go",
            "a.b/c",
            "v0.0.0-20200101000000-abcdefabcdef",
            affected("Go", "", {"introduced": "0"}, {"fixed": "0.0.0-20210101000000-abcdefabcdef"}),
        ),
        ("Go", "a.b/c", "v2.0.0+incompatible", affected("Go", "", {"introduced": "0"}, {"fixed": "2.0.1"})),
        ("NuGet", "X.Y", "1.0", affected("NuGet", "", {"introduced": "1.0.0"}, {"fixed": "1.0.1"})),
        ("RubyGems", "x", "1.0.0.rc1", affected("RubyGems", "", {"introduced": "0"}, {"fixed": "1.0.0"})),
        ("crates.io", "x", "0.9.9", affected("crates.io", "", {"introduced": "0.0.0-0"}, {"fixed": "1.0.0"})),
        ("Alpine:v3.20", "x", "1.2-r3", affected("Alpine:v3.20", "", {"introduced": "0"}, {"fixed": "0"})),
        ("Debian:12", "x", "1:0~rc1-1", affected("Debian:12", "", {"introduced": "0"}, {"fixed": "1:0-1"})),
    ],
)
def test_a_scan_gives_the_schemas_verdict_in_every_ecosystem(
    tmp_path: Path, ecosystem: str, name: str, installed: str, entry: Json
) -> None:
    told = {**entry, "package": {"ecosystem": ecosystem, "name": name}}
    package = Package(purl="pkg:x/x@1", name=name, version=installed, ecosystem=ecosystem, path="/p", layer="")
    expected = is_vulnerable(told, installed, key_of(ecosystem))
    with compiled(tmp_path, record("CVE-1-1", told)) as database:
        judged = match(None, [package], database, unread=(), now=NOW, max_age=timedelta(days=7))
    assert bool(judged.findings) is expected
