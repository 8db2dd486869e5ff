"""What tells findings, on one process."""

from __future__ import annotations

from services.kernel.ground import Ground
from services.kernel.outbox import Outbox, OutboxRelay
from services.kernel.retention import every
from services.scanner.advisories.files import AdvisoryFiles
from services.scanner.stream.metrics import StreamMetrics
from services.scanner.stream.reads import StreamReads
from services.scanner.stream.store import StreamStore
from services.scanner.stream.teller import FindingTeller

_SHORT_SECONDS = 60.0


def start_stream(ground: Ground, *, files: AdvisoryFiles, tells: bool) -> StreamReads:
    """Starts what tells findings, if it is to, and returns what reads them."""
    process, store = ground.process, StreamStore()
    stopping, outbox = process.stopping, Outbox("scanner", "finding_outbox")
    teller = FindingTeller(
        pool=ground.pool,
        store=store,
        outbox=outbox,
        files=files,
        clock=ground.clock,
        metrics=StreamMetrics(ground.registry),
        state=ground.bus.compacts,
    )
    if tells:
        process.start("scanner findings", teller.run(ground.wakeups, stopping))
        relay = OutboxRelay(ground.url, ground.bus, outbox, ground.wakeups)
        process.start("scanner findings relay", relay.run(stopping))
    else:
        name = "scanner findings kept short"
        process.start(name, every(_SHORT_SECONDS, teller.keep_short, stopping, name=name))
    return StreamReads(ground.pool, store, ground.bus)
