"""Why a fix failed as a whole: every reason, and whether trying again can help.

What ends only single findings is no failure: see `plan/outcome.py`. Failures of the registry keep the reasons that
scans have (`kernel/reasons.py`).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from services.kernel.errors import Kind, ServiceError
from services.kernel.reasons import Retry


class FixReason(enum.Enum):
    """Machine-readable reasons; the names stay."""

    # what was asked
    ENGINE_CANNOT_FIX = ("ENGINE_CANNOT_FIX", Retry.NEVER)
    """TRIVY's results are no ground for a fix."""
    NOTHING_TO_FIX = ("NOTHING_TO_FIX", Retry.NEVER)
    """No finding that was asked for can be fixed; the plan says why of each."""
    IMAGE_CHANGED = ("IMAGE_CHANGED", Retry.ON_REQUEST)
    """What the tag holds is not what was scanned."""
    # the image
    SYSTEM_UNKNOWN = ("SYSTEM_UNKNOWN", Retry.NEVER)
    """No package manager that we know."""
    DISTRIBUTION_UNSUPPORTED = ("DISTRIBUTION_UNSUPPORTED", Retry.NEVER)
    END_OF_LIFE = ("END_OF_LIFE", Retry.NEVER)
    DATABASE_CORRUPT = ("DATABASE_CORRUPT", Retry.NEVER)
    """Its package database cannot be read, or contradicts itself."""
    IMAGE_TOO_LARGE = ("IMAGE_TOO_LARGE", Retry.NEVER)
    INDEX_NESTED = ("INDEX_NESTED", Retry.NEVER)
    """Of a platform that an index inside the index leads to."""
    PLATFORM_NOT_SCANNED = ("PLATFORM_NOT_SCANNED", Retry.NEVER)
    # the repositories
    REPOSITORY_UNKNOWN = ("REPOSITORY_UNKNOWN", Retry.ON_REQUEST)
    """Neither the image nor the operator names one."""
    REPOSITORY_REFUSED = ("REPOSITORY_REFUSED", Retry.ON_REQUEST)
    """Its address is not one that may be asked."""
    REPOSITORY_UNREACHABLE = ("REPOSITORY_UNREACHABLE", Retry.AUTOMATIC)
    REPOSITORY_INVALID = ("REPOSITORY_INVALID", Retry.AUTOMATIC)
    """Its index cannot be read, or is larger than one may be."""
    INDEX_UNSIGNED = ("INDEX_UNSIGNED", Retry.ON_REQUEST)
    INDEX_KEY_UNKNOWN = ("INDEX_KEY_UNKNOWN", Retry.ON_REQUEST)
    """Signed, but by no key that we trust for this distribution."""
    INDEX_SIGNATURE_INVALID = ("INDEX_SIGNATURE_INVALID", Retry.ON_REQUEST)
    INDEX_EXPIRED = ("INDEX_EXPIRED", Retry.ON_REQUEST)
    INDEX_TAMPERED = ("INDEX_TAMPERED", Retry.AUTOMATIC)
    """A part of it has not the hash that its signed part says; mirrors in mid-change have that for minutes."""
    PACKAGE_TAMPERED = ("PACKAGE_TAMPERED", Retry.ON_REQUEST)
    PACKAGE_INVALID = ("PACKAGE_INVALID", Retry.NEVER)
    """Its bytes are those that were signed, and are no package that can be unpacked here."""
    # the registry
    TAG_TOO_LONG = ("TAG_TOO_LONG", Retry.NEVER)
    TAG_TAKEN = ("TAG_TAKEN", Retry.ON_REQUEST)
    """The tag to write exists and is not a fix of ours."""
    TAG_MOVED = ("TAG_MOVED", Retry.ON_REQUEST)
    TAG_IMMUTABLE = ("TAG_IMMUTABLE", Retry.ON_REQUEST)
    PUSH_REFUSED = ("PUSH_REFUSED", Retry.ON_REQUEST)
    REGISTRY_READ_ONLY = ("REGISTRY_READ_ONLY", Retry.ON_REQUEST)
    # the proof
    RESCAN_FAILED = ("RESCAN_FAILED", Retry.ON_REQUEST)
    """The fixed image is pushed, and nobody could say what is in it."""
    # ourselves
    DISK_FULL = ("DISK_FULL", Retry.AUTOMATIC)
    FIX_TIMED_OUT = ("FIX_TIMED_OUT", Retry.AUTOMATIC)
    WORKER_DIED = ("WORKER_DIED", Retry.AUTOMATIC)
    INSTANCE_GONE = ("INSTANCE_GONE", Retry.ON_REQUEST)
    CANCELLED = ("CANCELLED", Retry.ON_REQUEST)
    INTERNAL = ("INTERNAL", Retry.AUTOMATIC)

    @property
    def code(self) -> str:
        """The word that goes on the wire."""
        return self.value[0]

    @property
    def retry(self) -> Retry:
        """Whether trying again can help."""
        return self.value[1]


class FixFailure(ServiceError):
    """A fix cannot go on; raised anywhere in it, turned into the task's end state by the worker."""

    def __init__(
        self,
        why: FixReason,
        message: str,
        *,
        hint: str = "",
        retry_after: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        kind = Kind.UNAVAILABLE if why.retry is Retry.AUTOMATIC else Kind.FAILED_PRECONDITION
        super().__init__(kind, why.code, message, hint=hint, retry_after=retry_after, metadata=metadata)
        self.why = why

    def __reduce__(self) -> tuple[object, ...]:
        # It crosses from worker processes by pickle; keyword arguments need a hand.
        return (_rebuild, (self.why, self.message, self.hint, self.retry_after, dict(self.metadata)))


def _rebuild(
    why: FixReason, message: str, hint: str, retry_after: float | None, metadata: dict[str, str]
) -> FixFailure:
    return FixFailure(why, message, hint=hint, retry_after=retry_after, metadata=metadata)
