"""Why a scan failed: every reason, and whether trying again can help."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from services.kernel.errors import Kind, ServiceError


class Retry(enum.Enum):
    """What to do after a failure."""

    NEVER = "NEVER"
    """The content itself is at fault; the verdict is remembered for the digest."""
    ON_REQUEST = "ON_REQUEST"
    """Somebody has to change something first; a new push or a person's task tries again."""
    AUTOMATIC = "AUTOMATIC"
    """It may pass by itself: tried again with back-off, a bounded number of times."""


class Reason(enum.Enum):
    """Machine-readable reasons; the names stay."""

    # the registry
    REGISTRY_UNREACHABLE = ("REGISTRY_UNREACHABLE", Retry.AUTOMATIC)
    REGISTRY_TIMEOUT = ("REGISTRY_TIMEOUT", Retry.AUTOMATIC)
    REGISTRY_RATE_LIMITED = ("REGISTRY_RATE_LIMITED", Retry.AUTOMATIC)
    REGISTRY_ERROR = ("REGISTRY_ERROR", Retry.AUTOMATIC)
    REGISTRY_UNAUTHORIZED = ("REGISTRY_UNAUTHORIZED", Retry.ON_REQUEST)
    REGISTRY_FORBIDDEN = ("REGISTRY_FORBIDDEN", Retry.ON_REQUEST)
    REGISTRY_REALM_REFUSED = ("REGISTRY_REALM_REFUSED", Retry.ON_REQUEST)
    REGISTRY_REDIRECT_REFUSED = ("REGISTRY_REDIRECT_REFUSED", Retry.ON_REQUEST)
    REGISTRY_CATALOG_REFUSED = ("REGISTRY_CATALOG_REFUSED", Retry.ON_REQUEST)
    IMAGE_NOT_FOUND = ("IMAGE_NOT_FOUND", Retry.ON_REQUEST)
    BLOB_NOT_FOUND = ("BLOB_NOT_FOUND", Retry.ON_REQUEST)
    TRANSFER_CUT_OFF = ("TRANSFER_CUT_OFF", Retry.AUTOMATIC)
    DIGEST_MISMATCH = ("DIGEST_MISMATCH", Retry.AUTOMATIC)
    # the image
    ARCHIVE_INVALID = ("ARCHIVE_INVALID", Retry.NEVER)
    MANIFEST_INVALID = ("MANIFEST_INVALID", Retry.NEVER)
    MANIFEST_TOO_LARGE = ("MANIFEST_TOO_LARGE", Retry.NEVER)
    CONFIG_INVALID = ("CONFIG_INVALID", Retry.NEVER)
    NOT_AN_IMAGE = ("NOT_AN_IMAGE", Retry.NEVER)
    EMPTY_INDEX = ("EMPTY_INDEX", Retry.NEVER)
    PLATFORM_NOT_FOUND = ("PLATFORM_NOT_FOUND", Retry.NEVER)
    UNSUPPORTED_MEDIA_TYPE = ("UNSUPPORTED_MEDIA_TYPE", Retry.NEVER)
    TOO_MANY_LAYERS = ("TOO_MANY_LAYERS", Retry.NEVER)
    # a layer
    DIFF_ID_MISMATCH = ("DIFF_ID_MISMATCH", Retry.NEVER)
    LAYER_CORRUPT = ("LAYER_CORRUPT", Retry.NEVER)
    LAYER_TOO_LARGE = ("LAYER_TOO_LARGE", Retry.NEVER)
    LAYER_EXPANDS_TOO_FAR = ("LAYER_EXPANDS_TOO_FAR", Retry.NEVER)
    LAYER_TOO_MANY_ENTRIES = ("LAYER_TOO_MANY_ENTRIES", Retry.NEVER)
    LAYER_PATH_TOO_DEEP = ("LAYER_PATH_TOO_DEEP", Retry.NEVER)
    # ourselves
    SCAN_TIMED_OUT = ("SCAN_TIMED_OUT", Retry.AUTOMATIC)
    WORKER_DIED = ("WORKER_DIED", Retry.AUTOMATIC)
    SPOOL_FULL = ("SPOOL_FULL", Retry.AUTOMATIC)
    ADVISORIES_MISSING = ("ADVISORIES_MISSING", Retry.AUTOMATIC)
    # Trivy
    TRIVY_MISSING = ("TRIVY_MISSING", Retry.AUTOMATIC)
    TRIVY_DATABASE_MISSING = ("TRIVY_DATABASE_MISSING", Retry.AUTOMATIC)
    TRIVY_DATABASE_BROKEN = ("TRIVY_DATABASE_BROKEN", Retry.AUTOMATIC)
    TRIVY_JAVA_DATABASE_MISSING = ("TRIVY_JAVA_DATABASE_MISSING", Retry.ON_REQUEST)
    TRIVY_SERVER_UNREACHABLE = ("TRIVY_SERVER_UNREACHABLE", Retry.AUTOMATIC)
    TRIVY_KILLED = ("TRIVY_KILLED", Retry.AUTOMATIC)
    TRIVY_TIMED_OUT = ("TRIVY_TIMED_OUT", Retry.AUTOMATIC)
    TRIVY_FAILED = ("TRIVY_FAILED", Retry.AUTOMATIC)
    TRIVY_OUTPUT_INVALID = ("TRIVY_OUTPUT_INVALID", Retry.AUTOMATIC)
    TRIVY_OUTPUT_TOO_LARGE = ("TRIVY_OUTPUT_TOO_LARGE", Retry.ON_REQUEST)
    # more of ourselves
    PRECONDITION_FAILED = ("PRECONDITION_FAILED", Retry.ON_REQUEST)
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

    @property
    def of_repository(self) -> bool:
        """Whether it tells of the repository that was asked, and nothing of another one with the same content."""
        return self.code.startswith("REGISTRY_") or self in (
            Reason.IMAGE_NOT_FOUND,
            Reason.BLOB_NOT_FOUND,
            Reason.TRANSFER_CUT_OFF,
            Reason.DIGEST_MISMATCH,
        )


INSTANCE_REFUSALS = frozenset({"INSTANCE_NOT_EXIST", "EDITION_NOT_SUPPORTED"})
"""Reasons for which an instance's registry may not be asked, now or later."""


class ScanFailure(ServiceError):
    """A scan cannot go on; raised anywhere in the pipeline, turned into the scan's end state by the worker."""

    def __init__(
        self,
        why: Reason,
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
    why: Reason, message: str, hint: str, retry_after: float | None, metadata: dict[str, str]
) -> ScanFailure:
    return ScanFailure(why, message, hint=hint, retry_after=retry_after, metadata=metadata)
