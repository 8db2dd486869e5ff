"""Random stacks of layers: what coalescing says is what is found in the unpacked image."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from services.kernel.model.report import Layer
from services.lab.layer import BuiltLayer, Compression, LayerBuilder
from services.layers.limits import LayerLimits
from services.scanner.layers.analyse import analyse_layer
from services.scanner.layers.analysis import LayerAnalysis, decode_analysis
from services.scanner.pipeline.coalesce import coalesce
from tests.builders.filetree import Entry, File, FileTree, Kind

RECORDS = ("p.egg-info", "q.egg-info")
"""Names that the Python cataloger wants, wherever they stand."""
Found = set[tuple[str, str, str, str]]

directory_names = st.sampled_from(("a", "b", "c"))
names = st.sampled_from((*RECORDS, "f", "a", "b", "c"))
paths = st.builds(lambda head, name: "/".join((*head, name)), st.lists(directory_names, max_size=2), names)
record_paths = st.builds(
    lambda head, name: "/".join((*head, name)), st.lists(directory_names, max_size=2), st.sampled_from(RECORDS)
)
directories = st.lists(directory_names, min_size=1, max_size=2).map("/".join)
contents = st.builds("Name: {}\nVersion: {}\n".format, st.sampled_from("xyz"), st.sampled_from("12"))
targets = st.one_of(paths, paths.map("/{}".format), paths.map("../{}".format), st.just("."), st.just(".."))
entries = st.one_of(
    st.builds(Entry, st.just(Kind.FILE), record_paths, contents),
    st.builds(Entry, st.just(Kind.FILE), paths, contents),
    st.builds(Entry, st.just(Kind.DIRECTORY), directories),
    st.builds(Entry, st.just(Kind.SYMBOLIC_LINK), paths, targets),
    st.builds(Entry, st.just(Kind.HARD_LINK), record_paths, record_paths),
    st.builds(Entry, st.just(Kind.WHITEOUT), paths),
    st.builds(Entry, st.just(Kind.OPAQUE), directories),
)
stacks = st.lists(st.lists(entries, min_size=1, max_size=6), min_size=1, max_size=4)

RECORD = "Name: x\nVersion: 1\n"
IN_A = Entry(Kind.FILE, "a/p.egg-info", RECORD)


@given(stack=stacks)
@example(stack=[[IN_A], [Entry(Kind.SYMBOLIC_LINK, "b", "a")], [Entry(Kind.FILE, "b/p.egg-info", "")]])
@example(stack=[[IN_A], [Entry(Kind.FILE, "a", "now a file")]])
@example(stack=[[IN_A], [Entry(Kind.DIRECTORY, "a/p.egg-info")]])
@example(stack=[[IN_A], [Entry(Kind.WHITEOUT, "a/p.egg-info"), IN_A]])
@example(stack=[[IN_A], [Entry(Kind.OPAQUE, "a"), Entry(Kind.FILE, "a/q.egg-info", RECORD)]])
@example(stack=[[Entry(Kind.SYMBOLIC_LINK, "b", "a"), IN_A], [Entry(Kind.DIRECTORY, "b")]])
@example(stack=[[IN_A], [Entry(Kind.HARD_LINK, "c/q.egg-info", "a/p.egg-info")], [Entry(Kind.WHITEOUT, "a")]])
@example(stack=[[Entry(Kind.SYMBOLIC_LINK, "b", "/a")], [Entry(Kind.FILE, "b/p.egg-info", RECORD)]])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_inventory_is_that_of_the_unpacked_image(stack: Sequence[Sequence[Entry]], scratch: Path) -> None:
    tree = FileTree(max_links=2)  # a promise of `layers.links`: names through more are not all known
    origins: dict[tuple[str, str], str] = {}
    layers = []
    for number, drawn in enumerate(stack):
        layer = tree.apply([entry for entry in drawn if is_clear(entry, drawn, tree)])
        layers.append((Layer(digest=f"layer {number}", diff_id="", size=0), analysed(layer, scratch)))
        for path, node in tree.walk():
            if isinstance(node, File) and node.layer == number:
                origins.setdefault((path, node.text), f"layer {number}")

    found = coalesce(layers)

    assert {(p.path, p.name, p.version, p.layer) for p in found.packages} == expected(tree, origins)


PROGRAM = "\x7fELF .dep-v0\0"
program_entries = st.one_of(
    st.builds(Entry, st.just(Kind.FILE), paths, st.sampled_from((PROGRAM, PROGRAM, "no program"))),
    st.builds(Entry, st.just(Kind.DIRECTORY), directories),
    st.builds(Entry, st.just(Kind.SYMBOLIC_LINK), paths, targets),
    st.builds(Entry, st.just(Kind.HARD_LINK), paths, paths),
    st.builds(Entry, st.just(Kind.WHITEOUT), paths),
    st.builds(Entry, st.just(Kind.OPAQUE), directories),
)


@given(stack=st.lists(st.lists(program_entries, min_size=1, max_size=6), min_size=1, max_size=4))
@example(stack=[[Entry(Kind.FILE, "f", PROGRAM)], [Entry(Kind.HARD_LINK, "a", "f"), Entry(Kind.FILE, "f", "")]])
@example(stack=[[Entry(Kind.FILE, "f", PROGRAM)], [Entry(Kind.HARD_LINK, "a", "f"), Entry(Kind.WHITEOUT, "f")]])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_programs_are_seen_where_the_unpacked_image_has_them(
    stack: Sequence[Sequence[Entry]], scratch: Path
) -> None:
    tree = FileTree(max_links=2)
    layers = []
    for number, drawn in enumerate(stack):
        layer = tree.apply([entry for entry in drawn if is_clear(entry, drawn, tree)])
        layers.append((Layer(digest=f"layer {number}", diff_id="", size=0), analysed(layer, scratch)))

    told = [each for each in coalesce(layers).warnings if each.code == "ECOSYSTEM_NOT_READ"]

    there = {f"/{path}": node for path, node in tree.walk() if isinstance(node, File) and node.text == PROGRAM}
    assert [(each.path, each.layer) for each in told] == [
        (path, f"layer {there[path].layer}") for path in sorted(there)[:1]
    ]
    assert all(f"{len(there)} file" in each.message for each in told)


def is_clear(entry: Entry, layer: Sequence[Entry], lower: FileTree) -> bool:
    """Leaves out whiteouts that reach through a name to which their own layer gives another meaning.

    The specification says nothing of them, and runtimes differ: before or after the change is a matter of order.
    """
    if entry.kind not in (Kind.WHITEOUT, Kind.OPAQUE):
        return True
    opaque = entry.kind is Kind.OPAQUE
    before = lower.way(entry.path, last=opaque)
    changing = copy.deepcopy(lower)
    for other in layer:
        if other.kind not in (Kind.WHITEOUT, Kind.OPAQUE):
            changing.apply([other])
            if changing.way(entry.path, last=opaque) != before:
                return False
    return True


def analysed(layer: Sequence[Entry], scratch: Path) -> LayerAnalysis:
    file = scratch / "layer"
    file.write_bytes(built(layer).content)
    return decode_analysis(analyse_layer(str(file), media_type="", limits=LayerLimits()))


def built(layer: Sequence[Entry]) -> BuiltLayer:
    builder = LayerBuilder()
    for entry in layer:
        match entry.kind:
            case Kind.FILE:
                builder.file(entry.path, entry.text)
            case Kind.DIRECTORY:
                builder.directory(entry.path)
            case Kind.SYMBOLIC_LINK:
                builder.symlink(entry.path, entry.text)
            case Kind.HARD_LINK:
                builder.hard_link(entry.path, entry.text)
            case Kind.WHITEOUT:
                builder.whiteout(entry.path)
            case Kind.OPAQUE:
                builder.opaque(entry.path)
    return builder.build(Compression.NONE)


def expected(tree: FileTree, origins: dict[tuple[str, str], str]) -> Found:
    """What the Python cataloger finds under every wanted name, told at its real path."""
    found = set()
    for path, _ in tree.walk():
        parts = tree.resolve(path) if path.endswith(RECORDS) else None
        file = None if parts is None else tree.get(parts)
        if parts and parts[-1] in RECORDS and isinstance(file, File) and file.text.startswith("Name: "):
            real = "/".join(parts)
            name, version = (line.partition(": ")[2] for line in file.text.splitlines())
            found.add((f"/{real}", name, version, origins[real, file.text]))
    return found


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("layers")
