"""Which rules a pushed tag meets: an index by scope, so that an event meets few candidates."""

from __future__ import annotations

import itertools
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Sequence

import structlog

from services.kernel.errors import ServiceError
from services.kernel.model.reference import is_referrers_tag
from services.kernel.tag_pattern import TagPattern, compile_pattern
from services.rules.api import ScanRule, Scope, Trigger

log = structlog.get_logger()

_Entry = tuple[int, ScanRule, TagPattern]


class RuleIndex:
    """The AUTO rules of one instance, ready to match. Never changes."""

    def __init__(self, rules: Iterable[ScanRule]) -> None:
        """Compiles every pattern once: 10,000 take about 0.3 s, so do it in a thread."""
        self._everywhere: list[_Entry] = []
        self._by_namespace: defaultdict[str, list[_Entry]] = defaultdict(list)
        self._by_repository: defaultdict[tuple[str, str], list[_Entry]] = defaultdict(list)
        self.size = 0
        compiled: dict[str, TagPattern | None] = {}
        for place, rule in enumerate(rules):
            if rule.trigger is not Trigger.AUTO:
                continue
            if rule.tag_pattern not in compiled:
                compiled[rule.tag_pattern] = _compile(rule)
            pattern = compiled[rule.tag_pattern]
            if pattern is not None:
                self._enter((place, rule, pattern))
                self.size += 1

    def candidates(self, namespace: str, repository: str) -> int:
        """Returns how many patterns a tag of this repository is held against."""
        return sum(len(entries) for entries in self._lists(namespace, repository))

    def match(self, namespace: str, repository: str, tag: str) -> tuple[ScanRule, ...]:
        """Returns the rules that the tag meets, in the order in which they were given; none of a referrers tag."""
        if is_referrers_tag(tag):
            return ()
        text = tag.encode()
        met = [
            entry
            for entry in itertools.chain.from_iterable(self._lists(namespace, repository))
            if entry[2].fullmatch(text)
        ]
        met.sort(key=_place)
        return tuple(rule for _, rule, _ in met)

    def _lists(self, namespace: str, repository: str) -> tuple[Sequence[_Entry], ...]:
        return (
            self._everywhere,
            self._by_namespace.get(namespace, ()),
            self._by_repository.get((namespace, repository), ()),
        )

    def _enter(self, entry: _Entry) -> None:
        rule = entry[1]
        if rule.scope is Scope.INSTANCE:
            self._everywhere.append(entry)
        elif rule.scope is Scope.NAMESPACE:
            for namespace in set(rule.namespaces):
                self._by_namespace[namespace].append(entry)
        else:
            for key in set(itertools.product(rule.namespaces, rule.repo_names)):
                self._by_repository[key].append(entry)


class IndexCache:
    """The indexes of the instances that had events lately, each with the revision of rules that it was made of."""

    def __init__(self, *, max_rules: int) -> None:
        """Keeps so many rules in all; the index in use may alone have more."""
        self._max_rules = max_rules
        self._indexes: OrderedDict[str, tuple[int, RuleIndex]] = OrderedDict()

    def get(self, instance_id: str, revision: int) -> RuleIndex | None:
        """Returns the index of exactly this revision."""
        kept = self._indexes.get(instance_id)
        if kept is None or kept[0] != revision:
            return None
        self._indexes.move_to_end(instance_id)
        return kept[1]

    def put(self, instance_id: str, revision: int, index: RuleIndex) -> None:
        """Keeps an index and drops those that were not asked for longest."""
        self._indexes[instance_id] = (revision, index)
        self._indexes.move_to_end(instance_id)
        while len(self._indexes) > 1 and self.rules > self._max_rules:
            self._indexes.popitem(last=False)

    @property
    def rules(self) -> int:
        """How many rules are kept; an index without any counts as one."""
        return sum(max(index.size, 1) for _, index in self._indexes.values())


def _compile(rule: ScanRule) -> TagPattern | None:
    try:
        return compile_pattern(rule.tag_pattern)
    except ServiceError as error:
        # It compiled when it was saved: only another version of RE2 can come here. The other rules must go on.
        log.error("rule.unusable", rule_id=rule.rule_id, instance_id=rule.instance_id, reason=error.message)
        return None


def _place(entry: _Entry) -> int:
    return entry[0]
