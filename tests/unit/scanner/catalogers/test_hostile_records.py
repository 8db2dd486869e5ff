"""No bytes make a cataloger of a language raise, take long or tell of what can be no package."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scanner.catalogers.installed import CATALOGERS
from services.scanner.reading.complaints import is_scoped, is_word
from services.scanner.reading.documents import read_jsonc
from services.scanner.reading.indented import read_indented
from tests.builders.locks import read

LOCKS = Path(__file__).parents[3] / "fixtures" / "locks"
JSON = [
    "app/node_modules/a/package.json",
    "app/package-lock.json",
    "app/bun.lock",
    "app/vendor/composer/installed.json",
    "app/composer.lock",
    "app/Pipfile.lock",
    "app/x.deps.json",
    "app/packages.lock.json",
    "opt/conda/conda-meta/a-1-0.json",
    "opt/bitnami/a/.spdx-a.spdx",
]
TOML = [f"app/{name}" for name in ("poetry.lock", "uv.lock", "pdm.lock", "pylock.toml")]
LINES = [
    "app/yarn.lock",
    "app/pnpm-lock.yaml",
    "app/Gemfile.lock",
    "app/requirements.txt",
    "app/packages.config",
    "usr/lib/ruby/specifications/a-1.gemspec",
    "var/lib/dpkg/info/a.list",
]
PATHS = [*JSON, *TOML, *LINES, "app/a.egg"]
WORDS = [
    *b"{ } [ ] : , \" ' \\ \n \r # - @ / = ( ) < > . | & * ! ?".split(b" "),
    b"\n  ",
    b"\n    ",
    b"package",
    b"packages",
    b"dependencies",
    b"name",
    b"version",
    b"libraries",
    b"default",
    b"specs",
    b"GEM",
    b"snapshots",
    b"importers",
    b"lockfileVersion",
    b'"a"',
    b"1.0.0",
    b"\xff",
    b"\0",
    b"\xe2\x80\xa8",
    b"node_modules/a",
]


def check(path: str, content: bytes) -> None:
    for package in read(path, content).packages:
        assert is_scoped(package.name)
        assert is_word(package.version) or (not package.version and path.endswith("/package.json"))


@pytest.mark.parametrize("path", PATHS)
@given(content=st.binary(max_size=200) | st.lists(st.sampled_from(WORDS), max_size=60).map(b"".join))
def test_any_bytes_are_read_or_told(path: str, content: bytes) -> None:
    check(path, content)


@given(data=st.data())
def test_a_real_lock_that_is_damaged_anywhere_is_read_or_told(data: st.DataObject) -> None:
    lock = data.draw(st.sampled_from(sorted(LOCKS.glob("*/*"))))
    content = bytearray(lock.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place : place + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=8))

    check(f"app/{lock.name}", bytes(content[: data.draw(st.integers(0, len(content)))]))


Tree = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "packages",
                    "dependencies",
                    "name",
                    "version",
                    "libraries",
                    "targets",
                    "default",
                    "node_modules/a",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@pytest.mark.parametrize("path", JSON)
@given(tree=Tree)
def test_json_of_any_shape_is_read_or_told(path: str, tree: object) -> None:
    check(path, msgspec.json.encode(tree))


NESTED = {
    "lists": b"[" * 250_000,
    "objects": b'{"packages":' * 50_000,
    "dependencies": b'{"dependencies":{"a":' * 25_000,
    "unknown": b'{"x":' + b"[" * 250_000,
    "digits": b'{"version": ' + b"9" * 1_000_000 + b"}",
    "quotes": b'"\\' * 500_000,
    "commas": b"[" + b"," * 500_000,
    "spaces after commas": b"[" + (b"," + b" " * 1000) * 4000,
    "comments": b"/*" * 500_000,
    "lines": b"\n" * 500_000,
    "indents": b"".join(b" " * depth + b"a:\n" for depth in range(2_000)),
    "keys without end": b"a" * 1_000_000,
    "packages without end": b"<package " * 500_000,
    "spaces": b" " * 1_000_000,
    "assignments": b"s.name = " * 400_000,
    "space in requirements": b"a" + b" " * 1_000_000 + b"x",
    "space behind requirements": b"a==1" + b" " * 1_000_000 + b"x",
    "dots in pnpm": b"lockfileVersion: 5.4\npackages:\n  " + b"." * 1_000_000 + b":\n    dev: false",
    "brackets in requirements": b"a[" * 250_000,
    "cut quotes": b'"\\"' * 250_000 + b"\\",
    "dots in quotes in toml": b'"a" . ' * 20_000 + b"a = 1",
    "dots in a table in toml": b"x = {" + b"a." * 20_000 + b"a = 1}",
    "dots in toml": b".".join([b"a"] * 20_000) + b" = 1",
    "tables in toml": b"[a" + b".a" * 5_000 + b"]\n",
    "lists in toml": b"a = " + b"[" * 250_000,
    "digits in toml": b"a = " + b"9" * 250_000,
    "aliases": b"a: &a [*a,*a]\n" + b"b: *a\n" * 25_000,
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("content", NESTED.values(), ids=NESTED)
def test_bombs_are_told_in_no_time(path: str, content: bytes) -> None:
    begun = time.process_time()
    check(path, content)
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    "path",
    [
        "node_modules/" * 1_200 + "a/package.json",
        "node_modules/" + "a/test" * 2_500 + "/package.json",
        "gems/a-1" * 2_000 + "/Gemfile.lock",
        "specifications/" * 1_000 + "a" + "-1" * 100 + ".gemspec",
    ],
)
def test_long_paths_are_judged_in_no_time(path: str) -> None:
    begun = time.process_time()
    for cataloger in CATALOGERS:
        cataloger.wants(path), cataloger.counts(path), cataloger.holds(path)
    assert time.process_time() - begun < 0.02


@given(
    st.lists(st.sampled_from([b'"', b"\\", b"//", b"/*", b"*/", b",", b"]", b" ", b"a", b"\n", b"1"]), max_size=30)
)
def test_commas_and_comments_inside_of_strings_stay(parts: list[bytes]) -> None:
    text = b"".join(parts).decode()

    written = b"[" + msgspec.json.encode(text) + b", // a comment\n /* , */ ]"

    assert read_jsonc(written, list[str]) == [text]


@given(
    st.dictionaries(
        st.text("ab@/.'\"-#: ", min_size=1, max_size=8), st.text("ab@/.'\"#: ", max_size=8), max_size=4
    )
)
def test_mapping_in_single_quotes_is_read_back(values: dict[str, str]) -> None:
    def quoted(text: str) -> str:
        return "'" + text.replace("'", "''") + "'"

    document = "top:\n" + "".join(f"  {quoted(key)}: {quoted(value)}\n" for key, value in values.items())

    assert {keys[1]: value for keys, value in read_indented(document.encode()) if len(keys) == 2} == values
