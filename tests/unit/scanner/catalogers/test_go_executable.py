"""Go programs tell their modules, whichever Go linked them; one that cannot be read is told as that."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scanner.catalogers.go.executable import GoExecutableCataloger
from services.scanner.catalogers.interface import Evidence, PackageFormat
from services.scanner.reading.executables.interface import Mark
from services.scanner.reading.executables.marks import find_marks
from tests.builders.programs import go_program, modules

PATH = "usr/bin/tool"
CATALOGER = GoExecutableCataloger()
MARK = CATALOGER.mark or Mark(b"", loaded=True)
INFO = modules(
    "path example.com/tool/cmd/tool",
    "mod example.com/tool (devel) ",
    "dep example.com/lib v1.2.3 h1:abc=",
    "dep example.com/old v0.9.0",
    "=> example.com/fork/v2 v2.0.1 h1:def=",
    "dep example.com/local v0.1.0",
    "=> ./local (devel) ",
    "build -compiler=gc",
)
TOLD = [
    ("stdlib", "1.21.3"),
    ("example.com/tool", ""),
    ("example.com/lib", "v1.2.3"),
    ("example.com/fork/v2", "v2.0.1"),
    ("example.com/local", ""),
]


def read(program: bytes, size: int = 1 << 19) -> Evidence | None:
    found = find_marks(pieces(program, size), {MARK: CATALOGER.follow})
    return CATALOGER.read(PATH, found[MARK]) if found else None


def pieces(program: bytes, size: int) -> Iterator[memoryview]:
    for start in range(0, len(program), size):
        yield memoryview(program[start : start + size])


def packages(evidence: Evidence | None) -> list[tuple[str, str]]:
    assert evidence is not None
    assert all(each.format is PackageFormat.GO for each in evidence.packages)
    return [(each.name, each.version) for each in evidence.packages]


@pytest.mark.parametrize("size", [100, 4_096, 1 << 19])
@pytest.mark.parametrize("pointers", [False, True], ids=["inline", "pointers"])
def test_modules_are_read_from_both_forms_whatever_pieces_they_come_in(pointers: bool, size: int) -> None:
    evidence = read(go_program("go1.21.3", INFO, pointers=pointers, debug_bytes=50_000), size)

    assert evidence is not None
    assert packages(evidence) == TOLD
    assert (evidence.unread, evidence.warnings) == ("", ())


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("go1.21.3", "1.21.3"),
        ("go1.20", "1.20"),
        ("go1.22rc1", "1.22.0-rc.1"),
        ("go1.18beta2", "1.18.0-beta.2"),
        ("go1.22.1 X:boringcrypto", "1.22.1"),
        ("go1.26.0-X:nodwarf5", "1.26.0"),
        ("go1.22.5-fips", "1.22.5"),
        ("go1.18.10b7", "1.18.10"),
        ("go1.20.10 (Red Hat 1.20.10-1.el9_3)", "1.20.10"),
        ("devel go1.22-0a1b2c3 Mon Nov 6 10:00:00 2023 +0000", ""),
    ],
)
def test_the_standard_library_has_the_compilers_version(version: str, told: str) -> None:
    assert packages(read(go_program(version, INFO)))[0] == ("stdlib", told)


@pytest.mark.parametrize(
    ("version", "flags", "told"),
    [
        ("(devel)", r'"-s -w -X main.version=1.4.2 -X main.commit=abc"', "v1.4.2"),
        ("(devel)", r'"-X \'example.com/tool/internal/build.Version=v1.4.2-rc.1\'"', "v1.4.2-rc.1"),
        ("(devel)", r'"-X=main.gitVersion=v1.4.2 -X main.releaseVersion=v1.4.2"', "v1.4.2"),
        ("(devel)", r'"-X main.version=1.4.2 -X example.com/tool/api.Version=3.0.0"', ""),
        ("(devel)", r'"-X example.com/lib.Version=1.4.2"', ""),
        ("(devel)", r'"-X main.version=nightly"', ""),
        ("(devel)", "-s", ""),
        ("v0.0.0-20240102030405-0123456789ab", "-X=main.version=1.4.2", "v1.4.2"),
        ("v1.4.3-0.20240102030405-0123456789ab+dirty", "-s", "v1.4.3-0.20240102030405-0123456789ab+dirty"),
        ("v1.5.0", "-X=main.version=1.4.2", "v1.5.0"),
    ],
)
def test_a_main_module_has_the_version_that_people_gave_it_or_none(version: str, flags: str, told: str) -> None:
    info = modules("path example.com/tool", f"mod example.com/tool {version}") + f"build\t-ldflags={flags}\n"

    assert packages(read(go_program("go1.21.3", info)))[1:] == [("example.com/tool", told)]


@pytest.mark.parametrize(
    ("info", "unread"),
    [
        ("", "Go"),
        (modules("path example.com/tool", "build -compiler=gc"), "Go"),
        (modules("path cmd/gofmt", "build -compiler=gc"), ""),
        (modules("path command-line-arguments", "build -compiler=gc"), ""),
        (modules("path example.com/tool", "mod example.com/tool (devel) "), ""),
    ],
)
def test_a_program_built_without_modules_tells_the_library_and_that_there_may_be_more(
    info: str, unread: str
) -> None:
    evidence = read(go_program("go1.19.8", info))

    assert evidence is not None
    assert packages(evidence)[0] == ("stdlib", "1.19.8")
    assert evidence.unread == unread


def test_a_program_that_looks_for_the_mark_itself_is_read_by_the_true_one() -> None:
    program = bytearray(go_program("go1.21.3", INFO))
    program[0x2800 : 0x2800 + len(MARK.text) + 2] = MARK.text + b"\x08\x02"

    assert packages(read(bytes(program))) == TOLD


@pytest.mark.parametrize("place", [0x3000 + 32, 0x3000 + 15, 0x3000 + 14])
def test_build_information_that_is_broken_is_unread(place: int) -> None:
    program = bytearray(go_program("go1.21.3", INFO, pointers=place == 0x3000 + 14))
    program[place] = 0xFC
    evidence = read(bytes(program))

    assert evidence == Evidence(path=PATH, cataloger=CATALOGER.name, unread="Go")


def test_strings_that_point_out_of_the_file_are_unread() -> None:
    program = go_program("go1.16", INFO, pointers=True).replace((0x402000 + 10).to_bytes(8, "little"), b"\xff" * 8)
    evidence = read(program)

    assert evidence is not None
    assert (evidence.packages, evidence.unread) == ((), "Go")


def test_a_module_without_a_name_that_could_be_one_is_complained_of() -> None:
    evidence = read(go_program("go1.21.3", modules("mod example.com/x v1.0.0", "dep a\x01b v1.0.0")))

    assert packages(evidence) == [("stdlib", "1.21.3"), ("example.com/x", "v1.0.0")]
    assert evidence is not None
    assert [each.code for each in evidence.warnings] == ["PACKAGE_RECORD_BROKEN"]


@given(
    flips=st.lists(st.tuples(st.integers(0, 0x4000), st.integers(0, 255)), max_size=20),
    cut=st.integers(0, 0x4000),
    pointers=st.booleans(),
)
def test_a_program_that_is_broken_anywhere_is_borne(
    flips: list[tuple[int, int]], cut: int, pointers: bool
) -> None:
    program = bytearray(go_program("go1.21.3", INFO, pointers=pointers))
    for at, byte in flips:
        program[at % len(program)] = byte

    read(bytes(program[:cut] if cut % 3 == 0 else program), 5_000)


@given(st.binary(max_size=300))
def test_any_information_gives_evidence(content: bytes) -> None:
    assert isinstance(CATALOGER.read(PATH, content), Evidence)
