"""Text rules: patterns that tell of secrets and settings, and what makes a match no finding.

Two engines run one pattern. YARA-X looks for all of them in one pass; RE2, whose time is linear too, reads what
was found: which part is the secret, and whether it is a placeholder, too plain to be random, or allowed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Final

import re2

from services.scanner.inspectors.globs import Globs
from services.scanner.inspectors.interface import Cut, Seen
from services.scanner.inspectors.masking import masked, printable
from services.scanner.inspectors.rules import CORE_WITHIN, Place, Rule

NAMESPACE: Final = "baseline"
_BEHIND: Final = 1024
"""Bytes behind a match that its pattern may want to see."""
MAX_MATCHES: Final = 1000
"""Matches of one rule in one file that are looked at."""
_CUT: Final = Cut(f"after {MAX_MATCHES} matches of one rule it was not looked at any further for that rule")
_MAX_LINE: Final = 160

_PLACEHOLDER: Final = (
    rb"(?i)example|sample|placeholder|change.?(?:me|it|this)|replace|dummy|redacted|your[-_ ]|xxxx|\*\*\*|\.\.\."
    rb"|foo.?bar|<[^>]+>|\$\{|\$\(|\{\{|%\(|^\$|^%[A-Za-z]|1234567|abcdefg|^(?:true|false|yes|no|none|null|nil|undefined)$"
    rb"|^(?:my|the|some|a)?[-_.]?(?:super)?[-_.]?(?:pass|passwd|password|pwd|secret|token|key|user|username|login)[-_.]?\d{0,3}$"
    rb"|^(?:test|testing|tester|guest|anonymous|random|hidden|insecure|unused|empty|default)$"
)
_PACKAGED: Final = (
    r"(?:^|/)(?:site-packages|dist-packages|node_modules|gems|vendor|third_party|pkg/mod)/"
    r"|^usr/(?:local/)?(?:lib|lib64|libexec|share|include|src|go|bin|sbin)/|^(?:lib|lib64|bin|sbin)/|^var/(?:lib/dpkg|cache)/"
    r"|^opt/(?:conda|venv|yarn-v[^/]*)/|(?:^|/)lib(?:64)?/python[0-9.]+/"
)
"""Folders into which packages are installed."""
_SHOWN_TO_READERS: Final = (
    r"(?:^|/)(?:tests?|testing|testdata|test_data|__tests__|fixtures|dummyserver|examples?|samples?|docs?|spec|demos?|benchmarks?)/"
    r"|^usr/(?:local/)?share/(?:doc|man|info|locale|help|perl|vim|zsh|mime|zoneinfo)/|\.(?:md|rst|pod|adoc|html?|d\.ts|map)$"
    r"|(?:^|/)(?:test_|conftest)[^/]*$|[._-](?:test|spec)\.[a-z]+$"
)
"""Documentation, tests and examples: what packages bring of these holds keys that open nothing."""


@cache
def _compiled(pattern: str | bytes) -> re2._Regexp[bytes]:
    """Compiles a rule's pattern when it is wanted: in most layers most never are."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # every byte is a character: files are in any encoding
    options.log_errors = False
    return re2.compile(pattern.encode("latin-1") if isinstance(pattern, str) else pattern, options)


class TextRules:
    """The rules that are patterns; stateless."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = {rule.id: rule for rule in rules if rule.pattern}
        self._placeholder = _compiled(_PLACEHOLDER)
        self._packaged = _compiled(_PACKAGED)
        self._for_readers = _compiled(_SHOWN_TO_READERS)
        self._not_paths = Globs([(glob, rule.id) for rule in self._rules.values() for glob in rule.not_paths])
        files = [rule for rule in self._rules.values() if Place.FILE in rule.places]
        self._anywhere = {_identifier(rule.id): rule for rule in files if not rule.paths}
        self._files = files

    def source(self) -> str:
        """Returns the rules for any text file as YARA rules."""
        return "\n".join(
            f"rule {name} {{ strings: $a = {_as_yara(rule.core or rule.pattern)} condition: $a }}"
            for name, rule in self._anywhere.items()
        )

    def by_name(self) -> Iterator[tuple[str, Callable[[bytes], Iterator[Seen | Cut]]]]:
        """Yields the rules about files of certain names: a glob, and what looks into such a file."""
        for rule in self._files:
            look = partial(self.search, rule.id)
            for glob in rule.paths:
                yield glob, look

    def spares(self, path: str) -> bool:
        """Tells whether the path is of documentation, tests or examples that a package brings."""
        name = path.encode()
        return self._for_readers.search(name) is not None and self._packaged.search(name) is not None

    def confirm(
        self, identifier: str, path: str, content: bytes, places: Sequence[tuple[int, int]]
    ) -> Iterator[Seen | Cut]:
        """Yields what is left of YARA's matches, given by offset and length, of one rule in one file."""
        rule = self._anywhere[identifier]
        if rule.id in self._not_paths.of(path) or (rule.weak and self._packaged.search(path.encode())):
            return
        done = -1
        at, line = 0, 1  # counted on from match to match: a large file may have a thousand
        if len(places) >= MAX_MATCHES:
            yield _CUT
        for offset, length in sorted(places[:MAX_MATCHES]):
            if offset < done:
                continue
            # A byte before it, so that a word's border is seen.
            first = max(0, offset - 1 - (CORE_WITHIN if rule.core else 0))
            window = content[first : offset + length + _BEHIND]
            matches = _compiled(rule.pattern).finditer(window)
            found = next((each for each in matches if each.end() > offset - first), None)
            if found is None or found.start() > offset - first:
                continue
            done = first + found.end()
            line += content.count(b"\n", at, first + found.start())
            at = first + found.start()
            if seen := self._seen(rule, found, window, line):
                yield seen

    def search(self, rule_id: str, content: bytes) -> Iterator[Seen | Cut]:
        """Yields every match of one rule."""
        at, line = 0, 1
        for number, found in enumerate(_compiled(self._rules[rule_id].pattern).finditer(content)):
            if number == MAX_MATCHES:
                yield _CUT
                return
            start = found.start(1) if _has_secret(found) else found.start()
            line += content.count(b"\n", at, start)
            at = start
            if seen := self._seen(self._rules[rule_id], found, content, line):
                yield seen

    def search_all(self, place: Place, content: bytes) -> Iterator[Seen | Cut]:
        """Yields every match of the rules for a place that is no file."""
        for rule in self._rules.values():
            if place in rule.places:
                yield from self.search(rule.id, content)

    def _seen(self, rule: Rule, found: re2._Match[bytes], content: bytes, line: int) -> Seen | None:
        secret = found.group(1) if _has_secret(found) else b""
        if rule.allow and _compiled(rule.allow).search(found.group(0)):
            return None
        if not secret:
            return Seen(rule.id, printable(_one_line(found.group(0))), line)
        if self._placeholder.search(secret) or entropy(secret) < rule.entropy:
            return None
        text = found.group(0).decode("latin-1")
        start = found.start(1) - found.start()
        before = text[max(0, start - 60) : start].rpartition("\n")[2].lstrip()
        return Seen(
            rule.id, masked(before + secret.decode("latin-1"), len(before), len(before) + len(secret)), line
        )


def entropy(secret: bytes) -> float:
    """Returns Shannon's entropy of its bytes, in bits for each."""
    total = len(secret)
    return -sum(count / total * math.log2(count / total) for count in Counter(secret).values()) if total else 0.0


def is_text(content: bytes) -> bool:
    """Tells text by its beginning: it holds no zero byte."""
    return b"\0" not in content[:8192]


def _has_secret(found: re2._Match[bytes]) -> bool:
    return bool(found.re.groups) and found.group(1) is not None


def _one_line(text: bytes) -> str:
    return text.decode("latin-1").strip().partition("\n")[0][:_MAX_LINE]


def _identifier(rule_id: str) -> str:
    return "r_" + rule_id.replace("-", "_")


def _as_yara(pattern: str) -> str:
    folds = pattern.startswith("(?i)")
    bare = pattern.removeprefix("(?i)").replace("/", "\\/")
    return f"/{bare}/{'i' if folds else ''}"
