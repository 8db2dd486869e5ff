"""What rules reads from the bus and what it puts there."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime

from services.kernel.model.digest import Digest
from services.kernel.model.engine import Engine
from services.kernel.model.reference import RepositoryName


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TagPushed:
    """A tag was pushed to a registry."""

    event_id: str
    instance_id: str
    repository: RepositoryName
    tag: str
    digest: Digest
    revision: int
    traceparent: str = ""
    """Trace that it belongs to; empty where none is known."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TagListing:
    """What a walk found in a repository."""

    repository: RepositoryName
    tags: Mapping[str, Digest]
    """Some of its tags, with what they have."""
    walk: int
    began_at: datetime
    """When the walk began."""
    last: bool
    """Whether all other tags were told of before."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ScanRequest:
    """What the scanner is asked to do: one task on one image."""

    task_id: str
    instance_id: str
    repo_id: str
    repository: RepositoryName
    tag: str
    digest: Digest
    revision: int
    engine: Engine
    rule_ids: tuple[str, ...]
    """Sorted."""
    target_ids: tuple[str, ...]
    """Sorted: those of the rules now, at the time of the push."""
    requested_at: datetime
    bulk: bool = False
    """One of many that somebody asked for at once: it waits behind whatever is urgent."""
    run_id: str = ""
    """Of the run that asks; empty for a push."""
    asked_at: datetime | None = None
    """When the registry was asked what the tag has; None for a push."""
    traceparent: str = ""
    """Trace of the event that it follows from."""
