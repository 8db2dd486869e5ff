from __future__ import annotations

import contextlib
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.fixer.failure import FixFailure, FixReason
from services.fixer.image.bounds import TreeLimits
from services.fixer.image.node import Attributes, NodeKind
from services.fixer.image.tree import ImageTree, read_tree
from services.kernel.reasons import Reason, ScanFailure
from services.lab.layer import Compression, LayerBuilder
from services.layers.limits import LayerLimits
from tests.builders.layerfiles import an_entry, layer_files
from tests.builders.tars import END, pax_header, tar_file, tar_header


def everything(_path: str) -> bool:
    return True


def tree_of(folder: Path, *layers: LayerBuilder) -> ImageTree:
    return read_tree(layer_files(folder, *layers), everything)


def paths(tree: ImageTree, below: str = "") -> set[str]:
    found = set()
    for name in tree.names(below):
        path = f"{below}/{name}" if below else name
        found |= {path} | paths(tree, path)
    return found


def failure(folder: Path, *layers: LayerBuilder, limits: TreeLimits | None = None) -> ScanFailure | FixFailure:
    with pytest.raises((ScanFailure, FixFailure)) as caught:
        read_tree(layer_files(folder, *layers), everything, limits)
    assert isinstance(caught.value, ScanFailure | FixFailure)
    return caught.value


def test_all_attributes_of_a_file_are_known(tmp_path: Path) -> None:
    entry = an_entry(
        "usr/bin/ping",
        mode=0o4755,
        uid=3_000_000,
        gid=42,
        mtime=1_700_000_000.75,
        pax_headers={"SCHILY.xattr.security.capability": "\x01\x00", "SCHILY.xattr.user.note": "a=b"},
    )
    device = an_entry("dev/null", tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=3)
    layer = LayerBuilder().raw(entry).raw(device).raw(an_entry("run/pipe", tarfile.FIFOTYPE))

    tree = tree_of(tmp_path, layer)

    found = tree.get("usr/bin/ping")
    assert found is not None
    assert found.attributes == Attributes(
        mode=0o4755,
        uid=3_000_000,
        gid=42,
        mtime=1_700_000_000,
        xattrs={"security.capability": b"\x01\x00", "user.note": b"a=b"},
    )
    null, pipe = tree.get("dev/null"), tree.get("run/pipe")
    assert null is not None
    assert (null.kind, null.device) == (NodeKind.CHARACTER_DEVICE, (1, 3))
    assert pipe is not None
    assert pipe.kind is NodeKind.FIFO


def test_a_later_layer_replaces_deletes_and_hides(tmp_path: Path) -> None:
    base = LayerBuilder().file("etc/motd", "old").file("etc/gone", "x").file("opt/a/old", "x").file("srv/d/x", "x")
    top = LayerBuilder().file("etc/motd", "new").whiteout("etc/gone").file("opt/a/new").opaque("opt/a")
    top.file("srv/d", "a file now")

    tree = tree_of(tmp_path, base, top)

    assert paths(tree) == {"etc", "etc/motd", "opt", "opt/a", "opt/a/new", "srv", "srv/d"}
    assert tree.read("etc/motd") == b"new"
    assert tree.read("srv/d") == b"a file now"


def test_a_whiteout_touches_only_lower_layers_wherever_it_stands(tmp_path: Path) -> None:
    base = LayerBuilder().file("a/lower").file("b/lower").file("c")
    top = LayerBuilder().file("a/upper").whiteout("a").directory("b").whiteout("b").file("c", "new").whiteout("c")

    tree = tree_of(tmp_path, base, top)

    assert paths(tree) == {"a", "a/upper", "b", "c"}
    assert tree.read("c") == b"new"


def test_entries_go_through_the_links_of_lower_layers(tmp_path: Path) -> None:
    base = LayerBuilder().directory("usr/lib", mode=0o711).symlink("lib", "usr/lib").symlink("abs", "/lib/x/../y")
    top = LayerBuilder().file("lib/libc.so", "c").file("abs/z", "z")

    tree = tree_of(tmp_path, base, top)

    assert tree.read("usr/lib/libc.so") == b"c"
    assert tree.real_path("lib/libc.so") == "usr/lib/libc.so"
    assert tree.read("usr/lib/y/z") == b"z"
    assert tree.real_path("abs") == "abs"
    assert tree.real_path("abs", last=True) == "usr/lib/y"
    assert tree.real_path("lib/nothing/../there") == "usr/lib/there"
    kept = tree.get("usr/lib")
    assert kept is not None
    assert kept.attributes.mode == 0o711


def test_links_in_a_circle_lead_nowhere(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, LayerBuilder().symlink("a", "b").symlink("b", "a"))

    assert tree.real_path("a/x") is None
    assert tree.real_path("a") == "a"


def test_hard_links_are_names_of_one_file_and_outlive_each_other(tmp_path: Path) -> None:
    base = LayerBuilder().file("a", "text").hard_link("b", "a").file("c", "other")
    top = LayerBuilder().hard_link("d", "c").whiteout("a").whiteout("c")

    tree = tree_of(tmp_path, base, top)

    assert paths(tree) == {"b", "d"}
    assert (tree.read("b"), tree.read("d")) == (b"text", b"other")
    first, second = tree_of(tmp_path, LayerBuilder().file("a").hard_link("b", "a").file("c")), None
    nodes = [first.get(name) for name in "abc"]
    second = [node.inode for node in nodes if node is not None]
    assert second[0] == second[1] != second[2]


def test_content_wanted_by_the_name_of_a_link_is_read_from_its_file(tmp_path: Path) -> None:
    layers = layer_files(
        tmp_path,
        LayerBuilder().file("store/1", "status").file("store/2", "more"),
        LayerBuilder().hard_link("var/status", "store/1").whiteout("store/1"),
    )

    tree = read_tree(layers, lambda path: path == "var/status")

    assert tree.read("var/status") == b"status"
    with pytest.raises(KeyError):
        tree.read("store/2")
    with pytest.raises(KeyError):
        tree.read("nowhere")


def test_names_that_are_no_utf_8_come_back_as_their_bytes(tmp_path: Path) -> None:
    path = tmp_path / "layer"
    path.write_bytes(tar_file(b"etc/\xff\xe9", b"x") + END)
    files = layer_files(tmp_path, LayerBuilder().build(Compression.NONE))

    tree = read_tree([type(files[0])(files[0].descriptor, path)], everything)

    assert [os.fsencode(name) for name in tree.names("etc")] == [b"\xff\xe9"]


def test_only_what_is_held_counts_against_the_bound_on_contents(tmp_path: Path) -> None:
    layers = [LayerBuilder().file("status", bytes([number]) * 1000) for number in range(5)]

    tree = read_tree(layer_files(tmp_path, *layers), everything, TreeLimits(content_bytes=2000))

    assert tree.read("status") == bytes([4]) * 1000


def test_what_is_too_large_ends_the_fix(tmp_path: Path) -> None:
    layer = LayerBuilder().file("a", b"x" * 600).file("b", b"x" * 600).directory("c")

    for limits in (TreeLimits(content_bytes=1000), TreeLimits(nodes=2), TreeLimits(names_bytes=2)):
        assert failure(tmp_path, layer_copy(layer), limits=limits).why is FixReason.IMAGE_TOO_LARGE


def layer_copy(_layer: LayerBuilder) -> LayerBuilder:
    return LayerBuilder().file("a", b"x" * 600).file("b", b"x" * 600).directory("c")


@pytest.mark.parametrize(
    "hostile",
    [
        lambda: LayerBuilder().file("../etc/shadow"),
        lambda: LayerBuilder().file("etc/.wh..."),
        lambda: LayerBuilder().hard_link("a", "../../etc/shadow"),
        lambda: LayerBuilder().hard_link("a", "nothing"),
        lambda: LayerBuilder().directory("d").hard_link("a", "d"),
        lambda: LayerBuilder().file("d/x").hard_link("d", "d/x"),
        lambda: LayerBuilder().file("a").file("a/b"),
        lambda: LayerBuilder().file("a").file("a/b/c"),
        lambda: LayerBuilder().symlink("a", "b").symlink("b", "a").file("a/x"),
        lambda: LayerBuilder().raw(an_entry("a", pax_headers={"uid": "-1"})),
    ],
)
def test_what_nobody_can_unpack_is_refused(tmp_path: Path, hostile: object) -> None:
    assert callable(hostile)
    assert failure(tmp_path, hostile()).why is Reason.LAYER_CORRUPT


def test_depth_entries_and_headers_are_bounded(tmp_path: Path) -> None:
    deep = LayerBuilder().file("/".join("d" * 60))
    many = LayerBuilder().file("a").file("b").file("c")

    limits = LayerLimits(path_depth=50, entries=2, header_bytes=1000)
    bounds = TreeLimits(layer=limits)
    assert failure(tmp_path, deep, limits=bounds).why is Reason.LAYER_PATH_TOO_DEEP
    assert failure(tmp_path, many, limits=bounds).why is Reason.LAYER_TOO_MANY_ENTRIES
    huge = LayerBuilder().raw(an_entry("a", pax_headers={"SCHILY.xattr.user.x": "y" * 2000}))
    assert failure(tmp_path, huge, limits=bounds).why is Reason.LAYER_CORRUPT


def test_a_wanted_file_with_holes_is_not_mistaken_for_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "layer"
    holes = (b"GNU.sparse.major", b"1"), (b"GNU.sparse.name", b"var/db")
    path.write_bytes(pax_header(*holes) + tar_header(b"x", size=0) + END)
    file = layer_files(tmp_path, LayerBuilder().build(Compression.NONE))[0]

    with pytest.raises(FixFailure) as caught:
        read_tree([type(file)(file.descriptor, path)], everything)

    assert caught.value.why is FixReason.DATABASE_CORRUPT


def test_a_file_that_is_not_ours_is_held_against_its_digest(tmp_path: Path) -> None:
    layers = layer_files(tmp_path, LayerBuilder().file("a", "x"), verified=False)
    layers[0].path.write_bytes(LayerBuilder().file("a", "y").build().content)

    with pytest.raises(ScanFailure) as caught:
        read_tree(layers, everything)

    assert caught.value.why is Reason.DIGEST_MISMATCH


def sample() -> bytes:
    layer = (
        LayerBuilder().directory("d").file("d/f", "text").symlink("l", "d").hard_link("l/h", "d/f").whiteout("x")
    )
    layer.raw(an_entry("p", uid=3_000_000, pax_headers={"SCHILY.xattr.user.a": "b", "mtime": "1.5"}))
    return layer.build(Compression.NONE).content


@given(
    damage=st.lists(st.tuples(st.integers(0, len(sample()) - 1), st.integers(0, 255)), max_size=8),
    summed=st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_layers_end_in_a_reason(damage: list[tuple[int, int]], summed: bool, tmp_path: Path) -> None:
    content = bytearray(sample())
    for at, value in damage:
        content[at] = value
    for start in range(0, len(content), 512) if summed else ():
        if content[start + 257 : start + 262] == b"ustar":  # what is damaged passes for whole
            content[start + 148 : start + 156] = b" " * 8
            content[start + 148 : start + 156] = b"%06o\0 " % sum(content[start : start + 512])
    path = tmp_path / "damaged"
    path.write_bytes(content)
    file = layer_files(tmp_path, LayerBuilder().build(Compression.NONE))[0]

    with contextlib.suppress(ScanFailure, FixFailure):
        for name in (tree := read_tree([type(file)(file.descriptor, path)], everything)).names(""):
            tree.get(name)
