"""The cache of libraries, which says who wrote it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from services.fixer.systems.dpkg.ldcache import written_by
from tests.builders.debs import MadeDeb
from tests.builders.dpkg_images import RecordingLayer, build, install

CACHE = "etc/ld.so.cache"
OURS = Path("/") / CACHE


def cache(version: str, *, order: str = "<", hwcaps: int = 0) -> bytes:
    """A cache without libraries, as ldconfig writes it (glibc, elf/cache.c): the writer's name is what ends it."""
    writer = f"ldconfig (Debian GLIBC {version}) stable release version 2.36".encode()
    strings = b"libtool.so.1\0/lib/libtool.so.1\0\0\0"
    extension = 48 + len(strings)
    sections = [(0, 0, 0, len(writer))] + ([(1, 0, 0, 4 * hwcaps)] if hwcaps else [])
    end = extension + 8 + 16 * len(sections)
    sections = [(tag, 0, end + 4 * hwcaps if tag == 0 else end, size) for tag, _, _, size in sections]
    return b"".join(
        (
            b"glibc-ld.so.cache1.1",
            struct.pack(f"{order}IIB3xI12x", 0, len(strings), 2 if order == "<" else 3, extension),
            strings,
            struct.pack(f"{order}II", 0xEAA42174, len(sections)),
            *(struct.pack(f"{order}IIII", *each) for each in sections),
            bytes(4 * hwcaps),
            writer,
        )
    )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("hwcaps", [0, 3])
def test_the_writer_is_named_anew_whatever_its_length(order: str, hwcaps: int) -> None:
    old, new = (cache(version, order=order, hwcaps=hwcaps) for version in ("2.36-9+deb12u9", "2.36-9+deb12u14"))
    assert written_by(old, "2.36-9+deb12u9", "2.36-9+deb12u14") == new


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"ld.so-1.7.0\0glibc-ld.so.cache1.1",
        cache("2.36-9")[:40],
        cache("2.36-9")[:-3],
        cache("2.36-9") + b"more",
        cache("2.35-0ubuntu3"),
        cache("2.36-9").replace(struct.pack("<I", 0xEAA42174), bytes(4)),
        b"glibc-ld.so.cache1.1"
        + struct.pack("<IIB3xI12x", 0, 0, 2, 0xFFFFFFF0)
        + b"ldconfig (Debian GLIBC 2.36-9)",
    ],
)
def test_what_names_no_such_writer_stays_as_it_is(content: bytes) -> None:
    assert written_by(content, "2.36-9", "2.36-10") == content


@pytest.mark.skipif(not OURS.exists() or b" GLIBC " not in OURS.read_bytes(), reason="needs glibc's own cache")
def test_a_cache_of_glibc_itself_can_be_read() -> None:
    content = OURS.read_bytes()
    version = content.rpartition(b" GLIBC ")[2].partition(b")")[0].decode()
    changed = written_by(content, version, f"{version}+longer")
    assert changed.endswith(content.rpartition(b"(")[2].replace(b")", b"+longer)"))
    assert written_by(changed, f"{version}+longer", version) == content


def fixed(tmp_path: Path, *names: str) -> RecordingLayer:
    root = tmp_path / "root"
    tree = install(root, *(MadeDeb(name=name, version="2.36-9") for name in names))
    (root / CACHE).write_bytes(cache("2.36-9"))
    return build(tree, MadeDeb(name=names[0], version="2.36-10"))


def test_a_new_ldconfig_is_named_in_the_images_cache(tmp_path: Path) -> None:
    layer = fixed(tmp_path, "libc-bin", "libc6")
    assert layer.files[CACHE] == cache("2.36-10")
    assert layer.attributes[CACHE].mode == 0o644


def test_a_cache_stays_as_long_as_ldconfig_does(tmp_path: Path) -> None:
    assert CACHE not in fixed(tmp_path, "libc6", "libc-bin").files
