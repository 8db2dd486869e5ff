"""Whether a target is told of an event, and of what in it: pure, and silent only of what somebody could judge."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Protocol

from services.kernel.model.finding import FindingKind
from services.kernel.model.reference import NO_NAMESPACE
from services.kernel.model.severity import Severity
from services.kernel.tag_pattern import TagPattern, compile_pattern
from services.notifier.api import Occasion, Subscription
from services.notifier.events import News, Reevaluated, ScanEvent, news_in
from services.scanner.api import Comparison

_FULL, _NONE = "FULL", "NONE"
_FINDINGS, _MALICIOUS = Occasion.FINDINGS, Occasion.MALICIOUS_SAMPLE
_PATTERNS = 1024


class Placed(Protocol):
    """What has happened to an image."""

    @property
    def instance_id(self) -> str:
        """Where the image lies."""
        ...

    @property
    def namespace(self) -> str:
        """Namespace of its repository."""
        ...

    @property
    def repository(self) -> str:
        """Name of its repository."""
        ...

    @property
    def tag(self) -> str:
        """Empty where it has none."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """Nobody could say what is new: then it is told."""

    reason: str


Answer = Comparison | Unanswered


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """The target is told."""

    occasions: frozenset[Occasion]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """The scanner must say first what was found, or what of it is new."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """It is no occasion for the target."""


Decision = Tell | Ask | Pass


def decide(subscription: Subscription, event: ScanEvent, answer: Answer | None = None) -> Decision:
    """Returns what becomes of an event for a target; never `Ask` once there is an answer.

    Whoever wants new findings only is told, too, of what could not be judged: silence would say "nothing new".
    """
    news = news_in(event)
    if news is None or not covers(subscription, event):
        return Pass()
    if news is News.SCAN_FAILED:
        met = {Occasion.FAILED} & subscription.occasions
        return Tell(occasions=frozenset(met)) if met else Pass()
    if event.reevaluated is not None:
        met = {each for each in subscription.occasions if _changed(each, subscription, event.reevaluated)}
        return Tell(occasions=frozenset(met)) if met else Pass()
    if answer is None and _needs_answer(subscription, event):
        return Ask()
    met = {each for each in subscription.occasions if _holds(each, subscription, event, answer)}
    return Tell(occasions=frozenset(met)) if met else Pass()


def covers(subscription: Subscription, event: Placed) -> bool:
    """Tells whether an image is in the scope of a target."""
    path = event.repository if event.namespace == NO_NAMESPACE else f"{event.namespace}/{event.repository}"
    return (
        event.instance_id in (subscription.instances or (event.instance_id,))
        and event.namespace in (subscription.namespaces or (event.namespace,))
        and path in (subscription.repositories or (path,))
        and tag_matches(subscription.tag_pattern, event.tag)
    )


def tag_matches(pattern: str, tag: str) -> bool:
    """Tells whether a tag is one of those meant; every one is by no pattern."""
    return not pattern or _compiled(pattern).fullmatch(tag.encode()) is not None


def _needs_answer(subscription: Subscription, event: ScanEvent) -> bool:
    """Tells whether what the event says of itself does not do."""
    if event.coverage == _NONE:
        return False
    asked = [each for each in (_FINDINGS, _MALICIOUS) if each in subscription.occasions]
    if not any(_count(each, subscription, event) for each in asked):
        return False
    return subscription.new_only or not any(
        _holds(each, subscription, event, None) for each in subscription.occasions
    )


def _holds(occasion: Occasion, subscription: Subscription, event: ScanEvent, answer: Answer | None) -> bool:
    if occasion not in (_FINDINGS, _MALICIOUS):
        return occasion is Occasion.COMPLETED
    if event.coverage == _NONE or (subscription.new_only and event.coverage != _FULL):
        return True
    if not _count(occasion, subscription, event):
        return False
    if occasion is _FINDINGS and not subscription.new_only:
        return True
    if not isinstance(answer, Comparison):
        return answer is not None
    return _shows(occasion, subscription, answer)


def _changed(occasion: Occasion, subscription: Subscription, reevaluated: Reevaluated) -> bool:
    """Tells whether what newer advisories found is an occasion; all else was told when the image was scanned."""
    match occasion:
        case Occasion.FINDINGS:
            return any(reevaluated.new.get(each.value, 0) for each in _severities(occasion, subscription))
        case Occasion.MALICIOUS_SAMPLE:
            return bool(reevaluated.malicious)
        case _:
            return occasion is Occasion.COMPLETED


def _shows(occasion: Occasion, subscription: Subscription, answer: Comparison) -> bool:
    if subscription.new_only and answer.doubt:
        return True
    severities = _severities(occasion, subscription)
    return any(
        of_kind.get(severity, 0)
        for kind, of_kind in (answer.new if subscription.new_only else answer.found).items()
        for severity in severities
        if occasion is _FINDINGS or kind is FindingKind.MALICIOUS_SAMPLE
    )


def _count(occasion: Occasion, subscription: Subscription, event: ScanEvent) -> int:
    """How many findings of any kind may be an occasion."""
    return sum(event.findings.get(each.value, 0) for each in _severities(occasion, subscription))


def _severities(occasion: Occasion, subscription: Subscription) -> tuple[Severity, ...]:
    """Malware is none the better for what its rule is rated."""
    least = 0 if occasion is _MALICIOUS else subscription.min_severity.rank
    return tuple(each for each in Severity if each.rank >= least)


@lru_cache(maxsize=_PATTERNS)
def _compiled(pattern: str) -> TagPattern:
    return compile_pattern(pattern)
