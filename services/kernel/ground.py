"""What every service of a process stands on."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from services.kernel.bus.interface import Bus
    from services.kernel.clock import Clock
    from services.kernel.db import Pool
    from services.kernel.ids import Ids
    from services.kernel.run import Process
    from services.kernel.wakeup import Wakeups


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Process, database, bus, time, ids and metrics: opened once, handed to each service's wiring."""

    process: Process
    url: str
    """Of the database, for what needs a session of its own."""
    pool: Pool
    bus: Bus
    wakeups: Wakeups
    clock: Clock
    ids: Ids
    registry: CollectorRegistry
