"""Guards of servers under test."""

from __future__ import annotations

from services.kernel.rpc.interceptors import Metadata


class Anyone:
    """Lets everybody in."""

    async def admit(self, method: str, metadata: Metadata) -> None:
        del method, metadata
