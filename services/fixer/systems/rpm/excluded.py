"""Files that images are built without: documentation, other languages (rpm's `skipInstallFiles`)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence

from services.fixer.image.node import Tree
from services.fixer.systems.rpm import tags
from services.fixer.systems.rpm.files import File, files_of
from services.fixer.systems.rpm.header import Header
from services.fixer.systems.rpm.release import read_text

SETTINGS = ("etc/dnf/dnf.conf", "etc/yum.conf")
_NO_DOCS = re.compile(r"^\s*tsflags\s*=.*\bnodocs\b", re.MULTILINE)


@dataclasses.dataclass(frozen=True, slots=True)
class Excluded:
    """What an image does without, as its settings say or as its packages show."""

    documentation: bool
    by_language: bool
    """Whether any language is left out: then all are that nothing was installed of."""
    languages: frozenset[str]
    """Those of which something is installed."""

    def states(self, old: Sequence[File], new: Sequence[File], color: int) -> tuple[int, ...]:
        """Returns the state of each file of a new version that replaces an old one."""
        documents = [file.state for file in old if file.flags & tags.DOC and not file.languages]
        no_docs = self.documentation or (bool(documents) and set(documents) == {tags.NOT_INSTALLED})
        states = [self._state(file, color, no_docs) for file in new]
        return tuple(_without_empty(new, states))

    def _state(self, file: File, color: int, no_docs: bool) -> int:
        if color and file.color and not color & file.color:
            return tags.WRONG_COLOR
        if file.flags & tags.LICENSE:
            return tags.NORMAL
        if file.languages and self.by_language and self.languages.isdisjoint(file.languages.split("|")):
            return tags.NOT_INSTALLED
        if no_docs and file.flags & tags.DOC:
            return tags.NOT_INSTALLED
        return tags.NORMAL


def excluded_by(tree: Tree, headers: Iterable[Header]) -> Excluded:
    """Reads an image's settings, and what its packages show."""
    absent: set[str] = set()
    present: set[str] = set()
    for header in headers:
        if tags.FILE_LANGUAGES in header and any(header.texts(tags.FILE_LANGUAGES)):
            for file in files_of(header):
                into = present if file.state == tags.NORMAL else absent
                into.update(word for word in file.languages.split("|") if word)
    text = next((text for path in SETTINGS if (text := read_text(tree, path, 1 << 20)) is not None), "")
    return Excluded(
        documentation=_NO_DOCS.search(text) is not None,
        by_language=bool(absent - present),
        languages=frozenset(present),
    )


def _without_empty(files: Sequence[File], states: list[int]) -> list[int]:
    """A directory of the package goes with the last of its files that is left out."""
    left = {tags.NOT_INSTALLED, tags.WRONG_COLOR}
    by_path = {file.path: number for number, file in enumerate(files)}
    inside: dict[str, list[int]] = {}
    for number, file in enumerate(files):
        inside.setdefault(file.path.rpartition("/")[0], []).append(number)
    for folder in sorted(inside, reverse=True):
        own = by_path.get(folder)
        if own is not None and files[own].is_directory and all(states[each] in left for each in inside[folder]):
            states[own] = tags.NOT_INSTALLED
    return states
