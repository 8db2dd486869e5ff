"""What the notifier counts."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram

from services.notifier.channels.interface import Verdict


class Decided(enum.Enum):
    """What becomes of an event for a target."""

    TOLD = "TOLD"
    HELD = "HELD"
    """It is told at the end of a window."""
    ASKED = "ASKED"
    """The scanner must say first what is new."""
    PASSED = "PASSED"
    """It is no occasion."""
    REPEATED = "REPEATED"
    """It was decided on before."""


_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class NotifierMetrics:
    """Counters and durations; their labels are closed sets."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._attempts = Counter(
            "drydock_notifier_attempts", "Attempts by verdict.", ("verdict",), registry=registry
        )
        self._delivered = Histogram(
            "drydock_notifier_delivery_seconds",
            "From hearing of an event, or its replay, to its arrival.",
            buckets=(*_BUCKETS, 60.0, 300.0, 3600.0),
            registry=registry,
        )
        self._dead = Counter("drydock_notifier_dead_deliveries", "Deliveries given up.", registry=registry)
        self._seconds = Histogram(
            "drydock_notifier_attempt_seconds", "Duration of attempts.", buckets=_BUCKETS, registry=registry
        )
        for verdict in Verdict:
            self._attempts.labels(verdict.value)

    def attempted(self, verdict: Verdict, seconds: float) -> None:
        """Counts one attempt."""
        self._attempts.labels(verdict.value).inc()
        self._seconds.observe(seconds)

    def arrived(self, seconds: float) -> None:
        """Counts one delivery that the target has."""
        self._delivered.observe(max(seconds, 0.0))

    def died(self) -> None:
        """Counts one delivery that was given up."""
        self._dead.inc()


class TellingMetrics:
    """What becomes of events, and how late they are heard of."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._decisions = Counter(
            "drydock_notifier_decisions",
            "What became of an event for one target, when it was heard of.",
            ("decision",),
            registry=registry,
        )
        self._lag = Histogram(
            "drydock_notifier_event_lag_seconds",
            "From the end of a scan to its deliveries.",
            buckets=_BUCKETS,
            registry=registry,
        )
        for decision in Decided:
            self._decisions.labels(decision.value)

    def heard(self, lag_seconds: float) -> None:
        """Counts one event that was written down."""
        self._lag.observe(max(lag_seconds, 0.0))

    def decided(self, tally: Mapping[Decided, int]) -> None:
        """Counts what became of events."""
        for decision, count in tally.items():
            self._decisions.labels(decision.value).inc(count)


class Answered(enum.Enum):
    """How a question to the scanner went."""

    COMPARED = "COMPARED"
    """It says what is new."""
    DOUBTFUL = "DOUBTFUL"
    """It says what is new, and that there may be more."""
    UNANSWERED = "UNANSWERED"
    """Nobody can say, or not in time: the target is told."""
    POSTPONED = "POSTPONED"


class InquiryMetrics:
    """How questions to the scanner go."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._answers = Counter(
            "drydock_notifier_inquiries", "Questions to the scanner by answer.", ("answer",), registry=registry
        )
        self._seconds = Histogram(
            "drydock_notifier_inquiry_seconds",
            "From hearing of an event to the answer on what is new.",
            buckets=(*_BUCKETS, 60.0, 300.0, 900.0),
            registry=registry,
        )
        for answer in Answered:
            self._answers.labels(answer.value)

    def asked(self, answer: Answered, age_seconds: float) -> None:
        """Counts one question."""
        self._answers.labels(answer.value).inc()
        if answer is not Answered.POSTPONED:
            self._seconds.observe(age_seconds)
