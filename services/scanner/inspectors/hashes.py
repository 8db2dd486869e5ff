"""Hashes: lists of files that are known to be bad, of ours and of the operator (`docs/rule-packs.md`)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from services.kernel.model.finding import FindingKind
from services.kernel.model.severity import Severity
from services.scanner.inspectors.interface import RuleFacts
from services.scanner.inspectors.malware import ADVICE
from services.scanner.inspectors.masking import printable
from services.scanner.inspectors.rulefiles import Broken, RuleFile
from services.scanner.inspectors.rules import PACKS

_LINE: Final = re.compile(
    r"([0-9a-f]{64}|[0-9a-f]{32})(?::(\d{1,15}|\*):([^:]+)(?::.*)?|[ \t]+\*?(.+))?", re.IGNORECASE
)
"""`HASH NAME` as sha256sum and md5sum write it, or `HASH:SIZE:NAME` as ClamAV has it, with more behind."""
_SHA256: Final = 64
_UNNAMED: Final = "known-bad-file"


class _Entry(NamedTuple):
    digest: str
    size: int | None
    name: str


class KnownHashes:
    """Names of known files, by their hashes."""

    def __init__(self, files: Iterable[RuleFile]) -> None:
        """Takes the lines that can be read: see `broken_lines`."""
        self._names: dict[str, tuple[int | None, str]] = {}
        self._sizes: dict[int, set[int]] = {}
        self._always: set[int] = set()
        for file in files:
            for _, entry in _entries(file):
                if entry is not None:
                    self._names.setdefault(entry.digest, (entry.size, entry.name))
                    length = len(entry.digest)
                    (self._always if entry.size is None else self._sizes.setdefault(entry.size, set())).add(length)

    def wants(self, size: int) -> bool:
        """Tells whether a file of that size may be one of them."""
        return bool(self._always) or size in self._sizes

    @property
    def wants_all(self) -> bool:
        """Tells whether a file of any size may be one of them."""
        return bool(self._always)

    def wants_md5(self, size: int) -> bool:
        """Tells whether one of them may be told by its MD5 alone."""
        return bool({*self._always, *self._sizes.get(size, ())} - {_SHA256})

    def of(self, content: bytes) -> RuleFacts | None:
        """Returns what a whole file is known as, if it is; of those that nobody `wants`, nothing is asked."""
        size = len(content)
        wanted = self._always | self._sizes.get(size, set())
        sha256 = hashlib.sha256(content).hexdigest() if _SHA256 in wanted else ""
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest() if wanted - {_SHA256} else ""
        return self.known(size, sha256, md5)

    def known(self, size: int, *digests: str) -> RuleFacts | None:
        """Returns what a file with these hashes is known as."""
        for digest in digests:
            known = self._names.get(digest)
            if known is not None and known[0] in (None, size):
                return _facts(known[1])
        return None


def our_hashes() -> tuple[RuleFile, ...]:
    """Returns the lists that ship with Drydock."""
    return tuple(RuleFile(file.name, file.read_text("utf-8")) for file in sorted(PACKS.glob("*.sha256")))


def broken_lines(file: RuleFile) -> Broken | None:
    """Tells which line of a list is the first that is none; the others count."""
    wrong = [number for number, entry in _entries(file) if entry is None]
    if not wrong:
        return None
    return Broken(
        file.name, wrong[0], f"{len(wrong)} lines are not HASH NAME or HASH:SIZE:NAME, of SHA-256 or MD5"
    )


def _entries(file: RuleFile) -> Iterator[tuple[int, _Entry | None]]:
    for number, line in enumerate(file.text.splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        found = _LINE.fullmatch(text)
        if found is None:
            yield number, None
            continue
        size = int(found[2]) if found[2] and found[2] != "*" else None
        yield number, _Entry(found[1].lower(), size, found[3] or found[4] or _UNNAMED)


def _facts(name: str) -> RuleFacts:
    return RuleFacts(
        id=printable(name),
        kind=FindingKind.MALICIOUS_SAMPLE,
        severity=Severity.HIGH,
        title=printable(f"Known bad file: {name}"),
        advice=ADVICE,
    )
