"""Marks are found wherever they stand and however the file is cut into pieces; code alone is stepped over."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scanner.reading.executables.interface import Mark, Program
from services.scanner.reading.executables.marks import HEAD_BYTES, find_marks, is_executable

GO, RUST = Mark(b"\xff Go buildinf:", loaded=True), Mark(b".dep-v0\0", loaded=False)
MARKS = (GO, RUST)
CONSTANTS, CODE, DATA, ALL = 4, 5, 6, 7


def pieces(content: bytes, cuts: Sequence[int] = ()) -> Iterator[memoryview]:
    """The content cut at these places, each piece gone when the next one is there."""
    borders = [0, *sorted(cut for cut in cuts if 0 < cut < len(content)), len(content)]
    for start, end in itertools.pairwise(borders):
        buffer = bytearray(content[start:end])
        yield memoryview(buffer)
        buffer[:] = bytes(len(buffer))


def seek(file: Iterator[memoryview], marks: Sequence[Mark], *, whole: bool = False) -> list[Mark]:
    """The marks that are in it, none of which leads anywhere."""
    return list(find_marks(file, dict.fromkeys(marks, nowhere), whole=whole))


def nowhere(program: Program, at: int) -> bytes | None:
    return None


def elf(*loads: tuple[int, int, int], wide: bool = True, order: str = "<") -> bytes:
    """The headers of an ELF with loads of (flags, start, end)."""
    ident = b"\x7fELF" + bytes((2 if wide else 1, 1 if order == "<" else 2, 1)) + bytes(9)
    if wide:
        head = struct.pack(f"{order}HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, len(loads), 64, 0, 0)
        table = [struct.pack(f"{order}IIQQQQQQ", 1, f, at, at, at, end - at, 0, 0) for f, at, end in loads]
    else:
        head = struct.pack(f"{order}HHIIIIIHHHHHH", 3, 40, 1, 0, 52, 0, 0, 52, 32, len(loads), 40, 0, 0)
        table = [struct.pack(f"{order}IIIIIIII", 1, at, at, at, end - at, 0, f, 0) for f, at, end in loads]
    return ident + head + b"".join(table)


def pe(*sections: tuple[int, int, int]) -> bytes:
    """The headers of a PE with sections of (flags, start, end)."""
    dos = b"MZ" + bytes(58) + struct.pack("<I", 64)
    table = b"".join(
        struct.pack("<8sIIIIIIHHI", b".x", 0, 0, end - at, at, 0, 0, 0, 0, flags) for flags, at, end in sections
    )
    return dos + b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, len(sections), 0, 0, 0, 16, 0) + bytes(16) + table


def with_mark(head: bytes, at: int, mark: Mark = GO) -> bytes:
    return head.ljust(at, b"\0") + mark.text + bytes(100)


@given(before=st.binary(max_size=40), after=st.binary(max_size=40), cuts=st.lists(st.integers(1, 100)))
def test_a_mark_is_found_whatever_pieces_it_comes_in(before: bytes, after: bytes, cuts: list[int]) -> None:
    for mark in MARKS:
        assert mark in seek(pieces(b"\x7fELF" + before + mark.text + after, cuts), MARKS)


@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_is_found_across_every_border(mark: Mark) -> None:
    content = b"\x7fELF" + bytes(30) + mark.text + bytes(30)

    for first in range(1, len(content)):
        for second in range(first, len(content)):
            assert seek(pieces(content, (first, second)), MARKS) == [mark]


@given(content=st.binary(max_size=200), cuts=st.lists(st.integers(1, 200)))
def test_what_is_found_is_there(content: bytes, cuts: list[int]) -> None:
    marks = tuple(Mark(text, loaded=True) for text in (b"\0", b"ab", b"\x01\x02"))

    found = seek(pieces(content, cuts), marks, whole=True)

    assert found == [mark for mark in marks if mark.text in content]


@given(
    rest=st.binary(max_size=300),
    start=st.sampled_from((b"\x7fELF", b"\x7fELF\x02\x01", b"MZ", b"\xcf\xfa\xed\xfe")),
)
def test_hostile_headers_are_borne(rest: bytes, start: bytes) -> None:
    assert seek(pieces(start + rest), (Mark(b"no such mark", loaded=True),)) == []


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("wide", [True, False])
def test_marks_of_an_elf_are_looked_for_where_they_can_be(wide: bool, order: str) -> None:
    head = elf((CONSTANTS, 0, 1000), (CODE, 1000, 2000), (DATA, 2000, 3000), wide=wide, order=order)
    places = (700, 1500, 2500, 3500)

    assert [seek(pieces(with_mark(head, at)), MARKS) for at in places] == [[GO], [], [GO], []]
    assert [seek(pieces(with_mark(head, at, RUST)), MARKS) for at in places] == [[], [], [], [RUST]]


def test_code_that_may_have_constants_in_it_is_searched() -> None:
    one_for_all = elf((CODE, 0, 2000), (DATA, 2000, 3000))
    writable = elf((CONSTANTS, 0, 1000), (ALL, 1000, 2000))

    assert seek(pieces(with_mark(one_for_all, 1500)), MARKS)
    assert seek(pieces(with_mark(writable, 1500)), MARKS)


def test_headers_cut_in_two_tell_as_much() -> None:
    content = with_mark(elf((CONSTANTS, 0, 1000), (CODE, 1000, 2000)), 1500).ljust(5000, b"\0")

    assert seek(pieces(content, (70,)), MARKS) == []


def test_marks_of_a_pe_are_looked_for_where_they_can_be() -> None:
    head = pe((0x60000020, 1000, 2000), (0xC0000040, 2000, 3000))

    places = (700, 1500, 2500)

    assert [seek(pieces(with_mark(head, at)), MARKS) for at in places] == [[], [], [GO]]
    assert [seek(pieces(with_mark(head, at, RUST)), MARKS) for at in places] == [[RUST], [], []]


def test_an_elf_without_loads_is_searched_everywhere() -> None:
    assert seek(pieces(with_mark(elf(), 200)), MARKS) == [GO]


def test_nothing_more_is_asked_for_when_all_is_found_and_followed() -> None:
    asked = pieces(b"\x7fELF" + GO.text + RUST.text + bytes(9_000), (4_100,))

    assert find_marks(asked, {GO: lambda program, at: b"1", RUST: lambda program, at: b"2"}) == {
        GO: b"1",
        RUST: b"2",
    }
    assert len(list(asked)) == 1


def test_a_mark_is_followed_as_soon_as_what_it_leads_to_has_passed() -> None:
    content = elf((CONSTANTS, 0, 99_000)).ljust(5000, b"\0") + GO.text + bytes(9_000) + b"here" + bytes(99_000)
    asked: list[bytes] = []

    def follow(program: Program, at: int) -> bytes | None:
        asked.append(program.read(at + len(GO.text) + 9_000, 4))
        return asked[-1] if len(asked[-1]) == 4 else None

    assert find_marks(pieces(content, range(0, 99_000, 4_500)), {GO: follow}) == {GO: b"here"}
    assert asked[:-1] == [b""] * (len(asked) - 1)


def test_machine_code_is_not_held_and_all_else_is() -> None:
    code, data = 100_000, 109_000
    head = elf((CONSTANTS, 0, code), (CODE, code, data), (DATA, data, data + 500))
    content = bytearray(with_mark(head, data + 100))
    content[code - 2 : code + 2] = b"abcd"
    content[data - 2 : data + 2] = b"efgh"
    read: list[bytes] = []

    def follow(program: Program, at: int) -> bytes | None:
        read.extend(program.read(start, 4) for start in (code - 2, data - 2, data))
        return b""

    find_marks(pieces(bytes(content)), {GO: follow})

    assert read == [b"ab", b"", b"gh\0\0"]


def test_only_the_last_of_a_large_file_is_held() -> None:
    large = elf((CONSTANTS, 0, 1 << 30)).ljust(80 << 20, b"\0") + GO.text + bytes(100)
    read: list[bytes] = []

    def follow(program: Program, at: int) -> bytes | None:
        read.extend(program.read(start, 4) for start in (100, 40 << 20, at))
        return b""

    find_marks(pieces(large, range(0, 81 << 20, 1 << 19)), {GO: follow})

    assert [len(each) for each in read] == [4, 0, 4]


@pytest.mark.parametrize(
    ("loads", "address", "offset"),
    [(((CONSTANTS, 0, 1000), (DATA, 1000, 2000)), 1500, 1500), (((CONSTANTS, 0, 1000),), 1000, None)],
)
def test_an_address_is_a_place_in_the_file(
    loads: tuple[tuple[int, int, int], ...], address: int, offset: int | None
) -> None:
    told: list[int | None] = []

    def follow(program: Program, at: int) -> bytes | None:
        told.append(program.offset(address))
        return b""

    find_marks(pieces(with_mark(elf(*loads), 700)), {GO: follow})

    assert told == [offset]


def test_loads_that_overlap_are_searched_once() -> None:
    head = elf(*[(CONSTANTS, 0, 1 << 40)] * 100)
    read: list[int] = []

    def follow(program: Program, at: int) -> bytes | None:
        read.append(at)
        return None

    find_marks(pieces(with_mark(head, 9_000)), {GO: follow})

    assert set(read) == {9_000}


@pytest.mark.parametrize(
    "start",
    [b"\x7fELF", b"MZ\x90\0", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe\0\0\0\x02"],
    ids=["ELF", "PE", "Mach-O", "Mach-O 32", "fat Mach-O"],
)
def test_executables_are_known_by_their_first_bytes(start: bytes) -> None:
    assert is_executable((start + bytes(8))[:HEAD_BYTES])


@pytest.mark.parametrize("start", [b"", b"\x7f", b"#!/bin/s", b"PK\3\4\0\0\0\0", b"\xca\xfe\xba\xbe\0\0\0\x34"])
def test_other_files_are_none(start: bytes) -> None:
    assert not is_executable(start)
