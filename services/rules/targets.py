"""Whether targets exist: the notifier knows, and its silence is no answer."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from services.kernel.db import is_outage
from services.kernel.errors import Kind, ServiceError
from services.notifier.api import NotifierApi

_SILENT = frozenset({Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED})


class TargetCheck:
    """Asks the notifier, in this process or across the network, within a deadline."""

    def __init__(self, notifier: NotifierApi, *, seconds: float) -> None:
        self._notifier = notifier
        self._seconds = seconds

    async def check(self, target_ids: Collection[str]) -> None:
        """Returns when every target exists; asks nobody about none.

        Raises:
            ServiceError: TARGET_NOT_EXIST, TOO_MANY_TARGETS; NOTIFIER_UNAVAILABLE when nobody can tell.
        """
        if not target_ids:
            return
        try:
            async with asyncio.timeout(self._seconds):
                await self._notifier.check_targets(target_ids)
        except ServiceError as error:
            if error.kind in _SILENT:
                raise _unavailable() from error
            raise
        except Exception as error:
            if is_outage(error):
                raise _unavailable() from error
            raise


def _unavailable() -> ServiceError:
    return ServiceError(
        Kind.UNAVAILABLE,
        "NOTIFIER_UNAVAILABLE",
        "The notifier does not answer, so nobody can tell whether the targets exist; nothing was saved.",
        hint="Try again in a few seconds.",
        retry_after=2.0,
    )
