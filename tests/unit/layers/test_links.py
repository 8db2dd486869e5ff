"""Where paths lead through symbolic links, and by which names they are reached."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.lab.layer import LayerBuilder
from services.layers.links import Names, real_path
from services.scanner.layers.ways import links_that_matter, places, ways
from tests.builders.tars import analysis_of

MERGED = {"lib": "usr/lib", "sbin": "/usr/sbin", "usr/sbin": "bin"}

parts = st.sampled_from(("a", "b", "c"))
paths = st.lists(parts, min_size=1, max_size=3).map("/".join)
targets = st.one_of(paths, paths.map("/{}".format), st.sampled_from(("..", ".", "../a")))
trees = st.dictionaries(paths, targets).map(
    # Nothing lies beneath a link.
    lambda links: {path: target for path, target in links.items() if real_path(path, links) == path}
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("lib/x", "usr/lib/x"),
        ("lib", "lib"),
        ("sbin/x", "usr/bin/x"),
        ("usr/lib/x", "usr/lib/x"),
        ("lib/../x", "usr/x"),
        ("../../x", "x"),
        ("nowhere/x", "nowhere/x"),
    ],
)
def test_links_on_the_way_are_followed_inside_the_root(path: str, expected: str) -> None:
    assert real_path(path, MERGED) == expected


def test_last_part_is_followed_only_on_request() -> None:
    assert real_path("sbin", MERGED, last=True) == "usr/bin"
    assert real_path("sbin", MERGED) == "sbin"


def test_links_in_a_circle_lead_nowhere() -> None:
    assert real_path("a/x", {"a": "b", "b": "a"}) is None


def test_names_of_a_path_are_its_own_and_those_through_links() -> None:
    assert Names(MERGED).of("usr/bin/x") == ("usr/bin/x", "sbin/x", "usr/sbin/x")


def test_directory_that_holds_itself_has_few_names() -> None:
    names = Names({"a/self": "."}).of("a/x")

    assert names == ("a/x", "a/self/x")


@given(trees, paths)
def test_every_name_leads_to_its_path(links: dict[str, str], path: str) -> None:
    real = real_path(path, links, last=True)

    assert real is None or {real_path(name, links, last=True) for name in Names(links).of(real)} == {real}


@given(trees, paths)
def test_real_path_is_among_the_ways(links: dict[str, str], path: str) -> None:
    real = real_path(path, links)
    possible = ways(path, {link: {target} for link, target in links.items()})

    assert real is None or possible is None or real in possible


def test_names_of_a_path_of_very_many_parts_are_told() -> None:
    deep = "/".join(["usr", *"d" * 5_000, "lib"])
    names = Names({"link": "/usr/d"})

    assert names.of(f"{deep}/x") == (f"{deep}/x", deep.replace("usr/d", "link", 1) + "/x")


def test_links_that_matter_for_one_another_are_found_in_no_time(tmp_path: Path) -> None:
    layer = LayerBuilder().file("a/packages", "one 1\n").symlink("p0/l", "/a")
    for number in range(1, 5_000):
        layer.symlink(f"p{number}/l", f"/p{number - 1}")
    layer.symlink("elsewhere/l", "/nowhere")
    analysis = analysis_of(tmp_path, layer)
    begun = time.process_time()

    found = links_that_matter([analysis])

    assert time.process_time() - begun < 1
    assert len(found) == 5_000
    assert "elsewhere/l" not in found


@pytest.mark.parametrize("top", ["lib", "usr/lib"])
def test_links_that_matter_are_found_in_the_time_of_deep_paths(top: str, tmp_path: Path) -> None:
    layer = LayerBuilder().symlink("lib", "usr/lib")
    for number in range(8):
        layer.file("/".join([top, f"{number}", *["d"] * 900, "packages"]), "one 1\n")
    analysis = analysis_of(tmp_path, layer)
    begun = time.process_time()

    found = links_that_matter([analysis])

    assert time.process_time() - begun < 1
    assert found == {"lib"}


@given(
    links=st.dictionaries(
        st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join),
        st.sets(st.lists(st.sampled_from(["a", "b", "c", "..", ".", ""]), min_size=1, max_size=4).map("/".join)),
        max_size=6,
    ),
    path=st.lists(st.sampled_from("abc"), min_size=1, max_size=5).map("/".join),
)
def test_places_are_the_ways_of_all_parents(links: dict[str, set[str]], path: str) -> None:
    expected: set[str] = set()
    pending = [path]
    while pending:
        if (whole := pending.pop()) and whole not in expected:
            expected.add(whole)
            pending += [
                whole.rpartition("/")[0],
                *(ways(whole, links) or ()),
                *(ways(whole, links, last=True) or ()),
            ]

    assert set(places(path, links, set())) == expected
