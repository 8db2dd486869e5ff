"""Random stacks of layers: the tree is what a plain unpacker makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.fixer.image.node import NodeKind
from services.fixer.image.tree import ImageTree, read_tree
from services.lab.layer import LayerBuilder
from tests.builders.filetree import Directory, Entry, File, FileTree, Kind, Link
from tests.builders.layerfiles import layer_files

names = st.sampled_from(("a", "b", "c", "f"))
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
targets = st.one_of(paths, paths.map("/{}".format), paths.map("../{}".format), st.just("."), st.just(".."))
entries = st.one_of(
    st.builds(Entry, st.just(Kind.FILE), paths, st.sampled_from(("x", "y"))),
    st.builds(Entry, st.just(Kind.DIRECTORY), paths),
    st.builds(Entry, st.just(Kind.SYMBOLIC_LINK), paths, targets),
    st.builds(Entry, st.just(Kind.HARD_LINK), paths, paths),
    st.builds(Entry, st.just(Kind.WHITEOUT), paths),
    st.builds(Entry, st.just(Kind.OPAQUE), paths),
)
stacks = st.lists(st.lists(entries, min_size=1, max_size=6), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("layers")


@given(stack=stacks)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_tree_is_that_of_the_unpacked_image(stack: Sequence[Sequence[Entry]], scratch: Path) -> None:
    oracle = FileTree()
    layers = []
    for drawn in stack:
        accepted = applied(oracle, sorted(drawn, key=lambda entry: entry.kind not in (Kind.WHITEOUT, Kind.OPAQUE)))
        layers.append(built(accepted))

    tree = read_tree(layer_files(scratch, *layers), lambda _: True)

    assert seen(tree) == expected(oracle.root)


def applied(oracle: FileTree, entries: Sequence[Entry]) -> list[Entry]:
    """What of it an unpacker takes: hard links to what the layer itself deletes, it does not."""
    removals = [each for each in entries if each.kind in (Kind.WHITEOUT, Kind.OPAQUE)]
    for removal in removals:  # one after the other, as they are met
        oracle.apply([removal])
        oracle.layers -= 1
    accepted = list(removals)
    for entry in entries[len(removals) :]:
        parts, present = oracle.resolve(entry.path, last=False), None
        if parts:
            present = oracle.get(parts)
        if entry.kind is Kind.HARD_LINK:
            target = oracle.resolve(entry.text, last=False)
            if isinstance(present, dict) or target is None or target == parts or oracle.get(target) is None:
                continue
        oracle.kept = oracle.root
        if oracle._add(entry):
            accepted.append(entry)
    oracle.layers += 1
    return accepted


def built(entries: Sequence[Entry]) -> LayerBuilder:
    layer = LayerBuilder()
    for entry in entries:
        match entry.kind:
            case Kind.FILE:
                layer.file(entry.path, entry.text)
            case Kind.DIRECTORY:
                layer.directory(entry.path)
            case Kind.SYMBOLIC_LINK:
                layer.symlink(entry.path, entry.text)
            case Kind.HARD_LINK:
                layer.hard_link(entry.path, entry.text)
            case Kind.WHITEOUT:
                layer.whiteout(entry.path)
            case Kind.OPAQUE:
                layer.opaque(entry.path)
    return layer


def expected(directory: Directory, below: str = "") -> dict[str, str]:
    found = {}
    for name, node in directory.items():
        path = f"{below}/{name}" if below else name
        match node:
            case File(text=text):
                found[path] = f"file {text}"
            case Link(target=target):
                found[path] = f"link {target}"
            case _:
                found |= {path: "directory"} | expected(node, path)
    return found


def seen(tree: ImageTree, below: str = "") -> dict[str, str]:
    found = {}
    for name in tree.names(below):
        path = f"{below}/{name}" if below else name
        node = tree.get(path)
        assert node is not None
        if node.kind is NodeKind.FILE:
            found[path] = f"file {tree.read(path).decode()}"
        elif node.kind is NodeKind.SYMBOLIC_LINK:
            found[path] = f"link {node.target}"
        else:
            found |= {path: "directory"} | seen(tree, path)
    return found
