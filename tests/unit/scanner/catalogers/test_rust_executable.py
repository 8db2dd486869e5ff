"""Rust programs that were built with cargo-auditable tell their crates."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scanner.catalogers.interface import Evidence, PackageFormat
from services.scanner.catalogers.rust.executable import RustExecutableCataloger
from services.scanner.reading.executables.interface import Mark
from services.scanner.reading.executables.marks import find_marks

PROGRAM = (Path(__file__).parents[3] / "fixtures" / "executables" / "rust-auditable.so").read_bytes()
CATALOGER = RustExecutableCataloger()
MARK = CATALOGER.mark or Mark(b"", loaded=False)
CRATES = [{"name": "serde", "version": "1.0.1"}, {"name": "cc", "version": "1.0.83", "kind": "build"}]


def read(program: bytes, size: int = 1 << 19) -> Evidence | None:
    found = find_marks(pieces(program, size), {MARK: CATALOGER.follow})
    return CATALOGER.read("bin/x", found[MARK]) if found else None


def pieces(program: bytes, size: int) -> Iterator[memoryview]:
    for start in range(0, len(program), size):
        yield memoryview(program[start : start + size])


def packages(evidence: Evidence | None) -> list[tuple[str, str]]:
    assert evidence is not None
    assert all(each.format is PackageFormat.CARGO for each in evidence.packages)
    return [(each.name, each.version) for each in evidence.packages]


def packed(*crates: object) -> bytes:
    return zlib.compress(msgspec.json.encode({"packages": crates}))


def pe(section: bytes) -> bytes:
    """A PE whose last section is cargo-auditable's, padded as sections are."""
    table = b"".join(
        struct.pack("<8sIIIIIIHHI", name, size, at, size, at, 0, 0, 0, 0, flags)
        for name, at, size, flags in (
            (b".text", 0x1000, 0x1000, 0x60000020),
            (b".dep-v0", 0x2000, 0x1000, 0x40000040),
        )
    )
    head = b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0"
    head += struct.pack("<HHIIIHH", 0x8664, 2, 0, 0, 0, 240, 0) + struct.pack("<H", 0x20B).ljust(240, b"\0")
    return (head + table).ljust(0x2000, b"\0") + section.ljust(0x1000, b"\0")


def mach_o(section: bytes) -> bytes:
    part = struct.pack(
        "<16s16sQQIIIIIIII", b".dep-v0", b"__DATA", 0x2000, len(section), 0x2000, 0, 0, 0, 0, 0, 0, 0
    )
    command = struct.pack("<II16sQQQQIIII", 0x19, 72 + 80, b"__DATA", 0x2000, 0x1000, 0x2000, 0x1000, 3, 3, 1, 0)
    head = struct.pack("<4sIIIIIII", b"\xcf\xfa\xed\xfe", 0x0100000C, 0, 2, 1, 72 + 80, 0, 0)
    return (head + command + part).ljust(0x2000, b"\0") + section.ljust(0x1000, b"\0")


def fat(program: bytes) -> bytes:
    head = b"\xca\xfe\xba\xbe\0\0\0\x01" + struct.pack(">IIIII", 0x0100000C, 0, 0x4000, len(program), 14)
    return head.ljust(0x4000, b"\0") + program


@pytest.mark.parametrize("size", [100, 1_000, 1 << 19])
def test_crates_of_a_real_program_are_read_but_for_those_that_built_it(size: int) -> None:
    evidence = read(PROGRAM, size)

    assert packages(evidence) == [("cfg-if", "1.0.0"), ("itoa", "1.0.11"), ("tiny", "0.3.1")]
    assert evidence is not None
    assert (evidence.unread, evidence.warnings) == ("", ())


@pytest.mark.parametrize("form", [pe, mach_o, lambda section: fat(mach_o(section))], ids=["PE", "Mach-O", "fat"])
def test_crates_are_read_in_all_forms_of_programs(form: object) -> None:
    assert callable(form)
    assert packages(read(form(packed(*CRATES)))) == [("serde", "1.0.1")]


@pytest.mark.parametrize(
    "section",
    [
        b"no zlib",
        packed(*CRATES)[:-9],
        zlib.compress(b"no JSON"),
        zlib.compress(b'{"packages": [{"name": 1}]}'),
        zlib.compress(bytes(1 << 25)),
        zlib.compress(b'{"packages":' + b"[" * 100_000),
    ],
    ids=["no zlib", "cut off", "no JSON", "other JSON", "bomb", "deep"],
)
def test_a_section_that_is_none_is_unread(section: bytes) -> None:
    assert read(pe(section)) == Evidence(path="bin/x", cataloger=CATALOGER.name, unread="crates.io")


def test_a_program_whose_headers_of_sections_are_cut_off_is_unread() -> None:
    (table,) = struct.unpack_from("<Q", PROGRAM, 40)

    assert read(PROGRAM[: table + 64]) == Evidence(path="bin/x", cataloger=CATALOGER.name, unread="crates.io")


def test_a_crate_without_a_name_that_could_be_one_is_complained_of() -> None:
    evidence = CATALOGER.read("bin/x", packed(*CRATES, {"name": "a b", "version": "1"}))

    assert packages(evidence) == [("serde", "1.0.1")]
    assert [each.code for each in evidence.warnings] == ["PACKAGE_RECORD_BROKEN"]


@given(
    st.lists(st.tuples(st.integers(0, len(PROGRAM) - 1), st.integers(0, 255)), max_size=20), st.integers(1, 5_000)
)
def test_a_program_that_is_broken_anywhere_is_borne(flips: list[tuple[int, int]], size: int) -> None:
    program = bytearray(PROGRAM)
    for at, byte in flips:
        program[at] = byte

    read(bytes(program), size + 50)


@given(st.binary(max_size=300))
def test_any_section_gives_evidence(content: bytes) -> None:
    assert isinstance(CATALOGER.read("bin/x", content), Evidence)
