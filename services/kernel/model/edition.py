"""What the personal edition is refused, in one sentence for every door."""

from __future__ import annotations

from services.kernel.errors import Kind, ServiceError


def edition_not_supported(name: str) -> ServiceError:
    """Returns the error of asking a personal instance for a scan, or for a rule that would start one."""
    return ServiceError(
        Kind.FAILED_PRECONDITION,
        "EDITION_NOT_SUPPORTED",
        f"Instance {name!r} is of the personal edition, whose images are not scanned.",
        hint="Change its edition to enterprise.",
    )
