"""Scripts that rpm would run around an upgrade, and whether leaving them out changes anything in an image.

None is ever run. A script is let pass only where each command of it is known to do nothing in an image whose files
are there already; all else makes the package one that NEEDS_REBUILD (decision 0048).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from services.fixer.systems.rpm import tags
from services.fixer.systems.rpm.header import Header
from services.fixer.systems.rpm.relations import Relation, overlap, version_of
from services.rpmdb.faults import Damaged

_OF_THE_NEW: Final = ("%pretrans", "%pre", "%post", "%posttrans")
_OF_THE_OLD: Final = ("%preun", "%postun")
_MAX_SCRIPT: Final = 64 << 10

_SHELLS: Final = frozenset({"", "/bin/sh", "/bin/bash", "/usr/bin/sh", "/usr/bin/bash"})
_LDCONFIG: Final = frozenset({"/sbin/ldconfig", "/usr/sbin/ldconfig", "ldconfig"})
_QUIET: Final = r"(?:\s*(?:[12&]?>\s*(?:/dev/null|&[12])))*(?:\s*\|\|\s*(?::|true|/bin/true|exit 0))?\s*;?\s*"
_HARMLESS: Final = tuple(
    re.compile(pattern + _QUIET)
    for pattern in (
        r"(?:/usr)?/sbin/ldconfig(?:\s+-X)?",
        r":",
        r"(?:/usr)?(?:/bin/)?true",
        r"exit(?: 0)?",
        r"set [-+][eux]+",
        # Without a running systemd, which no image has while it is built, these do nothing.
        r"(?:/usr/bin/|/bin/)?systemctl(?: --no-reload)?"
        r"(?: daemon-reload| (?:try-restart|reload-or-restart) [\w@.-]+)",
        r"/usr/lib/systemd/systemd-update-helper"
        r" (?:mark-(?:restart|reload)-(?:system|user)-units|(?:system|user)-reload(?:-restart)?)[\w@. -]*",
    )
)
_GUARD: Final = re.compile(r"if\s+(?P<condition>.+?)\s*(?:;\s*then|$)\s*(?P<rest>.*)")
_END_OF_IF: Final = re.compile(r"fi\b" + _QUIET)
_AND_THERE: Final = r"(?:\s*\])?(?:\s*&&\s*\[\s+-x\s+[\w./\"-]+\s+\])*"
_COUNT: Final = r"(?:test|\[)\s+\"?\$\{?1\}?\"?\s+"
_ONLY_AT_ERASURE: Final = re.compile(_COUNT + r"(?:-eq|=|==)\s+\"?0\"?" + _AND_THERE)
_ONLY_AT_FIRST: Final = re.compile(_COUNT + r"(?:-eq|=|==)\s+\"?1\"?" + _AND_THERE)
_NO_SYSTEMD: Final = re.compile(r"(?:test|\[)\s+-d\s+\"?/run/systemd/system/?\"?" + _AND_THERE)
_ALWAYS_SO: Final = re.compile(rf"(?:{_COUNT}-(?:ge|gt)\s+\"?[01]\"?|(?:test|\[)\s+-x\s+[\w./\"-]+){_AND_THERE}")
_ACCOUNT: Final = re.compile(
    r"(?:/usr/bin/)?getent (?P<base>passwd|group) (?P<name>[a-z_][a-z0-9_-]*)\s*>\s*/dev/null(?:\s*2>&1)?\s*\|\|"
    r"\s*(?:/usr/sbin/)?(?:useradd|groupadd) [^;&|`$<>]*(?:2?>\s*/dev/null)?(?:\s*2>&1)?"
    r"(?:\s*\|\|\s*(?::|exit [01]))?\s*"
)


@dataclasses.dataclass(frozen=True, slots=True)
class Accounts:
    """Users and groups that an image has: what would make them anew does nothing."""

    users: Collection[str] = ()
    groups: Collection[str] = ()


def of_the_new(header: Header, accounts: Accounts) -> str:
    """Returns the script that matters, as `%post`, of those that an upgrade runs from the new package.

    Empty where none does.
    """
    return _first(header, _OF_THE_NEW, _ONLY_AT_FIRST, accounts)


def of_the_old(header: Header, accounts: Accounts) -> str:
    """Returns the same of the scripts that it runs from the package that goes."""
    return _first(header, _OF_THE_OLD, _ONLY_AT_ERASURE, accounts)


def _first(header: Header, names: Iterable[str], never: re.Pattern[str], accounts: Accounts) -> str:
    for name in names:
        body = "\n".join(header.texts(tags.SCRIPTS[name]))
        program = " ".join(header.texts(tags.PROGRAMS[name]))
        if (body or program) and not _is_harmless(program, body, never, accounts):
            return name
    return ""


@dataclasses.dataclass(frozen=True, slots=True)
class Trigger:
    """A script of one package that matters, and what another package must do to make rpm run it."""

    owner: str
    prefix: str
    """Of paths, relative to the root; for a trigger on files."""
    package: Relation | None = None
    """For a trigger on a package."""

    def meets(self, names: Iterable[tuple[str, str]], paths: Iterable[str]) -> bool:
        """Tells whether packages, by name and version, or files make it run."""
        if self.package is None:
            return any(path.startswith(self.prefix) for path in paths)
        for name, version in names:
            if name == self.package.name and overlap(self.package, Relation(name, tags.EQUAL, version)):
                return True
        return False


def triggers_of(header: Header) -> Iterator[Trigger]:
    """Yields the triggers of a package whose scripts matter.

    Raises:
        Damaged: lists that do not fit together.
    """
    owner = header.text(tags.NAME)
    for scripts, programs, names, indexes in (
        (
            tags.FILE_TRIGGER_SCRIPTS, tags.FILE_TRIGGER_PROGRAMS,
            tags.FILE_TRIGGER_NAMES, tags.FILE_TRIGGER_INDEXES,
        ),
        (
            tags.TRANS_FILE_TRIGGER_SCRIPTS, tags.TRANS_FILE_TRIGGER_PROGRAMS,
            tags.TRANS_FILE_TRIGGER_NAMES, tags.TRANS_FILE_TRIGGER_INDEXES,
        ),
    ):  # fmt: skip
        for number in _that_matter(header, scripts, programs):
            for name, index in zip(header.texts(names), header.numbers(indexes), strict=False):
                if index == number:
                    yield Trigger(owner, name.strip("/") + ("/" if name.endswith("/") else ""))
    kinds = tags.TRIGGER_IN | tags.TRIGGER_UN | tags.TRIGGER_POSTUN | tags.TRIGGER_PREIN
    rows = tuple(
        zip(
            header.texts(tags.TRIGGER_NAMES),
            header.numbers(tags.TRIGGER_FLAGS),
            header.texts(tags.TRIGGER_VERSIONS),
            header.numbers(tags.TRIGGER_INDEXES),
            strict=False,
        )
    )
    for number in _that_matter(header, tags.TRIGGER_SCRIPTS, tags.TRIGGER_PROGRAMS):
        for name, flags, version, index in rows:
            if index == number and flags & kinds:
                yield Trigger(owner, "", Relation(name, flags & 15, version))


def _that_matter(header: Header, scripts: int, programs: int) -> list[int]:
    bodies, names = header.texts(scripts), header.texts(programs)
    if len(names) not in (0, len(bodies)):
        raise Damaged("has lists of triggers that do not fit together")
    names = names or ("/bin/sh",) * len(bodies)
    never = re.compile(r"(?!)")
    return [
        number
        for number, (body, program) in enumerate(zip(bodies, names, strict=True))
        if not _is_harmless(program, body, never, Accounts())
    ]


def itself(header: Header) -> tuple[str, str]:
    """Returns name and version."""
    return header.text(tags.NAME), version_of(header)


def _is_harmless(program: str, body: str, never: re.Pattern[str], accounts: Accounts) -> bool:
    if program in _LDCONFIG and not body.strip():
        return True
    if program not in _SHELLS or len(body) > _MAX_SCRIPT:
        return False
    lines = list(_lines(body))[::-1]
    return _passes(lines, never, accounts) and not lines


def _passes(lines: list[str], never: re.Pattern[str], accounts: Accounts, *, within: bool = False) -> bool:
    """Takes lines from the end of the list up to the block's `fi`, or to the script's end."""
    while lines:
        line = lines.pop()
        if within and _END_OF_IF.fullmatch(line):
            return True
        if guard := _GUARD.fullmatch(line):
            if guard["rest"] not in ("", "then") or not _guarded(guard["condition"], lines, never, accounts):
                return False
        elif line != "then" and not _is_known(line, accounts):
            return False
    return not within


def _guarded(condition: str, lines: list[str], never: re.Pattern[str], accounts: Accounts) -> bool:
    if never.fullmatch(condition) or _NO_SYSTEMD.fullmatch(condition):
        return _skip(lines)
    return bool(_ALWAYS_SO.fullmatch(condition)) and _passes(lines, never, accounts, within=True)


def _skip(lines: list[str]) -> bool:
    """Takes away what is never run; False where that has an `else`, which would be, or its end is not sure."""
    depth = 1
    while lines and depth:
        line = lines.pop()
        if re.match(r"if\b", line):
            depth += 0 if re.search(r";\s*fi$", line) else 1
        elif _END_OF_IF.fullmatch(line):
            depth -= 1
        elif re.search(r"<<|\bfi\b", line) or (depth == 1 and re.match(r"el(?:se|if)\b", line)):
            return False
    return not depth


def _lines(body: str) -> Iterator[str]:
    for line in re.sub(r"\\\n\s*", " ", body).split("\n"):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield stripped


def _is_known(line: str, accounts: Accounts) -> bool:
    if account := _ACCOUNT.fullmatch(line):
        return account["name"] in (accounts.users if account["base"] == "passwd" else accounts.groups)
    return any(pattern.fullmatch(line) for pattern in _HARMLESS)
