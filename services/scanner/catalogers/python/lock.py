"""Locks of Python's package managers.

Sources: packaging.python.org, "pylock.toml Specification" (PEP 751); the locks as poetry 1.1 to 2.1, pdm 2 and uv
write them (python-poetry.org, pdm-project.org, docs.astral.sh/uv); github.com/pypa/pipfile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from services.scanner.catalogers.interface import PackageFormat
from services.scanner.catalogers.records import LockCataloger, Record
from services.scanner.reading.documents import Unreadable, read_each, read_json, read_toml

DEVELOPMENT: Final = frozenset({"dev", "develop", "development", "test", "tests", "testing", "lint", "docs"})
"""Groups of dependencies that no production has, by the names that projects give them."""
_LOCAL: Final = frozenset({"editable", "virtual", "directory"})
"""What a package is from when it is the project itself, or a part of it."""

_Table = Mapping[str, Any]


class PythonLockCataloger(LockCataloger):
    """Reads the locks that are TOML."""

    name = "python-lock"
    version = 2
    names = frozenset({"poetry.lock", "uv.lock", "pdm.lock", "pylock.toml"})
    kind = PackageFormat.PYPI
    max_bytes = 8 << 20

    def records(self, path: str, content: bytes) -> Iterator[Record | Unreadable]:
        """A list of tables in all of them; which ones production needs, each tells in its own way."""
        name = path[path.rfind("/") + 1 :]
        document = read_toml(content)
        listed = document.get("packages" if name == "pylock.toml" else "package", [])
        if not isinstance(listed, list):
            raise Unreadable("has no list of packages")
        needed = _needed(listed) if name == "uv.lock" else None
        for table in listed:
            if not isinstance(table, dict) or not isinstance(table.get("name"), str):
                yield Unreadable("has no name")
            elif _counts(table) and (needed is None or table["name"] in needed):
                yield Record(table["name"], table["version"])


class PipfileLockCataloger(LockCataloger):
    """Reads pipenv's lock."""

    name = "pipfile-lock"
    version = 2
    names = frozenset({"Pipfile.lock"})
    kind = PackageFormat.PYPI

    def records(self, path: str, content: bytes) -> Iterator[Record | Unreadable]:
        """All categories but that for development."""
        for category, packages in read_each(read_json(content, dict[str, msgspec.Raw]), dict[str, msgspec.Raw]):
            if category in ("_meta", *DEVELOPMENT):
                continue
            if isinstance(packages, Unreadable):
                yield packages
                continue
            for package, entry in read_each(packages, _Pinned):
                if isinstance(entry, Unreadable):
                    yield entry
                elif entry.version.startswith("=="):
                    yield Record(package, entry.version.lstrip("="))


class _Pinned(msgspec.Struct):
    version: str = ""


def _counts(table: _Table) -> bool:
    return isinstance(table.get("version"), str) and not (_is_local(table) or _is_development(table))


def _is_local(table: _Table) -> bool:
    """Poetry has a type, uv a key of its own, pylock the key beside the name; pdm says that it is editable."""
    source = table.get("source")
    if isinstance(source, dict) and (source.get("type") == "directory" or not _LOCAL.isdisjoint(source)):
        return True
    return "directory" in table or table.get("editable") is True


def _is_development(table: _Table) -> bool:
    """Poetry before 1.5 has a category, poetry since 2.0 and pdm have groups."""
    groups = table.get("groups", [table.get("category", "main")])
    names = [group for group in groups if isinstance(group, str)] if isinstance(groups, list) else []
    return bool(names) and DEVELOPMENT.issuperset(names)


def _needed(listed: list[Any]) -> set[str] | None:
    """Follows uv's dependencies from the project and its workspace; None where none of these is there."""
    tables = [table for table in listed if isinstance(table, dict)]
    needs: dict[str, set[str]] = {}
    roots: list[str] = []
    for table in tables:
        name = str(table.get("name"))
        needs.setdefault(name, set()).update(_dependencies(table))
        if _is_local(table):
            roots.append(name)
    seen: set[str] = set()
    while roots:
        name = roots.pop()
        if name not in seen:
            seen.add(name)
            roots.extend(needs.get(name, ()))
    return seen or None


def _dependencies(table: _Table) -> Iterator[str]:
    extras, groups = table.get("optional-dependencies"), table.get("dev-dependencies")
    lists = [table.get("dependencies")]
    lists.extend(extras.values() if isinstance(extras, dict) else ())
    if isinstance(groups, dict):
        lists.extend(each for group, each in groups.items() if group not in DEVELOPMENT)
    for each in lists:
        for wanted in each if isinstance(each, list) else ():
            if isinstance(wanted, dict) and isinstance(wanted.get("name"), str):
                yield wanted["name"]
