from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.versions import sort_key
from services.scanner.advisories.osv import Event, Range
from services.scanner.advisories.ranges import to_intervals

KEY = partial(sort_key, "pep440")


def is_affected(version: str, *events: Event, kind: str = "ECOSYSTEM") -> bool:
    intervals = to_intervals([Range(type=kind, events=list(events))], KEY)
    return any(interval.covers(KEY(version), KEY) for interval in intervals)


def introduced(version: str) -> Event:
    return Event(introduced=version)


def fixed(version: str) -> Event:
    return Event(fixed=version)


@pytest.mark.parametrize(
    ("version", "verdict"),
    [("0.1", True), ("1.9", True), ("2.0", False), ("2.9", False), ("3.0", True), ("3.1", False)],
)
def test_a_range_may_open_and_close_several_times_in_any_order(version: str, verdict: bool) -> None:
    assert is_affected(version, fixed("3.1"), introduced("3.0"), introduced("0"), fixed("2.0")) is verdict


@pytest.mark.parametrize(("version", "verdict"), [("1.0", True), ("2.5", True), ("2.5.1", False)])
def test_the_last_affected_version_is_affected_itself(version: str, verdict: bool) -> None:
    assert is_affected(version, introduced("0"), Event(last_affected="2.5")) is verdict


@pytest.mark.parametrize(("version", "verdict"), [("1.9", True), ("2.0", False)])
def test_nothing_is_said_beyond_a_limit(version: str, verdict: bool) -> None:
    assert is_affected(version, introduced("1.0"), Event(limit="2.0")) is verdict


def test_a_limit_of_a_star_is_none() -> None:
    assert is_affected("99", introduced("1.0"), Event(limit="*"))


def test_a_fix_beyond_the_limit_is_not_told_as_the_fix() -> None:
    (interval,) = to_intervals(
        [Range(type="ECOSYSTEM", events=[introduced("0"), fixed("3"), Event(limit="2")])], KEY
    )
    assert interval.kind.name == "LIMIT"


def test_commits_are_no_versions() -> None:
    assert not is_affected("1.0", introduced("0"), kind="GIT")


@pytest.mark.parametrize("events", [("0", "0"), ("1.0", "1.0")])
def test_a_range_fixed_where_it_begins_affects_nothing(events: tuple[str, str]) -> None:
    for version in ("0", "0.9", "1.0", "1.1"):
        assert not is_affected(version, introduced(events[0]), fixed(events[1]))


def test_a_new_range_that_begins_where_the_last_one_was_fixed_leaves_no_hole() -> None:
    events = (introduced("1.0"), introduced("2.0"), fixed("2.0"), fixed("3.0"))
    assert is_affected("2.0", *events)
    assert is_affected("2.5", *events)
    assert not is_affected("3.0", *events)


@given(
    bounds=st.lists(st.integers(1, 60), min_size=1, max_size=8, unique=True),
    probe=st.integers(0, 70),
    data=st.data(),
)
def test_intervals_agree_with_a_walk_over_sorted_events(
    bounds: list[int], probe: int, data: st.DataObject
) -> None:
    ordered = sorted(bounds)
    events = [introduced(str(n)) if place % 2 == 0 else fixed(str(n)) for place, n in enumerate(ordered)]
    expected = any(a <= probe < b for a, b in list(pairwise([*ordered, 10_000]))[::2])
    shuffled = data.draw(st.permutations(events))
    assert is_affected(str(probe), *shuffled) is expected
