"""Retention as a service wires it, with a small batch."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from services.kernel.clock import Clock
from services.kernel.db import Pool
from services.kernel.retention import Aging, Retention


def retention_of(schema: str, agings: Sequence[Aging], pool: Pool, clock: Clock, *, batch: int = 3) -> Retention:
    """Deletes what is old by that clock."""
    return Retention(schema, agings, pool=pool, clock=clock, batch=batch, registry=CollectorRegistry())
