"""Go programs: the modules that their linker wrote down in them, and the standard library.

Sources: Go, packages `debug/buildinfo` (both forms of the information: its strings inline since Go 1.18, pointers
to them from 1.13 on) and `runtime/debug`, `BuildInfo.String` and `ParseBuildInfo`; Go vulnerability database,
"Versions", on those of the standard library.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from services.scanner.catalogers.go.modules import Module, main_module, module, replacement, to_packages
from services.scanner.catalogers.interface import (
    Cataloger,
    Evidence,
    FoundPackage,
    PackageFormat,
    Reads,
)
from services.scanner.reading.complaints import Complaints, to_text
from services.scanner.reading.executables.interface import Mark, Program

_MAGIC: Final = b"\xff Go buildinf:"
_ALIGNMENT: Final = 16
_HEADER_BYTES: Final = 32
_INLINE, _BIG_ENDIAN = 2, 1
_MAX_VARINT: Final = 10
_MAX_BYTES: Final = 8 << 20
_FRAME_BYTES: Final = 16

_GO_VERSION = re.compile(r"go(\d+\.\d+(?:\.\d+)?)(?:(rc|beta)(\d+))?")
_FILES_ALONE: Final = "command-line-arguments"
"""In place of a package's path, where files were named to be built."""
_FLAGS: Final = "-ldflags="
_QUOTED = re.compile(r"\\(.)")


class GoExecutableCataloger(Cataloger):
    """Reads what Go's linker wrote down, since Go 1.13."""

    name = "go-executable"
    version = 2
    reads = Reads.MARK
    mark = Mark(_MAGIC, loaded=True)

    def wants(self, path: str) -> bool:
        """Any: a program is what it is under every name."""
        return True

    def follow(self, program: Program, at: int) -> bytes | None:
        """Returns Go's version, a line break, and the module information.

        Its mark is also among the constants of programs that look for it: those are not aligned, or not followed
        by a version.
        """
        header = program.read(at, _HEADER_BYTES)
        if at % _ALIGNMENT or len(header) < _HEADER_BYTES:
            return None
        flags = header[15]
        strings = _inline(program, at) if flags & _INLINE else _pointed(program, header)
        if strings is None or not strings[0].startswith((b"go", b"devel ")):
            return None
        return b"\n".join(strings)

    def read(self, path: str, content: bytes) -> Evidence:
        """The standard library, the main module and those that it was built with.

        A program that was built without modules does not tell which packages are in it: that is told.
        """
        version, _, modules = content.partition(b"\n")
        if not version:
            return Evidence(path=path, cataloger=self.name, unread="Go")
        complaints = Complaints(path)
        info = _parse(modules[_FRAME_BYTES:-_FRAME_BYTES].decode("utf-8", "replace"))
        found = dict.fromkeys((_stdlib(to_text(version)), *to_packages(info.modules(), complaints)))
        return Evidence(
            path=path,
            cataloger=self.name,
            packages=tuple(found),
            warnings=complaints.warnings(),
            unread="" if _tells_modules(info) else "Go",
        )


class _Info(NamedTuple):
    path: str
    """Of the main package."""
    main: Module | None
    dependencies: Sequence[Module]
    """Replacements in place of what they replace."""

    def modules(self) -> Sequence[Module]:
        return (*((self.main,) if self.main else ()), *self.dependencies)


def _inline(program: Program, at: int) -> tuple[bytes, bytes] | None:
    place = at + _HEADER_BYTES
    version, place = _string(program, place)
    modules, _ = _string(program, place) if version is not None else (None, 0)
    return None if version is None or modules is None else (version, modules)


def _string(program: Program, at: int) -> tuple[bytes | None, int]:
    """Returns a string that stands behind its length, and where it ends."""
    size = shift = 0
    for number, byte in enumerate(program.read(at, _MAX_VARINT), start=1):
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            at += number
            break
    else:
        return None, 0
    content = program.read(at, size) if size <= _MAX_BYTES else b""
    return (content, at + size) if len(content) == size else (None, 0)


def _pointed(program: Program, header: bytes) -> tuple[bytes, bytes] | None:
    """Follows the pointers of Go 1.13 to 1.17; position-independent programs have none before they run."""
    width = header[14]
    order: Literal["big", "little"] = "big" if header[15] & _BIG_ENDIAN else "little"
    if width not in (4, 8):
        return None
    strings: list[bytes] = []
    for first in (16, 16 + width):
        pointer = program.offset(int.from_bytes(header[first : first + width], order))
        place = b"" if pointer is None else program.read(pointer, 2 * width)
        if len(place) < 2 * width:
            return None
        start, size = (int.from_bytes(part, order) for part in (place[:width], place[width:]))
        at = program.offset(start) if size else 0
        content = b"" if at is None or size > _MAX_BYTES else program.read(at, size)
        if at is None or len(content) < size:
            return None
        strings.append(content)
    return strings[0], strings[1]


def _parse(text: str) -> _Info:
    path = flags = ""
    main: Module | None = None
    dependencies: list[Module] = []
    for line in text.split("\n"):
        kind, _, rest = line.partition("\t")
        name, version, *_ = (*rest.split("\t"), "")
        if kind == "path":
            path = rest
        elif kind == "mod" and rest and name != _FILES_ALONE:
            main = module(name, version)
        elif kind == "dep" and name:  # some old versions of Go wrote one without
            dependencies.append(module(name, version))
        elif kind == "=>" and dependencies:
            dependencies[-1] = replacement(dependencies[-1].path, name, version)
        elif kind == "=>" and main is not None:
            main = replacement(main.path, name, version)
        elif kind == "build" and rest.startswith(_FLAGS):
            flags = _QUOTED.sub(r"\1", rest.removeprefix(_FLAGS))
    if main is not None:
        main = main_module(main, flags)
    return _Info(path=path, main=main, dependencies=dependencies)


def _tells_modules(info: _Info) -> bool:
    """Tells whether a program without modules has none: Go's own commands, and what was built of single files."""
    return bool(info.main or info.dependencies) or info.path.startswith("cmd/") or info.path == _FILES_ALONE


def _stdlib(version: str) -> FoundPackage:
    """Returns the standard library, as Go's advisories name it, its version as they write it.

    What a distribution adds (`X:boringcrypto`, `-fips`, `(Red Hat …)`) is left out; a compiler between versions
    (`devel …`) tells none.
    """
    match = _GO_VERSION.match(version)
    numbers = ""
    if match is not None:
        numbers = match[1]
        if match[2]:
            numbers += (".0" if numbers.count(".") == 1 else "") + f"-{match[2]}.{match[3]}"
    return FoundPackage(format=PackageFormat.GO, name="stdlib", version=numbers)
