"""The processes of Drydock with somebody who starts again what was killed, and notes what ended by itself."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import shutil
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from services.kernel.embedded.process import tail
from tests.chaos.database import Database, Line, line_to
from tests.commandline import PROGRAM
from tests.processes import Fleet, Served

ROLES = ("rules", "scanner", "scanner", "fixer", "fixer", "notifier", "notifier", "gateway")
FEWER = ("rules", "scanner", "scanner", "fixer", "notifier", "notifier", "gateway")
"""Where a run must not take long."""
_CHILD = Path(__file__).with_name("child")
_LOOK_SECONDS = 0.25
_READY_SECONDS = 150.0
"""Many processes start at once, on a machine that may have other work."""
SPOOL_BYTES = 1 << 20
"""Size of the file system of a scanner's spool."""


@dataclasses.dataclass(kw_only=True)
class Hand:
    """One process, its own way to the database, its own clock, and what was done to it."""

    name: str
    served: Served
    line: Line
    clock: Path
    kills: int = 0
    deaths: list[str] = dataclasses.field(default_factory=list)
    """Ends of its log, for each time that it ended by itself."""
    busy: asyncio.Lock = dataclasses.field(default_factory=asyncio.Lock)
    """Held while something is done to it."""

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal, if it lives."""
        process = self.served.process
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(number)

    async def kill(self) -> None:
        """Ends it as a power cut does; whoever calls holds `busy` and starts it again."""
        assert self.served.process is not None
        self.signal(signal.SIGKILL)
        await self.served.process.wait()
        self.kills += 1

    @property
    def spool(self) -> Path | None:
        """Its spool as it sees it; None where it has no disk of its own."""
        process = self.served.process
        if self.served.role != "scanner" or process is None or not _can_mount():
            return None
        return Path(f"/proc/{process.pid}/root") / str(self.served.data / "spool").lstrip("/")


class Crew:
    """All hands."""

    def __init__(self, fleet: Fleet, hands: Sequence[Hand]) -> None:
        self.fleet = fleet
        self.hands = tuple(hands)

    def named(self, name: str) -> Hand:
        """Returns a hand."""
        return next(hand for hand in self.hands if hand.name == name)

    async def start(self, hand: Hand) -> None:
        """Starts a process, without waiting for it."""
        hand.served.environment = with_clock(self.fleet.environment(database_url=hand.line.url), hand.clock)
        if hand.served.role == "scanner" and _can_mount():
            await _start_on_own_disk(hand.served)
        else:
            await hand.served.start()

    async def watch(self) -> None:
        """Starts again, for ever, what ended without our doing."""
        while True:
            for hand in self.hands:
                process = hand.served.process
                if not hand.busy.locked() and process is not None and process.returncode is not None:
                    hand.deaths.append(f"status {process.returncode}: {tail(hand.served.log)}")
                    await self.start(hand)
            await asyncio.sleep(_LOOK_SECONDS)

    async def ready(self) -> None:
        """Waits until every process says that it is ready."""
        await asyncio.gather(*(hand.served.until_ready(_READY_SECONDS) for hand in self.hands))


def with_clock(environment: Mapping[str, str], clock: Path) -> dict[str, str]:
    """Returns the environment of a process whose clock is wrong by the seconds in a file."""
    return {**environment, "PYTHONPATH": str(_CHILD), "CHAOS_CLOCK": str(clock)}


async def _start_on_own_disk(served: Served) -> None:
    """Starts a scanner whose spool is a small file system of its own, which only its mount namespace has."""
    spool = served.data / "spool"
    spool.mkdir(parents=True, exist_ok=True)
    mount = f'mount -t tmpfs -o size={SPOOL_BYTES},mode=0700 tmpfs "$0" && exec "$@"'
    command = [str(PROGRAM), "serve", served.role, "--data", str(served.data), "--grpc", served.grpc]
    command += ["--monitoring", served.monitoring]
    with served.log.open("ab") as log:
        served.process = await asyncio.create_subprocess_exec(
            "unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, str(spool), *command,
            stdout=log, stderr=log, env=served.environment,
        )  # fmt: skip


def _can_mount() -> bool:
    """Whether this machine lets ordinary users mount in a namespace of their own."""
    global _mounts  # noqa: PLW0603 - asked once
    if _mounts is None:
        probe = "unshare --user --map-root-user --mount mount -t tmpfs tmpfs /mnt 2>/dev/null"
        _mounts = shutil.which("unshare") is not None and os.system(probe) == 0  # noqa: S605 - fixed
    return _mounts


_mounts: bool | None = None


@asynccontextmanager
async def crew_of(fleet: Fleet, database: Database, folder: Path) -> AsyncIterator[Crew]:
    """Starts a process for each planned one and keeps them going until the end of the block."""
    async with AsyncExitStack() as stack:
        hands: list[Hand] = []
        for served in fleet.served:
            copies = sum(hand.served.role == served.role for hand in hands)
            name = f"{served.role}-{copies + 1}"
            clock = folder / f"{name}.clock"
            clock.write_text("0")
            line = await stack.enter_async_context(line_to(database))
            hands.append(Hand(name=name, served=served, line=line, clock=clock))
        crew = Crew(fleet, hands)
        for hand in hands:
            await crew.start(hand)
        await crew.ready()
        watching = asyncio.create_task(crew.watch(), name="crew")
        try:
            yield crew
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            for hand in hands:
                hand.signal(signal.SIGCONT)
