"""`go.mod`: what is required, with what stands in for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scanner.catalogers.go.go_mod import GoModCataloger
from services.scanner.catalogers.interface import Evidence, PackageFormat

PATH = "src/go.mod"
FILE = b"""module example.com/app // ours

go 1.21
toolchain go1.21.4

require example.com/one v1.0.0

require (
\tgithub.com/a/b/v2 v2.1.0
\t"gopkg.in/yaml.v3" v3.0.1 // indirect
\tgolang.org/x/net v0.17.0 // indirect; it's needed
)

replace golang.org/x/net => golang.org/x/net v0.18.0
"""


def read(content: bytes) -> Evidence:
    return GoModCataloger().read(PATH, content)


def packages(content: bytes) -> list[tuple[str, str]]:
    evidence = read(content)
    assert all(each.format is PackageFormat.GO for each in evidence.packages)
    return [(each.name, each.version) for each in evidence.packages]


def test_modules_are_read_whether_required_directly_or_not() -> None:
    assert packages(FILE) == [
        ("example.com/one", "v1.0.0"),
        ("github.com/a/b/v2", "v2.1.0"),
        ("gopkg.in/yaml.v3", "v3.0.1"),
        ("golang.org/x/net", "v0.18.0"),
    ]
    assert read(FILE).warnings == ()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("replace a.com/x => b.com/y v2.0.0", ("b.com/y", "v2.0.0")),
        ("replace a.com/x v1.0.0 => b.com/y v2.0.0", ("b.com/y", "v2.0.0")),
        ("replace a.com/x v1.0.1 => b.com/y v2.0.0", ("a.com/x", "v1.0.0")),
        ("replace a.com/z => b.com/y v2.0.0", ("a.com/x", "v1.0.0")),
        ("replace a.com/x => ../x", ("a.com/x", "")),
        ("exclude a.com/x v1.0.0", ("a.com/x", "")),
        ("exclude a.com/x v1.0.1", ("a.com/x", "v1.0.0")),
        ("replace (\n  a.com/x v1.0.0 => b.com/y v2.0.0\n  a.com/x => c.com/z v3.0.0\n)", ("b.com/y", "v2.0.0")),
        ("retract v1.0.0 // a mistake", ("a.com/x", "v1.0.0")),
    ],
)
def test_what_stands_in_for_a_module_counts(line: str, told: tuple[str, str]) -> None:
    assert packages(f"module m.com/m\nrequire a.com/x v1.0.0\n{line}\n".encode()) == [told]


@pytest.mark.parametrize("line", [b"require a.com/x", b"require a.com/\xff v1", b"replace =>", b"exclude a.com/x"])
def test_a_broken_line_is_told_and_its_neighbours_are_read(line: bytes) -> None:
    evidence = read(line + b"\nrequire b.com/y v1.0.0\n")

    assert [each.name for each in evidence.packages] == ["b.com/y"]
    assert [each.code for each in evidence.warnings] == ["PACKAGE_RECORD_BROKEN"]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("go.mod", True),
        ("a/go.mod", True),
        ("a/xgo.mod", False),
        ("go.mod/x", False),
        ("go/pkg/mod/golang.org/x/net@v0.17.0/go.mod", False),
        ("usr/share/gocode/src/golang.org/x/net/go.mod", False),
    ],
)
def test_wants_go_mod(path: str, wanted: bool) -> None:
    assert GoModCataloger().wants(path) is wanted


@given(st.binary(max_size=300) | st.lists(st.sampled_from(FILE.split())).map(b" \n".join))
def test_any_bytes_give_evidence(content: bytes) -> None:
    assert isinstance(read(content), Evidence)
