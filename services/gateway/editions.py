"""Which instances may be asked about scans or heard from: those there are, of the Enterprise Edition."""

from __future__ import annotations

from collections import OrderedDict

from services.kernel.clock import Clock
from services.kernel.model.edition import edition_not_supported
from services.rules.api import Edition, Instance, RulesApi

_TTL_SECONDS = 5.0
_MAX_REMEMBERED = 1024


class Editions:
    """Looks instances up, and remembers Enterprise ones for a moment: a status call stays one indexed read.

    What is deleted or made personal counts as it was for 5 seconds at most.
    """

    def __init__(self, rules: RulesApi, clock: Clock) -> None:
        self._rules = rules
        self._clock = clock
        self._known: OrderedDict[str, tuple[Instance, float]] = OrderedDict()

    async def enterprise(self, instance_id: str) -> Instance:
        """Returns an instance of the Enterprise Edition.

        Raises:
            ServiceError: INSTANCE_NOT_EXIST, EDITION_NOT_SUPPORTED.
        """
        now = self._clock.monotonic()
        known = self._known.get(instance_id)
        if known is not None and now < known[1]:
            return known[0]
        instance = await self._rules.get_instance(instance_id)
        if instance.edition is not Edition.ENTERPRISE:
            raise edition_not_supported(instance.name)
        self._known[instance_id] = (instance, now + _TTL_SECONDS)
        self._known.move_to_end(instance_id)
        while len(self._known) > _MAX_REMEMBERED:
            self._known.popitem(last=False)
        return instance
