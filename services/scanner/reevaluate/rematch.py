"""Matching again: stored inventories against the current advisories. Runs in a worker process."""

from __future__ import annotations

from datetime import datetime, timedelta

from services.scanner.advisories.database import AdvisoryDatabase
from services.scanner.inventory import StoredInventory, Verdict, pack_verdict, unpack_inventory, unpack_verdict
from services.scanner.pipeline.judge import advisories_info, current_database
from services.scanner.pipeline.match import match
from services.scanner.records import StoredReport
from services.scanner.reevaluate.compare import compare
from services.scanner.reevaluate.records import Comparison, Rematch, RematchCase, Rematched, Unmatched
from services.scanner.reports import outcome_of_verdict, read_report, with_verdict

INVENTORY_UNREADABLE = "INVENTORY_UNREADABLE"
MATCHING_BROKE = "MATCHING_BROKE"


def rematch(case: RematchCase) -> Rematch:
    """Matches the inventories of a case; one that cannot be is told, and costs the others nothing.

    Raises:
        ServiceError: the advisories cannot be read.
    """
    database = current_database(case.data)
    answers = tuple(_answer(digest, content, database, case) for digest, content in case.inventories.items())
    return Rematch(version=database.meta.version, answers=answers)


def verdict_on(
    inventory: StoredInventory, database: AdvisoryDatabase, *, now: datetime, max_age: timedelta
) -> Verdict:
    """Returns what a scan would say of the same packages at this moment."""
    matched = match(
        inventory.distribution,
        inventory.packages,
        database,
        unread=inventory.unread,
        now=now,
        max_age=max_age,
    )
    return Verdict(
        findings=tuple(finding for finding in matched.findings if finding.kind in inventory.kinds),
        coverage=matched.coverage,
        coverage_reason=matched.coverage_reason,
        warnings=matched.warnings,
    )


def compare_stored(report: StoredReport, verdict: bytes) -> Comparison:
    """Returns what a verdict says otherwise than a stored report on the same inventory."""
    before = read_report(report)
    return compare(before, with_verdict(before, unpack_verdict(verdict)))


def _answer(digest: str, content: bytes, database: AdvisoryDatabase, case: RematchCase) -> Rematched | Unmatched:
    try:
        inventory = unpack_inventory(content)
    except ValueError:
        return Unmatched(
            inventory=digest, reason=INVENTORY_UNREADABLE, message="What its scan kept of it cannot be read."
        )
    try:
        verdict = verdict_on(inventory, database, now=case.now, max_age=case.max_age)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - one that a fault of ours breaks on must not keep all others back
        return Unmatched(
            inventory=digest,
            reason=MATCHING_BROKE,
            message=f"Matching stopped because of a fault of ours ({type(error).__name__}).",
        )
    identity, packed = pack_verdict(verdict)
    outcome = outcome_of_verdict(verdict, database.meta.version)
    return Rematched(
        inventory=digest,
        verdict=identity,
        content=packed,
        advisories=advisories_info(database.meta, inventory.packages),
        outcome=outcome,
    )
