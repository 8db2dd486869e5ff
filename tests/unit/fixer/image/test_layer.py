from __future__ import annotations

import gzip
import io
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from services.fixer.failure import FixFailure, FixReason
from services.fixer.image.layer import LayerWriter, WrittenLayer, write_layer
from services.fixer.image.node import Attributes, Layer, NodeKind, Tree
from services.fixer.image.tree import ImageTree, read_tree
from services.kernel.model.digest import digest_of
from services.lab.layer import BuiltLayer, Compression, LayerBuilder
from tests.builders.layerfiles import an_entry, layer_files, small_disk

PLAIN = Attributes(mode=0o644, mtime=1_700_000_000)


def base() -> LayerBuilder:
    layer = LayerBuilder().directory("usr", mode=0o755).directory("usr/lib", mode=0o2711).symlink("lib", "usr/lib")
    layer.raw(an_entry("var", tarfile.DIRTYPE, mode=0o700, uid=7, gid=8, mtime=99))
    return layer.file("var/old/a").file("var/old/b").file("usr/lib/gone").symlink("var/run", "/run")


def image(folder: Path) -> ImageTree:
    return read_tree(layer_files(folder, base()), lambda _: True)


def written(folder: Path, write: Callable[[LayerWriter], None]) -> WrittenLayer:
    with write_layer(folder / "new", image(folder)) as layer:
        write(layer)
        return layer.finish()


def names(layer: WrittenLayer) -> list[str]:
    with tarfile.open(layer.path) as tar:
        return [f"{entry.name}/" if entry.isdir() else entry.name for entry in tar]


def put(layer: LayerWriter, path: str, content: bytes = b"x", attributes: Attributes = PLAIN) -> None:
    layer.file(path, attributes, io.BytesIO(content), len(content))


def test_it_meets_the_interface(tmp_path: Path) -> None:
    tree: Tree = image(tmp_path)

    with write_layer(tmp_path / "new", tree) as writer:
        layer: Layer = writer

    assert layer is writer


def put_all(layer: LayerWriter, *paths: str) -> None:
    for path in paths:
        put(layer, path)


def after(folder: Path, layer: WrittenLayer) -> ImageTree:
    """The image with the new layer on top, as it is read again."""
    plain = gzip.decompress(layer.path.read_bytes())
    assert digest_of(plain) == layer.diff_id
    built = BuiltLayer(content=layer.path.read_bytes(), diff_id=layer.diff_id, compression=Compression.GZIP)
    assert (built.digest, len(built.content)) == (layer.digest, layer.size)
    return read_tree(layer_files(folder, base(), built), lambda _: True)


def test_parents_are_those_of_the_image_written_once_through_its_links(tmp_path: Path) -> None:
    def write(layer: LayerWriter) -> None:
        put(layer, "lib/x/libc.so")
        put(layer, "usr/lib/libz.so")
        put(layer, "var/run/pid")

    layer = written(tmp_path, write)

    assert names(layer) == [
        *("usr/", "usr/lib/", "usr/lib/x/", "usr/lib/x/libc.so", "usr/lib/libz.so"),
        *("run/", "run/pid"),
    ]
    tree = after(tmp_path, layer)
    link, directory = tree.get("lib"), tree.get("usr/lib")
    assert link is not None
    assert link.kind is NodeKind.SYMBOLIC_LINK
    assert directory is not None
    assert directory.attributes.mode == 0o2711


def test_everything_comes_back_as_it_was_written(tmp_path: Path) -> None:
    long = "var/" + "folder-" * 30 + "/file"
    attributes = Attributes(
        mode=0o4750,
        uid=3_000_000,
        gid=1 << 31,
        mtime=-5,
        xattrs={"security.capability": b"\x01\0\n", "user.a": b"="},
    )
    strange = b"var/\xff\xfe".decode("utf-8", "surrogateescape")

    def write(layer: LayerWriter) -> None:
        put(layer, long, b"text" * 1000, attributes)
        put(layer, strange, b"y")
        layer.hard_link("var/second", long)
        layer.symbolic_link("var/link", "t" * 200, PLAIN)
        layer.device("dev/sda", NodeKind.BLOCK_DEVICE, (8, 1), PLAIN)
        layer.device("dev/pipe", NodeKind.FIFO, (0, 0), PLAIN)

    tree = after(tmp_path, written(tmp_path, write))

    file, second, link = tree.get(long), tree.get("var/second"), tree.get("var/link")
    assert file is not None
    assert file.attributes == attributes
    assert tree.read(long) == b"text" * 1000
    assert second == file
    assert link is not None
    assert (link.target, link.attributes) == ("t" * 200, PLAIN)
    assert tree.read(strange) == b"y"
    disk, pipe = tree.get("dev/sda"), tree.get("dev/pipe")
    assert disk is not None
    assert (disk.kind, disk.device) == (NodeKind.BLOCK_DEVICE, (8, 1))
    assert pipe is not None
    assert pipe.kind is NodeKind.FIFO


def test_what_is_removed_is_whited_out_last_and_what_is_written_stays(tmp_path: Path) -> None:
    def write(layer: LayerWriter) -> None:
        layer.remove("lib/gone")
        layer.remove("var/old/a")
        layer.remove("var/old")
        layer.remove("nothing/here")
        layer.remove("var/run")
        put(layer, "var/run/../x")
        layer.symbolic_link("var/run", "../run", PLAIN)

    layer = written(tmp_path, write)

    assert names(layer) == ["x", "var/", "var/run", "usr/", "usr/lib/", "usr/lib/.wh.gone", "var/.wh.old"]
    tree = after(tmp_path, layer)
    assert list(tree.names("usr/lib")) == []
    assert list(tree.names("var")) == ["run"]


def test_a_link_that_becomes_a_directory_is_followed_no_more(tmp_path: Path) -> None:
    def write(layer: LayerWriter) -> None:
        put(layer, "lib/before")
        layer.directory("lib", Attributes(mode=0o755))
        put(layer, "lib/after")

    tree = after(tmp_path, written(tmp_path, write))

    assert list(tree.names("lib")) == ["after"]
    assert list(tree.names("usr/lib")) == ["before", "gone"]


def test_a_directory_that_was_a_parent_may_get_other_attributes(tmp_path: Path) -> None:
    def write(layer: LayerWriter) -> None:
        put(layer, "var/x")
        layer.directory("var", Attributes(mode=0o755, mtime=1))
        layer.directory("var", Attributes(mode=0o755, mtime=1))

    layer = written(tmp_path, write)

    assert names(layer) == ["var/", "var/x", "var/"]
    var = after(tmp_path, layer).get("var")
    assert var is not None
    assert var.attributes == Attributes(mode=0o755, mtime=1)


def test_two_runs_give_equal_bytes(tmp_path: Path) -> None:
    content = random.Random(1).randbytes(300_000)

    def write(layer: LayerWriter) -> None:
        put(layer, "usr/bin/tool", content)
        layer.remove("usr/lib/gone")

    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    first, second = (written(folder, write).path.read_bytes() for folder in folders)

    assert first == second
    assert first[4:8] == bytes(4)  # gzip's time


@pytest.mark.parametrize(
    "write",
    [
        lambda layer: put(layer, "etc/.wh.shadow"),
        lambda layer: put(layer, "etc/.wh..wh..opq/x"),
        lambda layer: put(layer, "etc/a\0b"),
        lambda layer: put(layer, ".."),
        lambda layer: put(layer, ""),
        lambda layer: put(layer, "var/old/a/below"),
        lambda layer: put_all(layer, "x", "x"),
        lambda layer: put_all(layer, "lib/x", "usr/lib/x"),
        lambda layer: put_all(layer, "x", "x/y"),
        lambda layer: layer.hard_link("x", "var/old/a"),
        lambda layer: layer.symbolic_link("x", "", PLAIN),
        lambda layer: layer.file("x", PLAIN, io.BytesIO(b"short"), 9),
    ],
)
def test_what_no_layer_can_hold_is_refused_and_no_file_is_left(
    tmp_path: Path, write: Callable[[LayerWriter], None]
) -> None:
    with pytest.raises(FixFailure) as caught:
        written(tmp_path, write)

    assert caught.value.why is FixReason.PACKAGE_INVALID
    assert not (tmp_path / "new").exists()


def test_a_full_disk_has_its_reason_and_leaves_no_half_file(tmp_path: Path) -> None:
    content = random.Random(1).randbytes(9_000_000)
    tree = image(tmp_path)

    with pytest.raises(FixFailure) as caught, small_disk(100_000), write_layer(tmp_path / "new", tree) as layer:
        put(layer, "usr/bin/tool", content)
        layer.finish()

    assert caught.value.why is FixReason.DISK_FULL
    assert not (tmp_path / "new").exists()


def test_a_layer_that_was_not_finished_leaves_no_file(tmp_path: Path) -> None:
    with write_layer(tmp_path / "new", image(tmp_path)) as layer:
        put(layer, "usr/bin/tool")

    assert not (tmp_path / "new").exists()
