"""Work that an outage of the database interrupts is done all the same."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from services.kernel import outages
from services.kernel.errors import Kind, ServiceError
from services.kernel.outages import through_outages


class Work:
    """Fails with each of the errors, one after another, then does well."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.tries = 0

    async def __call__(self) -> None:
        self.tries += 1
        if self._errors:
            raise self._errors.pop(0)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "_AGAIN_SECONDS", 0.0)


async def test_work_is_done_anew_after_every_outage() -> None:
    work = Work(
        asyncpg.InterfaceError("cannot call Transaction.__aexit__(): the underlying connection is closed"),
        asyncpg.ConnectionDoesNotExistError("gone"),
    )
    assert await through_outages(work, asyncio.Event())
    assert work.tries == 3


@pytest.mark.parametrize(
    "error", [ValueError("ours"), ServiceError(Kind.UNAVAILABLE, "AWAY", "Somebody else is away.")]
)
async def test_what_waiting_does_not_mend_is_raised(error: Exception) -> None:
    with pytest.raises(type(error)):
        await through_outages(Work(error), asyncio.Event())


async def test_whoever_is_told_to_stop_waits_no_longer() -> None:
    stopping = asyncio.Event()

    async def work() -> None:
        stopping.set()
        raise ConnectionRefusedError

    assert not await through_outages(work, stopping)
