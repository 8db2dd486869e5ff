"""Gems: installed ones by their specifications, locked ones by Bundler's lock.

Sources: RubyGems Guides, "Specification Reference"; bundler.io, "Gemfile.lock". A specification is a program:
it is read as text and never run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from services.scanner.catalogers.interface import Hints, PackageFormat
from services.scanner.catalogers.records import LockCataloger, Record, RecordCataloger
from services.scanner.reading.complaints import to_text
from services.scanner.reading.documents import Unreadable

_PLACE = re.compile(r"(?:.*/)?specifications/(?:default/)?[^/]+\.gemspec", re.DOTALL)
_FOLDER = re.compile(r"(?:.*/)?specifications(?:/default)?", re.DOTALL)
_NAME = re.compile(rb"""^[ \t]*\w+\.name[ \t]*=[ \t]*(?:%q\{|['"])([^'"}\n#]+)(?:\}|['"])""", re.MULTILINE)
_VERSION = re.compile(
    rb"""^[ \t]*\w+\.version[ \t]*=[ \t]*(?:Gem::Version\.new[ \t]*\(?)?(?:%q\{|['"])([^'"}\n#]+)(?:\}|['"])""",
    re.MULTILINE,
)
_FILE = re.compile(r"(.+?)-(\d[0-9A-Za-z.]*)(?:-.+)?\.gemspec")
_LOCKED = re.compile(r" {4}([^\s(]+) \(([^)\s-]+)(?:-[^)]*)?\)!?")
"""Name, version and, after a dash, the platform."""
_MERGE: Final = ("<<<<<<<", "=======", ">>>>>>>")


class GemCataloger(RecordCataloger):
    """Reads specifications of gems that are installed, among them those that come with Ruby."""

    name = "gem"
    version = 1
    kind = PackageFormat.GEM
    hints = Hints(ends=("gemspec",))
    max_bytes = 4 << 20

    def wants(self, path: str) -> bool:
        """Those in a folder of specifications: others lie beside the source that they describe."""
        return path.endswith(".gemspec") and _PLACE.fullmatch(path) is not None

    def holds(self, path: str) -> bool:
        """The folders of specifications."""
        return _FOLDER.fullmatch(path) is not None

    def records(self, path: str, content: bytes) -> Iterator[Record]:
        """One gem; its file's name tells what its text does not say in so many letters."""
        name, version = _NAME.search(content), _VERSION.search(content)
        file = _FILE.fullmatch(path[path.rfind("/") + 1 :])
        yield Record(
            to_text(name[1]) if name else file[1] if file else "",
            to_text(version[1]) if version else file[2] if file else "",
        )


class GemLockCataloger(LockCataloger):
    """Reads Bundler's lock, which does not tell what is only for development."""

    name = "gem-lock"
    version = 2
    names = frozenset({"Gemfile.lock", "gems.locked"})
    kind = PackageFormat.GEM

    def records(self, path: str, content: bytes) -> Iterator[Record | Unreadable]:
        """Gems of servers and of repositories; what has a path is a part of the project."""
        section = ""
        for line in content.decode("utf-8", "replace").splitlines():
            if line and not line[0].isspace() and not line.startswith(_MERGE):
                section = line
            elif section in ("GEM", "GIT", "PLUGIN SOURCE") and (match := _LOCKED.fullmatch(line)):
                yield Record(match[1], match[2])
