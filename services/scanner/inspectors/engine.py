"""The engine: all rules, compiled once for each process and set of rules."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Final

import yara_x

from services.scanner.inspectors.accounts import inspect_passwd, inspect_shadow
from services.scanner.inspectors.compiled import compiled
from services.scanner.inspectors.globs import Globs
from services.scanner.inspectors.inspection import Inspection
from services.scanner.inspectors.interface import RuleFacts, Seen
from services.scanner.inspectors.malware import compiler
from services.scanner.inspectors.rules import PACKS, baseline_rules
from services.scanner.inspectors.sshd import inspect_sshd
from services.scanner.inspectors.text import NAMESPACE, TextRules, is_text
from services.scanner.layers.executables import HEAD_BYTES, is_executable

_GATE: Final = "gate"
_SCRIPT_WITHIN: Final = 'rule script { strings: $a = "<?php" $b = "<%@" condition: any of them }'
"""What data has in it that a web server would run, such as a picture that is a script as well."""
_MAX_MATCHES: Final = 1000

_CHECKS: Final[tuple[tuple[str, Callable[[bytes], Iterator[Seen]]], ...]] = (
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
    """The rules, and scanners that run them."""

    def __init__(self, inspection: Inspection) -> None:
        rules = baseline_rules()
        self.text = TextRules(rules)
        self.facts: Mapping[str, RuleFacts] = {rule.id: rule.facts for rule in rules}
        self.by_name = Globs([*_CHECKS, *self.text.by_name()])
        self.own = frozenset(file.read_bytes() for file in PACKS.iterdir() if file.is_file())
        """Files that are full of what rules look for."""
        self._inspection = inspection
        self._rules: dict[_Form, yara_x.Rules] = {}

    def scanners(self, seconds: int) -> Scanners:
        """Returns scanners for one layer, which give up a file after so many seconds."""
        return Scanners(self._compiled, seconds)

    def _compiled(self, form: _Form) -> yara_x.Rules:
        if form not in self._rules:
            name = f"{self._inspection.rules}-{form.value}"
            self._rules[form] = compiled(self._inspection.folder, name, partial(self._compile, form))
        return self._rules[form]

    def _compile(self, form: _Form) -> yara_x.Rules:
        made = compiler(self._inspection.files, programs=form is _Form.DATA)
        if form is _Form.DATA:
            made.new_namespace(_GATE)
            made.add_source(_SCRIPT_WITHIN)
        elif form is _Form.TEXT:
            made.new_namespace(NAMESPACE)
            made.add_source(self.text.source())
        return made.build()


class Scanners:
    """Scans content with the rules for its form."""

    def __init__(self, rules: Callable[[_Form], yara_x.Rules], seconds: int) -> None:
        self._rules = rules
        self._seconds = seconds
        self._made: dict[_Form, yara_x.Scanner] = {}

    def scan(self, content: bytes) -> Sequence[yara_x.Rule]:
        """Returns the rules that match.

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

    def _scan(self, form: _Form, content: bytes) -> Sequence[yara_x.Rule]:
        scanner = self._made.get(form)
        if scanner is None:
            scanner = self._made[form] = yara_x.Scanner(self._rules(form))
            scanner.set_timeout(self._seconds)
            scanner.max_matches_per_pattern(_MAX_MATCHES)
        return scanner.scan(content).matching_rules


@lru_cache(maxsize=2)
def engine_of(inspection: Inspection) -> Engine:
    """Returns the process's engine for an inspection."""
    return Engine(inspection)
