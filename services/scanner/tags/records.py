"""What the sync reads and writes: subjects that may be gone, questions about them, and what went."""

from __future__ import annotations

import dataclasses
import enum
from datetime import datetime

from services.kernel.model.reference import RepositoryName


class Cause(enum.Enum):
    """Why results go."""

    TAG_DELETED = "TAG_DELETED"
    DIGEST_DELETED = "DIGEST_DELETED"
    REPOSITORY_DELETED = "REPOSITORY_DELETED"
    INSTANCE_DELETED = "INSTANCE_DELETED"
    """Drydock was told to forget it; the registry may have all that it had."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A tag, else a digest, else a repository, else an instance: whatever is named last."""

    instance_id: str
    repo_id: str = ""
    namespace: str = ""
    repository: str = ""
    tag: str = ""
    digest: str = ""
    """Empty when a tag is meant."""

    @property
    def name(self) -> RepositoryName:
        """The repository."""
        return RepositoryName(namespace=self.namespace, name=self.repository)

    @property
    def cause(self) -> Cause:
        """Why its results go when it is gone."""
        if self.tag:
            return Cause.TAG_DELETED
        if self.digest:
            return Cause.DIGEST_DELETED
        return Cause.REPOSITORY_DELETED if self.repo_id else Cause.INSTANCE_DELETED


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TagQuestion:
    """Something whose registry is to be asked whether it has it, and with which digest."""

    subject: Subject
    heard: int
    """Reasons to ask that there were when it was taken up."""
    noted_at: datetime
    revision: int | None
    """Of the tag, or the latest in the repository, when it was taken up; None where we knew no tag."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """Something that is gone, and what became of its results."""

    removal_id: str
    subject: Subject
    """With the digest that a tag had."""
    cause: Cause
    noted_at: datetime
    due_at: datetime
    """From when on its results may go."""
    ended_at: datetime | None = None
    """When the last of them went; None: not yet."""
    tasks: int = 0
    reports: int = 0
