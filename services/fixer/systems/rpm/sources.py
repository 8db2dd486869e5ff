"""Where an image's dnf gets its packages from: `*.repo`, its variables, what it is told to leave (dnf.conf(5)).

Only addresses are taken from an image. Its keys, and whether it wants to check signatures, are not asked for.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from services.fixer.image.node import Tree
from services.fixer.plan.packages import Release, RepositoryRef
from services.fixer.systems.rpm.release import read_text

_REPOSITORIES: Final = ("etc/yum.repos.d", "etc/distro.repos.d")
_VARIABLES: Final = ("etc/yum/vars", "etc/dnf/vars")
_SETTINGS: Final = ("etc/dnf/dnf.conf", "etc/yum.conf")
_LOCKS: Final = ("etc/dnf/plugins/versionlock.list", "etc/yum/pluginconf.d/versionlock.list")
_FOLDERS: Final = frozenset((*_REPOSITORIES, *_VARIABLES))
_FILES: Final = frozenset((*_SETTINGS, *_LOCKS))
_MAX_BYTES: Final = 1 << 20
_MAX_FILES: Final = 200
_MAX_REPOSITORIES: Final = 64
_MAX_PATTERNS: Final = 2_000

_SECTION = re.compile(r"\[([^\]]{1,200})\]\s*")
_OPTION = re.compile(r"([A-Za-z_]+)\s*[=:]\s*(.*?)\s*")
_COMMENTED = re.compile(r"#\s*(baseurl)\s*=\s*(\S+)\s*")
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+))")
_WORD = re.compile(r"[A-Za-z0-9._+~-]{0,64}")
_TRUE: Final = frozenset({"1", "yes", "true", "on", "enabled"})
_BASES: Final = {
    "i386": "i386",
    "i486": "i386",
    "i586": "i386",
    "i686": "i386",
    "armv7hl": "arm",
    "noarch": "x86_64",
}


def wants(path: str) -> bool:
    """Tells whether the content of a file is needed here."""
    folder, _, name = path.rpartition("/")
    return path in _FILES or (folder in _FOLDERS and (name.endswith(".repo") or folder in _VARIABLES))


def repositories(tree: Tree, release: Release, architecture: str) -> tuple[RepositoryRef, ...]:
    """Returns the repositories that are switched on and have an address.

    Lists of mirrors are not asked: whoever answers them chooses the address. Where a section has one, the address
    in the comment beside it is taken, which the distributions' own files have for whoever wants no mirrors.
    """
    values = {"releasever": release.version.partition(".")[0], "arch": architecture}
    values["basearch"] = _BASES.get(architecture, architecture)
    values |= _variables(tree)
    found: dict[tuple[str, str], RepositoryRef] = {}
    for name, options in _sections(tree):
        if options.get("enabled", "1").lower() not in _TRUE or name == "main":
            continue
        addresses = (options.get("baseurl") or options.get("#baseurl", "")).replace(",", " ").split()
        for address in addresses[:1]:
            filled = _filled(address, values).rstrip("/")
            if _is_address(filled) and len(found) < _MAX_REPOSITORIES:
                found.setdefault((filled, name), RepositoryRef(address=filled, name=name))
    return tuple(found.values())


def held_patterns(tree: Tree) -> tuple[str, ...]:
    """Returns the patterns of packages that the image wants to stay: `exclude`, `excludepkgs` and versionlock."""
    patterns: list[str] = []
    for path in _SETTINGS:
        text = read_text(tree, path, _MAX_BYTES)
        for name, options in _parse(text or ""):
            if name == "main":
                for key in ("exclude", "excludepkgs"):
                    patterns += options.get(key, "").replace(",", " ").split()
    for _, options in _sections(tree):
        if options.get("enabled", "1").lower() in _TRUE:
            for key in ("exclude", "excludepkgs"):
                patterns += options.get(key, "").replace(",", " ").split()
    for path in _LOCKS:
        for line in (read_text(tree, path, _MAX_BYTES) or "").splitlines():
            word = line.strip().removeprefix("!")
            if word and not word.startswith("#"):
                patterns.append(word)
    return tuple(dict.fromkeys(patterns))[:_MAX_PATTERNS]


def is_held(patterns: tuple[str, ...], name: str, version: str, architecture: str) -> bool:
    """Tells whether one of the patterns means a package, in the spellings that dnf takes."""
    epoch, _, rest = version.rpartition(":")
    full = f"{name}-{rest}"
    spellings = (
        name, f"{name}.{architecture}", full, f"{full}.{architecture}",
        f"{name}-{epoch or 0}:{rest}", f"{name}-{epoch or 0}:{rest}.{architecture}",
        f"{epoch or 0}:{full}", f"{epoch or 0}:{full}.{architecture}",
    )  # fmt: skip
    return any(fnmatch.fnmatchcase(spelling, pattern) for pattern in patterns for spelling in spellings)


def _variables(tree: Tree) -> dict[str, str]:
    found = {}
    for folder in _VARIABLES:
        for name in _names(tree, folder):
            text = (read_text(tree, f"{folder}/{name}", 4096) or "").strip()
            if _WORD.fullmatch(text):
                found[name] = text
    return found


def _sections(tree: Tree) -> Iterator[tuple[str, dict[str, str]]]:
    for folder in _REPOSITORIES:
        for name in _names(tree, folder):
            if name.endswith(".repo"):
                yield from _parse(read_text(tree, f"{folder}/{name}", _MAX_BYTES) or "")


def _names(tree: Tree, folder: str) -> list[str]:
    real = tree.real_path(folder, last=True)
    return sorted(tree.names(real))[:_MAX_FILES] if real is not None else []


def _parse(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Reads sections of `key=value`; a line that begins with a blank goes on with the value before it."""
    section, options, last = "", dict[str, str](), ""
    for line in text.splitlines():
        if match := _SECTION.fullmatch(line.rstrip()):
            if section:
                yield section, options
            section, options, last = match[1], {}, ""
        elif match := _COMMENTED.fullmatch(line):
            options.setdefault("#baseurl", match[2])
        elif line[:1] in " \t" and last and line.strip():
            options[last] += f" {line.strip()}"
        elif (match := _OPTION.fullmatch(line)) and not line.startswith(("#", ";")):
            last = match[1].lower()
            options[last] = match[2]
    if section:
        yield section, options


def _filled(address: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: values.get(match[1] or match[2], match[0]), address)


def _is_address(address: str) -> bool:
    """Drops those that no server is behind: other schemes, unknown variables, `download.example`."""
    if "$" in address or len(address) > 2048 or not address.isprintable():
        return False
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port  # a ValueError says that it is none
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https") and bool(host) and not host.endswith(".example") and not parts.username
    )
