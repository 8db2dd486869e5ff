"""Yarn's locks: version 1 (classic.yarnpkg.com, "yarn.lock") and those since (yarnpkg.com, "Lockfile").

Neither tells what is only for development: that is in the project's own description.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from services.scanner.catalogers.interface import PackageFormat
from services.scanner.catalogers.records import LockCataloger, Record
from services.scanner.reading.documents import Unreadable
from services.scanner.reading.indented import scalar

_HEAD = re.compile(r'"?(@?[^@"\s,][^@",]*)@([^",]*)')
"""The first descriptor of a block: a name and a range."""
_ALIAS = re.compile(r"npm:(@[^/@]+/[^@]+|[A-Za-z][^@]*)(?:@.*)?")
_FIELD = re.compile(r"""  "?(version|resolution|linkType)"?:?[ ]+(.+)""")
_RESOLUTION = re.compile(r"(@?[^@]+)@([a-z]+):.*", re.DOTALL)
_LOCAL: Final = ("file:", "link:", "portal:", "workspace:")


class YarnLockCataloger(LockCataloger):
    """Reads both forms by what they have in common: blocks of a line of descriptors and indented fields."""

    name = "yarn-lock"
    version = 2
    names = frozenset({"yarn.lock"})
    kind = PackageFormat.NPM

    def records(self, path: str, content: bytes) -> Iterator[Record | Unreadable]:
        """Packages from elsewhere than the project itself."""
        head, fields = "", dict[str, str]()
        for line in content.decode("utf-8", "replace").splitlines():
            if not line or line[0] == "#":
                continue
            if line[0] != " ":
                yield from _record(head, fields)
                head, fields = line, {}
            elif match := _FIELD.fullmatch(line):
                fields.setdefault(match[1], scalar(match[2]))
        yield from _record(head, fields)


def _record(head: str, fields: dict[str, str]) -> Iterator[Record | Unreadable]:
    if not head or head.startswith("__metadata"):
        return
    match = _HEAD.match(head)
    if match is None or not head.rstrip().endswith(":"):
        yield Unreadable(f"has no name that could be one: {head[:80]!r}")
        return
    name, wanted = match[1], match[2].rstrip(":")
    if alias := _ALIAS.fullmatch(wanted):
        name = alias[1]
    if resolved := _RESOLUTION.fullmatch(fields.get("resolution", "")):
        name, wanted = resolved[1], f"{resolved[2]}:"
    if not wanted.startswith(_LOCAL) and fields.get("linkType") != "soft":
        yield Record(name, fields.get("version", ""))
