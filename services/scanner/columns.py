"""Turns records into the columns of the scanner's tables."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from services.kernel.model.engine import Engine
from services.kernel.model.severity import Severity
from services.scanner.records import ImageAddress, Outcome, TaskRecord

_LONGEST_MESSAGE = 2000


def task_columns(task: TaskRecord) -> tuple[object, ...]:
    """Returns a task as the statement that inserts it takes it."""
    image = task.image
    return (
        task.task_id,
        image.instance_id,
        image.repo_id,
        image.namespace,
        image.repository,
        image.tag,
        image.digest,
        task.engine.value,
        task.scan_id,
        task.outcome.state.value,
        list(task.rule_ids),
        list(task.target_ids),
        task.traceparent,
        task.created_at,
        task.run_id or None,
        task.loan or None,
    )


def tag_columns(image: ImageAddress) -> tuple[str, ...]:
    """Returns the key of a tag, and what it is of."""
    return (image.repo_id, image.tag, image.instance_id, image.namespace, image.repository, image.digest)


def outcome_columns(outcome: Outcome) -> tuple[str, ...]:
    """Returns how a scan or a task stands."""
    return (
        outcome.state.value,
        outcome.reason,
        message_column(outcome.message),
        outcome.coverage.value if outcome.coverage else "",
        counts_column(outcome.findings),
        outcome.advisories_version,
    )


def message_column(message: str) -> str:
    """Returns a sentence as a column takes it: parts of it may come from an image."""
    return message.replace("\0", "\N{REPLACEMENT CHARACTER}")[:_LONGEST_MESSAGE]


def word_column(engine: Engine | None) -> str:
    """Returns an engine, or nothing where none is known."""
    return engine.value if engine is not None else ""


def counts_column(counts: Mapping[Severity, int]) -> str:
    """Writes counts as the column has them."""
    return msgspec.json.encode({severity.value: count for severity, count in counts.items()}).decode()
