"""What holds newer advisories against what is known of images, on one process."""

from __future__ import annotations

from pathlib import Path

from services.kernel.ground import Ground
from services.kernel.workers.pool import WorkerPool
from services.scanner.bounds import ScanBounds
from services.scanner.reevaluate.evaluator import Advisories, Reevaluator
from services.scanner.reevaluate.matching import Matcher
from services.scanner.reevaluate.metrics import ReevaluationMetrics
from services.scanner.reevaluate.store import ReevaluationStore
from services.scanner.reevaluate.write import VerdictWriter
from services.scanner.store import ScannerStore
from services.scanner.tasks.tell import TaskTeller
from services.scanner.trivy.watch import TrivyWatch
from services.scanner.work.lanes import Slots


def make_reevaluator(
    ground: Ground,
    *,
    scans: ScannerStore,
    teller: TaskTeller,
    advisories: Advisories,
    trivy: TrivyWatch,
    workers: WorkerPool,
    slots: Slots,
    data: Path,
    bounds: ScanBounds,
) -> Reevaluator:
    """Returns the re-evaluator; nothing is matched yet."""
    store = ReevaluationStore()
    return Reevaluator(
        pool=ground.pool,
        store=store,
        advisories=advisories,
        trivy=trivy,
        matcher=Matcher(
            pool=ground.pool,
            store=store,
            scans=scans,
            workers=workers,
            data=data,
            max_age=bounds.advisory_age,
            seconds=bounds.match_seconds,
            clock=ground.clock,
        ),
        writer=VerdictWriter(pool=ground.pool, store=store, scans=scans, teller=teller, clock=ground.clock),
        slots=slots,
        metrics=ReevaluationMetrics(ground.registry),
        at_once=bounds.worker_processes,
        max_age=bounds.advisory_age,
    )
