"""What a walk writes down of what it could not read."""

from __future__ import annotations

from services.kernel.model.reference import RepositoryName
from services.kernel.reasons import Reason, ScanFailure
from services.rules.sync.store import Progress

_LONGEST_MESSAGE = 1000


def note(failure: ScanFailure, *, about: str = "", skipped: int = 0) -> Progress:
    """Tells of a failure."""
    message = f"{about}{failure.sentence()}"[:_LONGEST_MESSAGE]
    return Progress(skipped=skipped, reason=failure.reason, message=message)


def too_many_repositories(limit: int) -> Progress:
    """Tells that the rest of a catalogue was not read."""
    return Progress(
        reason="TOO_MANY_REPOSITORIES",
        message=f"The registry has more than {limit} repositories: set DRYDOCK_RULES_SYNC_REPOSITORIES higher.",
    )


def endless_catalogue(limit: int) -> Progress:
    """Tells that a catalogue was left."""
    return Progress(
        reason=Reason.REGISTRY_ERROR.code,
        message=f"The registry's catalogue has no end: it has more than {limit:,} pages. "
        "The registry, or a proxy, is broken.",
    )


def too_many_tags(name: RepositoryName, limit: int) -> Progress:
    """Tells that a repository was skipped for its size."""
    return Progress(
        skipped=1,
        reason="TOO_MANY_TAGS",
        message=f"{name.path} has more than {limit:,} tags: set DRYDOCK_RULES_SYNC_TAGS higher.",
    )
