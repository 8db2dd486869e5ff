"""What the sync counts."""

from __future__ import annotations

import enum

from prometheus_client import CollectorRegistry, Counter

from services.scanner.tags.records import Cause


class Found(enum.Enum):
    """What came of a question to a registry."""

    AS_KNOWN = "as_known"
    NEW = "new"
    """A tag that nobody had told of."""
    MOVED = "moved"
    GONE = "gone"
    OUTDATED = "outdated"
    """A push came in meanwhile: it is asked again."""
    POSTPONED = "postponed"
    """The registry does not answer now."""
    UNTOLD = "untold"
    """The registry does not tell, or not us: all stays as it is."""
    NOT_SYNCED = "not_synced"
    """The instance is not kept in step, or is gone: all stays as it is."""


class SyncMetrics:
    """Counters; their labels are closed sets."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._questions = Counter(
            "drydock_scanner_sync_questions",
            "Questions to registries whether they have something, by what came of them.",
            ("found",),
            registry=registry,
        )
        self._removals = Counter(
            "drydock_scanner_sync_removals", "What was found to be gone, by cause.", ("cause",), registry=registry
        )
        self._purged = Counter(
            "drydock_scanner_sync_purged",
            "What went with it after the grace period.",
            ("what",),
            registry=registry,
        )
        for found in Found:
            self._questions.labels(found.value)
        for cause in Cause:
            self._removals.labels(cause.value)
        for what in ("tasks", "reports"):
            self._purged.labels(what)

    def asked(self, found: Found) -> None:
        """Counts a question."""
        self._questions.labels(found.value).inc()

    def removed(self, cause: Cause, count: int = 1) -> None:
        """Counts what was found to be gone."""
        self._removals.labels(cause.value).inc(count)

    def purged(self, *, tasks: int, reports: int) -> None:
        """Counts what went with it."""
        self._purged.labels("tasks").inc(tasks)
        self._purged.labels("reports").inc(reports)
