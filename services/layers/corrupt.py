"""The failure that damaged layer bytes end in."""

from __future__ import annotations

from services.kernel.reasons import Reason, ScanFailure


def corrupt(what: str) -> ScanFailure:
    """Returns LAYER_CORRUPT; `what` says what was wrong and at which byte."""
    return ScanFailure(
        Reason.LAYER_CORRUPT,
        f"The layer cannot be read: {what}.",
        hint="The image is damaged: build and push it again.",
    )
