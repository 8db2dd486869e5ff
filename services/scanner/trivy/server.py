"""A Trivy server: which version it is, and of when its database is (Trivy, pkg/rpc/server/listen.go)."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import datetime
from typing import Final

import msgspec

from services.kernel.reasons import Reason, ScanFailure
from services.scanner.trivy.database import TrivyDatabase, dated

_ANSWER_SECONDS: Final = 10.0
_MAX_ANSWER: Final = 64 << 10


class _Database(msgspec.Struct, rename="pascal"):
    updated_at: datetime | None = None


class _Answer(msgspec.Struct):
    version: str = msgspec.field(default="", name="Version")
    database: _Database | None = msgspec.field(default=None, name="VulnerabilityDB")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A Trivy server that answers."""

    version: str
    database: TrivyDatabase


async def ask_server(address: str) -> Server:
    """Asks a server what it is; it wants no token for that.

    Raises:
        ScanFailure: TRIVY_SERVER_UNREACHABLE, or TRIVY_DATABASE_MISSING when it has none.
    """
    # What speaks HTTP takes long to import, and few have a server.
    import aiohttp  # noqa: PLC0415

    try:
        async with (
            asyncio.timeout(_ANSWER_SECONDS),
            aiohttp.ClientSession(trust_env=True) as session,
            session.get(f"{address}/version", allow_redirects=False) as answer,
        ):
            content = await answer.content.read(_MAX_ANSWER)
            if answer.status != 200:
                raise _unreachable(address, f"it answers {answer.status}")
        said = msgspec.json.decode(content, type=_Answer)
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise _unreachable(address, str(error)[:200] or "no answer in time") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreachable(address, "what answers is no Trivy server") from error
    if said.database is None:
        raise ScanFailure(
            Reason.TRIVY_DATABASE_MISSING,
            f"The Trivy server {address} has no database.",
            hint="Look at its log: it may not have been able to fetch one.",
        )
    return Server(version=said.version[:64], database=dated(said.database.updated_at))


def _unreachable(address: str, why: str) -> ScanFailure:
    return ScanFailure(
        Reason.TRIVY_SERVER_UNREACHABLE,
        f"The Trivy server {address} cannot be asked: {why}.",
        hint="Start it with `trivy server`, or mend DRYDOCK_TRIVY_SERVER.",
    )
