"""Engines of instances for tests, and what scanners say."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from services.kernel.clock import Clock
from services.kernel.db import Pool
from services.kernel.secrets import SecretBox
from services.rules.access import Passwords
from services.rules.engines.api import Part, PartHealth, ScannerReport
from services.rules.engines.entitlement import EntitlementRecord
from services.rules.engines.lifecycle import Engines, Look
from services.rules.engines.store import EngineStore
from services.rules.store import RulesStore


def some_engines(
    pool: Pool, clock: Clock, *, box: SecretBox, look: Look, entitlement: Path | None = None
) -> Engines:
    return Engines(
        pool=pool,
        store=EngineStore(),
        rules=RulesStore(),
        passwords=Passwords(box),
        entitlement=EntitlementRecord(entitlement),
        look=look,
        clock=clock,
        pull_seconds=3600.0,
    )


def a_part(part: Part, *, ready: bool = True, **fields: object) -> PartHealth:
    return dataclasses.replace(PartHealth(part=part, ready=ready), **fields)  # type: ignore[arg-type] # its fields


def a_report(*parts: PartHealth, node_id: str = "scanner-1", valid_seconds: float = 50.0) -> ScannerReport:
    return ScannerReport(node_id=node_id, valid_seconds=valid_seconds, parts=parts)


OURS = (a_part(Part.ADVISORIES), a_part(Part.RULE_PACKS))
"""All that SECURITY_CENTER needs of a scanner."""
