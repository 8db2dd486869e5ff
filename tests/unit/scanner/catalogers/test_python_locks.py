"""Python's packages: in locks, in requirements that pin, in environments of conda and in eggs."""

from __future__ import annotations

import io
import zipfile

import pytest

from services.scanner.catalogers.installed import CATALOGERS
from services.scanner.catalogers.interface import PackageFormat, Reads
from services.scanner.reading.complaints import PACKAGE_RECORD_BROKEN
from tests.builders.locks import read, told
from tests.builders.records import metadata

POETRY_1 = """[[package]]
name = "flask"
version = "0.12.2"
category = "main"

[[package]]
name = "pytest"
version = "7.0.0"
category = "dev"

[metadata]
lock-version = "1.1"

[metadata.files]
flask = [{file = "x", hash = "sha256:1"}]
"""
POETRY_2 = """[[package]]
name = "Flask"
version = "0.12.2"
groups = ["main", "dev"]

[package.dependencies]
click = ">=2.0"

[[package]]
name = "psycopg"
version = "3.1.0"
groups = ["server"]

[[package]]
name = "pytest"
version = "7.0.0"
groups = ["dev", "test"]

[[package]]
name = "local"
version = "1.0.0"
groups = ["main"]

[package.source]
type = "directory"
url = "local"
"""
UV = """version = 1

[[package]]
name = "app"
version = "0.1.0"
source = { editable = "." }
dependencies = [{ name = "flask" }, { name = "numpy", version = "1.26.0", marker = "python_version < '3.12'" }]

[package.optional-dependencies]
server = [{ name = "gunicorn" }]

[package.dev-dependencies]
dev = [{ name = "pytest" }]
migrate = [{ name = "alembic" }]

[[package]]
name = "flask"
version = "0.12.2"
source = { registry = "https://registry.example.org/simple" }
dependencies = [{ name = "click" }]

[[package]]
name = "click"
version = "8.0.0"
source = { registry = "https://registry.example.org/simple" }

[[package]]
name = "numpy"
version = "1.26.0"

[[package]]
name = "numpy"
version = "2.0.0"

[[package]]
name = "gunicorn"
version = "20.0.0"

[[package]]
name = "alembic"
version = "1.0.0"

[[package]]
name = "pytest"
version = "7.0.0"
dependencies = [{ name = "pluggy" }]

[[package]]
name = "pluggy"
version = "1.0.0"
"""
PDM = """[metadata]
groups = ["default", "dev"]
lock_version = "4.4.1"

[[package]]
name = "flask"
version = "0.12.2"
groups = ["default", "dev"]

[[package]]
name = "pytest"
version = "7.0.0"
groups = ["dev"]

[[package]]
name = "local"
version = "1.0"
editable = true
path = "./local"
"""
PYLOCK = """lock-version = '1.0'
created-by = 'x'

[[packages]]
name = 'flask'
version = '0.12.2'

[[packages]]
name = 'from-git'
vcs = {type = 'git', url = 'https://example.org/x.git', commit-id = '1'}

[[packages]]
name = 'local'
version = '1.0'
directory = {path = '.'}
"""
PIPFILE = """{"_meta": {"hash": {"sha256": "x"}, "sources": []},
 "default": {"flask": {"version": "==0.12.2", "hashes": []}, "local": {"editable": true, "path": "."}},
 "develop": {"pytest": {"version": "==7.0.0"}},
 "server": {"gunicorn": {"version": "==20.0.0", "markers": "python_version >= '3'"}}}"""
FLASK = ("flask", "0.12.2")


@pytest.mark.parametrize(
    ("name", "content", "packages"),
    [
        ("poetry.lock", POETRY_1, [FLASK]),
        ("poetry.lock", POETRY_2, [("Flask", "0.12.2"), ("psycopg", "3.1.0")]),
        ("pdm.lock", PDM, [FLASK]),
        ("pylock.toml", PYLOCK, [FLASK]),
        ("Pipfile.lock", PIPFILE, [FLASK, ("gunicorn", "20.0.0")]),
        (
            "uv.lock",
            UV,
            [
                ("alembic", "1.0.0"),
                ("click", "8.0.0"),
                FLASK,
                ("gunicorn", "20.0.0"),
                ("numpy", "1.26.0"),
                ("numpy", "2.0.0"),
            ],
        ),
        ("uv.lock", '[[package]]\nname = "a"\nversion = "1"\n', [("a", "1")]),
        ("poetry.lock", "", []),
    ],
    ids=["poetry 1", "poetry 2", "pdm", "pylock", "pipenv", "uv", "uv without a project", "empty"],
)
def test_lock_pins_what_production_needs(name: str, content: str, packages: list[tuple[str, str]]) -> None:
    assert told(f"app/{name}", content) == packages


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("poetry.lock", "[[package]"),
        ("uv.lock", "package = 1"),
        ("uv.lock", 'package = ["x"]'),
        ("pylock.toml", "a = " + "[" * 100_000),
        ("pdm.lock", "a = " + "9" * 100_000),
        ("Pipfile.lock", "[" * 100_000),
        ("Pipfile.lock", '{"default": []}'),
        ("poetry.lock", '[[package]]\nname = "a b"\nversion = "1"\n'),
        ("poetry.lock", "\ufffe"),
    ],
)
def test_lock_that_cannot_be_read_is_told(name: str, content: str) -> None:
    evidence = read(f"app/{name}", content)

    assert evidence.packages == ()
    assert [each.code for each in evidence.warnings] == [PACKAGE_RECORD_BROKEN]


@pytest.mark.parametrize(
    ("line", "pin"),
    [
        ("flask==0.12.2", FLASK),
        ("flask == 0.12.2  # why", FLASK),
        ("flask[async,dotenv]==0.12.2 ; python_version < '3.12'", FLASK),
        ("flask===0.12.2", FLASK),
        ("flask==0.12.2 \\", FLASK),
        ("flask==0.12.2 --hash=sha256:abc", FLASK),
        ("flask (==0.12.2)", FLASK),
        ("flask==1!0.12.2+local", ("flask", "1!0.12.2+local")),
        ("flask>=0.12.2", None),
        ("flask~=0.12.2", None),
        ("flask==0.12.*", None),
        ("flask==0.12.2,<1", None),
        ("flask", None),
        ("# flask==0.12.2", None),
        ("-r other.txt", None),
        ("--hash=sha256:abc", None),
        ("flask @ https://example.org/flask==1.zip", None),
        ("-e git+https://example.org/x@1#egg=flask==1", None),
    ],
)
def test_requirement_counts_when_it_leaves_no_choice(line: str, pin: tuple[str, str] | None) -> None:
    assert told("app/requirements.txt", f"\n{line}\n    --hash=sha256:def\n") == ([pin] if pin else [])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_requirements_as_shells_of_windows_write_them_are_read(encoding: str) -> None:
    mark = "\ufeff" if encoding.endswith(("-le", "-be")) else ""

    assert told("app/requirements.txt", f"{mark}flask==0.12.2\r\n".encode(encoding)) == [FLASK]


@pytest.mark.parametrize(
    "path",
    [
        "usr/lib/python3/site-packages/x/requirements.txt",
        "usr/lib/python3/dist-packages/x/poetry.lock",
        "app/requirements-dev.txt",
    ],
)
def test_what_is_for_other_purposes_is_not_read(path: str) -> None:
    assert [each.name for each in CATALOGERS if each.reads is Reads.CONTENT and each.wants(path)] == []


def test_environment_of_conda_is_read() -> None:
    path = "opt/conda/conda-meta/openssl-3.0.13-h7f8727e_0.json"
    evidence = read(path, '{"build": "h7f8727e_0", "name": "openssl", "version": "3.0.13", "files": ["lib/x"]}')

    assert [(each.format, each.name, each.version) for each in evidence.packages] == [
        (PackageFormat.CONDA, "openssl", "3.0.13")
    ]
    assert len(read(path, '{"name": "openssl"}').warnings) == 1


def an_egg(**members: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/"), text)
    return content.getvalue()


EGG = "usr/lib/python3/site-packages/old-1.5-py3.egg"


def test_egg_that_is_an_archive_is_read() -> None:
    assert told(EGG, an_egg(**{"EGG-INFO/PKG-INFO": metadata("Old_Tool", "1.5"), "old.py": ""})) == [
        ("Old_Tool", "1.5")
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x05\x06",
        an_egg(**{"old.py": ""}),
        an_egg(**{"EGG-INFO/PKG-INFO": metadata("x", "1")})[:-30],
        an_egg(**{"EGG-INFO/PKG-INFO": "Name: x\n"}),
        an_egg(**{"EGG-INFO/PKG-INFO": metadata("x", "1")}).replace(b"PK\x03\x04", b"PK\x03\x05"),
        b"PK\x06\x07" + bytes(16) + b"PK\x05\x06" + bytes(18),
        b"PK\x05\x06" + bytes(8) + b"\xff\xff\xff\x7f" + bytes(6),
    ],
    ids=["empty", "cut", "no metadata", "no end", "no version", "no member", "zip64", "directory too large"],
)
def test_egg_that_cannot_be_read_is_told(content: bytes) -> None:
    evidence = read(EGG, content)

    assert evidence.packages == ()
    assert [each.code for each in evidence.warnings] == [PACKAGE_RECORD_BROKEN]


def test_egg_that_unpacks_to_very_much_is_told() -> None:
    bomb = an_egg(**{"EGG-INFO/PKG-INFO": metadata("x", "1") + " " * (64 << 20)})
    evidence = read(EGG, bomb)

    assert len(bomb) < 1 << 20
    assert evidence.packages == ()
    assert "unpacks to more than 16777216 bytes" in evidence.warnings[0].message
