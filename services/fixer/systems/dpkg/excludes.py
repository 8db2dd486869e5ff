"""Files that an image's dpkg leaves out of every package (dpkg(1), `--path-exclude`): slim images do."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from typing import Final

from services.fixer.image.node import NodeKind

_OPTION: Final = re.compile(r"path-(exclude|include)\s*[=\s]\s*(\S.*)")
_WILD: Final = re.compile(r"[*?\[\\]")
_MAX_PATTERNS: Final = 200
_MAX_PATTERN: Final = 1000


class Excludes:
    """Patterns in the order of the configuration: the last one that fits a path decides."""

    def __init__(self, files: Iterable[bytes]) -> None:
        """Reads configuration files of dpkg, in their order."""
        self._patterns: list[tuple[bool, re.Pattern[str], str]] = []
        for content in files:
            for line in content.decode("utf-8", "surrogateescape").splitlines():
                match = _OPTION.fullmatch(line.strip().removeprefix("--"))
                if match is None or len(self._patterns) >= _MAX_PATTERNS or len(match[2]) > _MAX_PATTERN:
                    continue
                pattern = match[2].strip().strip("\"'")
                wild = _WILD.search(pattern)
                literal = pattern[: wild.start()] if wild else pattern
                self._patterns.append(
                    (match[1] == "include", re.compile(fnmatch.translate(pattern)), literal.rstrip("/"))
                )

    def leaves_out(self, path: str, kind: NodeKind) -> bool:
        """Tells whether a file of a package is not unpacked."""
        if not self._patterns:
            return False
        name, left_out = f"/{path}", False
        for include, pattern, _ in self._patterns:
            if pattern.match(name):
                left_out = not include
        if left_out and kind in (NodeKind.DIRECTORY, NodeKind.SYMBOLIC_LINK):
            # What leads to files that are taken in again has to be there.
            return not any(include and name.startswith(literal) for include, _, literal in self._patterns)
        return left_out
