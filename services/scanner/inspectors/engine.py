"""The engine: all rules, compiled once for each process and set of rules."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Final

import yara_x

from services.scanner.inspectors.accounts import inspect_passwd, inspect_shadow
from services.scanner.inspectors.compiled import compiled, kept
from services.scanner.inspectors.globs import Globs
from services.scanner.inspectors.hashes import KnownHashes, our_hashes
from services.scanner.inspectors.inspection import Inspection
from services.scanner.inspectors.interface import Cut, RuleFacts, Seen
from services.scanner.inspectors.malware import compiler
from services.scanner.inspectors.rules import PACKS, baseline_rules
from services.scanner.inspectors.sshd import inspect_sshd
from services.scanner.inspectors.text import MAX_MATCHES, NAMESPACE, TextRules, is_text
from services.scanner.reading.executables.marks import HEAD_BYTES, is_executable

_GATE: Final = "gate"
_SCRIPT_WITHIN: Final = 'rule script { strings: $a = "<?php" $b = "<%@" condition: any of them }'
"""What data has in it that a web server would run, such as a picture that is a script as well."""

_CHECKS: Final[tuple[tuple[str, Callable[[bytes], Iterator[Seen | Cut]]], ...]] = (
    ("etc/shadow", inspect_shadow),
    ("etc/shadow-", inspect_shadow),
    ("etc/passwd", inspect_passwd),
    ("etc/ssh/sshd_config", inspect_sshd),
    ("etc/ssh/sshd_config.d/*.conf", inspect_sshd),
)


class _Form(enum.Enum):
    """What a file is, as far as rules care: the fewer rules, the faster they are."""

    DATA = "data"
    """Programs among it."""
    SCRIPT_WITHIN = "script-within"
    """Data with a script in it."""
    TEXT = "text"


class Engine:
    """The rules, and the scanners that run them: each of these takes 80 MB of address space."""

    def __init__(self, inspection: Inspection) -> None:
        rules = baseline_rules()
        self.text = TextRules(rules)
        self.facts: Mapping[str, RuleFacts] = {rule.id: rule.facts for rule in rules}
        self.by_name = Globs([*_CHECKS, *self.text.by_name()])
        self.hashes = KnownHashes((*our_hashes(), *inspection.hashes))
        self.own = frozenset(file.read_bytes() for file in PACKS.iterdir() if file.is_file())
        """Files that are full of what rules look for."""
        self._inspection = inspection
        self._rules: dict[_Form, yara_x.Rules] = {}
        """Those that were read beforehand."""
        self._scanners: dict[_Form, yara_x.Scanner] = {}

    def scan(self, content: bytes) -> Sequence[yara_x.Rule]:
        """Returns the rules that match, those for the content's form alone.

        Raises:
            yara_x.TimeoutError, yara_x.ScanError: they did not come to an end.
        """
        if is_text(content):
            return self._scan(_Form.TEXT, content)
        matching = self._scan(_Form.DATA, content)
        if matching and any(rule.namespace == _GATE for rule in matching):
            if not is_executable(content[:HEAD_BYTES]):
                return self._scan(_Form.SCRIPT_WITHIN, content)
            return [rule for rule in matching if rule.namespace != _GATE]
        return matching

    def compile(self) -> None:
        """Compiles all rules, or reads them where they are kept.

        Raises:
            yara_x.CompileError: one of them does not.
        """
        for form in _Form:
            self._scanner(form)

    def load(self) -> None:
        """Reads the rules for all files, if they were compiled before: to scan is all that is left then."""
        for form in (_Form.TEXT, _Form.DATA):
            rules = kept(self._inspection.folder, self._name(form))
            if rules is not None:
                self._rules[form] = rules

    def _name(self, form: _Form) -> str:
        return f"{self._inspection.rules}-{form.value}"

    def _scan(self, form: _Form, content: bytes) -> Sequence[yara_x.Rule]:
        return self._scanner(form).scan(content).matching_rules

    def _scanner(self, form: _Form) -> yara_x.Scanner:
        scanner = self._scanners.get(form)
        if scanner is None:
            rules = self._rules.get(form) or compiled(
                self._inspection.folder, self._name(form), partial(self._compile, form)
            )
            scanner = self._scanners[form] = yara_x.Scanner(rules)
            scanner.set_timeout(self._inspection.limits.scan_seconds)
            scanner.max_matches_per_pattern(MAX_MATCHES)
        return scanner

    def _compile(self, form: _Form) -> yara_x.Rules:
        made = compiler(self._inspection.files, programs=form is _Form.DATA)
        if form is _Form.DATA:
            made.new_namespace(_GATE)
            made.add_source(_SCRIPT_WITHIN)
        elif form is _Form.TEXT:
            made.new_namespace(NAMESPACE)
            made.add_source(self.text.source())
        return made.build()


@lru_cache(maxsize=1)
def engine_of(inspection: Inspection) -> Engine:
    """Returns the process's engine for an inspection."""
    return Engine(inspection)


def load_engine(inspection: Inspection) -> None:
    """Readies the engine of this process and of those that it forks; starts no thread."""
    engine_of(inspection).load()
