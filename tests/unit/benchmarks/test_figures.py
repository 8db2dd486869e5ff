"""The arithmetic of benchmarks, and the page that they write."""

from __future__ import annotations

import pytest

from tests.benchmarks.__main__ import PAGE, recorded
from tests.benchmarks.figures import Figure, percentile, ratio


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 50.0), (99, 99.0), (100, 100.0), (99.5, 100.0), (1, 1.0), (0, 1.0)]
)
def test_a_percentile_is_a_value_that_was_measured(percent: float, expected: float) -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], percent) == expected


def test_a_ratio_compares_what_was_measured_in_the_same_round() -> None:
    ours = Figure(what="ours", rounds=(1.0, 4.0, 30.0), unit="calls/s")
    theirs = Figure(what="theirs", rounds=(2.0, 4.0, 40.0), unit="calls/s")
    both = ratio("ours / theirs", ours, theirs)
    assert both.rounds == (0.5, 1.0, 0.75)
    assert both.median == 0.75


def test_a_run_replaces_the_last_one_on_the_page_and_nothing_else() -> None:
    page = PAGE.read_text()
    once = recorded(page, "figures\n")
    assert recorded(once, "other figures\n") == once.replace("figures\n<!-- end", "other figures\n<!-- end")
    assert recorded(recorded(page, "figures \\1\n"), "figures\n") == once
    before, _, after = once.partition("figures\n<!-- end")
    assert page.startswith(before)
    assert page.endswith(after)
