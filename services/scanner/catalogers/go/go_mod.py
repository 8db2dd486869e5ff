"""Go's `go.mod`: the modules that a module is built with (Go Modules Reference, "go.mod files").

Neither the `go` line nor `toolchain` tells which standard library there is: they say what is the least, and what
was built has it written down.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from services.scanner.catalogers.go.modules import Module, module, replacement, to_packages
from services.scanner.catalogers.interface import Cataloger, Evidence, Hints
from services.scanner.catalogers.records import is_published
from services.scanner.reading.complaints import Complaints, shown, to_text

_TOKEN = re.compile(r"\"[^\"]*\"|`[^`]*`|//.*|=>|[()]|(?:(?!//|=>)[^\s\"`()])+")
_MAX_LINES: Final = 100_000
_MAX_LINE: Final = 4096


class GoModCataloger(Cataloger):
    """Reads what is required, directly or not, with what stands in for it."""

    name = "go-mod"
    version = 2
    hints = Hints(names=("go.mod",))
    max_bytes = 4 << 20

    def wants(self, path: str) -> bool:
        """`go.mod` of a project's own."""
        return path[path.rfind("/") + 1 :] == "go.mod" and not is_published(path)

    def read(self, path: str, content: bytes) -> Evidence:
        """Modules that a folder stands in for, or that are excluded in the version required, tell no version."""
        complaints = Complaints(path)
        file = _parse(content, complaints)
        found = dict.fromkeys(to_packages(map(file.built, file.required), complaints))
        return Evidence(
            path=path,
            cataloger=self.name,
            packages=tuple(found),
            warnings=complaints.warnings(),
            pinned=True,
        )


class _File(NamedTuple):
    required: list[Module]
    replaced: dict[Module, Module]
    """By what is replaced; without a version every one of it is."""
    excluded: set[Module]

    def built(self, required: Module) -> Module:
        path, version = required
        for replaced in (required, Module(path, "")):
            if replaced in self.replaced:
                return replacement(path, *self.replaced[replaced])
        return Module(path, "") if required in self.excluded else module(path, version)


def _parse(content: bytes, complaints: Complaints) -> _File:
    file = _File([], {}, set())
    for number, verb, words in _directives(content, complaints):
        if verb == "require" and len(words) == 2:
            file.required.append(Module(*words))
        elif verb == "exclude" and len(words) == 2:
            file.excluded.add(Module(*words))
        elif verb == "replace" and "=>" in words:
            at = words.index("=>")
            old, new = words[:at], words[at + 1 :]
            if len(old) in (1, 2) and len(new) in (1, 2):
                file.replaced[Module(*old, *("",) * (2 - len(old)))] = Module(*new, *("",) * (2 - len(new)))
            else:
                complaints.broken(f"Line {number}", "replaces nothing by nothing")
        elif verb in ("require", "exclude", "replace"):
            complaints.broken(f"Line {number}", f"has no {verb} that could be one: {shown(' '.join(words))!r}")
    return file


def _directives(content: bytes, complaints: Complaints) -> Iterator[tuple[int, str, Sequence[str]]]:
    """Yields lines as a verb and its words; those of a block have the verb that it begins with."""
    block = ""
    for number, raw in enumerate(content.splitlines(), start=1):
        if number > _MAX_LINES or len(raw) > _MAX_LINE:
            complaints.broken(f"Line {number}", "and what follows is more than is read")
            return
        words = [word.strip('"`') for word in _TOKEN.findall(to_text(raw)) if not word.startswith("//")]
        if not words:
            continue
        if words == [")"]:
            block = ""
        elif block:
            yield number, block, words
        elif words[1:] == ["("]:
            block = words[0]
        else:
            yield number, words[0], words[1:]
