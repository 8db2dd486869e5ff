"""What the gateway keeps, and for how long: `docs/retention.md`."""

from __future__ import annotations

from collections.abc import Sequence

from services.gateway.settings import GatewaySettings
from services.kernel.retention import Aging
from services.kernel.sql import load_queries

_Q = load_queries("services.gateway")


def agings(settings: GatewaySettings) -> Sequence[Aging]:
    """Returns all that ages. A new table is a line here, with its queries in `sql/retention.sql`."""
    return (Aging(table="audit", days=settings.audit_days, window=_Q["old_audit"], forget=[_Q["forget_audit"]]),)
