"""Go modules as programs and `go.mod` name them: what stands in for another, and versions that only flags tell.

Sources: Go Modules Reference, "replace directive" and "Pseudo-versions"; Go, `cmd/link`, flag `-X`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from services.scanner.catalogers.interface import FoundPackage, PackageFormat
from services.scanner.reading.complaints import Complaints, is_scoped, is_word, shown

_DEVELOPMENT: Final = "(devel)"
"""In place of a version, where a module was built from its own sources."""
_PSEUDO = re.compile(r"v\d+\.\d+\.\d+-(?:[^+]*\.)?\d{14}-[0-9a-f]{12}(?:\+.*)?")
_VARIABLE = re.compile(r"-X[= ]\s*['\"]?([^\s'\"=]+)=([^\s'\"]+)")
_NAMES = re.compile(r"(?:git|build|release|app)?_?(?:version|ver|tag)", re.IGNORECASE)
_SEMVER = re.compile(r"v?(\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.+-]+)?)")
_MAX_FLAGS: Final = 64 << 10


class Module(NamedTuple):
    """A module and its version, which is empty where nothing tells it."""

    path: str
    version: str


def module(path: str, version: str) -> Module:
    """Returns a module as it was built: from its own sources none tells its version."""
    return Module(path, "" if version == _DEVELOPMENT else version)


def replacement(replaced: str, path: str, version: str) -> Module:
    """Returns what stands in for a module: another one, or a folder, which keeps the name and tells no version."""
    return module(path, version) if version and version != _DEVELOPMENT else Module(replaced, "")


def main_module(main: Module, flags: str) -> Module:
    """Returns the main module with the version that people gave it.

    What Go derives from a commit and what is missing give way to a version that the linker was told to write into
    a variable of the module, if all that it was told of agree.
    """
    if main.version and not _PSEUDO.fullmatch(main.version):
        return main
    told = {
        match[1]
        for variable, value in _VARIABLE.findall(flags[:_MAX_FLAGS])
        if (match := _SEMVER.fullmatch(value)) and _is_version_of(variable, main.path)
    }
    return Module(main.path, f"v{told.pop()}") if len(told) == 1 else main


def _is_version_of(variable: str, main: str) -> bool:
    package, _, name = variable.rpartition(".")
    ours = package in ("main", main) or package.startswith(f"{main}/")
    return ours and _NAMES.fullmatch(name) is not None


def to_packages(modules: Iterable[Module], complaints: Complaints) -> Iterator[FoundPackage]:
    """Yields modules as packages; names and versions that cannot be one are complained of."""
    for path, version in modules:
        if not is_scoped(path):
            complaints.broken(f"The module {shown(path)!r}", "has no path that could be one")
        elif version and not is_word(version):
            complaints.broken(f"The module {path}", f"has no version that could be one: {shown(version)!r}")
        else:
            yield FoundPackage(format=PackageFormat.GO, name=path, version=version)
