"""One blob on its way up (distribution-spec 1.1, "Pushing blobs"): in one piece, or in several."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import aiohttp

from services.kernel.model.digest import Digest
from services.registry import redirects
from services.registry.answers import Asked, registry_error
from services.registry.exchange import Exchange, Question
from services.registry.interface import Descriptor
from services.registry.retry import FINAL
from services.registry.wire import Body

_PIECE_BYTES: Final = 256 << 10
_OCTETS: Final = {"Content-Type": "application/octet-stream"}
_MOST_CHUNKS: Final = 10_000
Content = bytes | Path
"""What is pushed: bytes, or a file of which nothing is held."""


class Upload:
    """The upload of one blob to one repository, from its beginning to its end."""

    def __init__(
        self, exchange: Exchange, repository: str, descriptor: Descriptor, content: Content, *, chunk_bytes: int
    ) -> None:
        self._exchange = exchange
        self._repository = repository
        self._descriptor = descriptor
        self._content = content
        self._chunk_bytes = chunk_bytes

    async def run(self) -> None:
        """Uploads all of it; what an attempt leaves unfinished the registry drops by itself.

        Raises:
            PushRefused; ScanFailure: a registry reason, REGISTRY_REDIRECT_REFUSED for an upload that is to go
                where nothing is sent.
        """
        size = self._descriptor.size
        start = self._question("POST", f"{self._repository}/blobs/uploads/", 0, 0, (201, 202))
        async with self._exchange.ask(start) as response:
            if response.status == 201:
                return  # it had it, after all
            location, least = self._location(response), _least(response)
        chunk = max(self._chunk_bytes, least, size // _MOST_CHUNKS)
        done = 0
        if size > chunk:
            while done < size:
                count = min(chunk, size - done)
                patch = self._question("PATCH", location, done, count, (202,), between=True)
                async with self._exchange.ask(patch) as response:
                    location = self._location(response)
                done += count
        finish = self._question("PUT", _finished(location, self._descriptor.digest), done, size - done, (201, 204))
        async with self._exchange.ask(finish):
            pass

    def _question(
        self, method: str, path: str, start: int, count: int, accepted: tuple[int, ...], *, between: bool = False
    ) -> Question:
        headers = {"Content-Length": str(count)} | (_OCTETS if count else {})
        if between:
            headers["Content-Range"] = f"{start}-{start + count - 1}"
        return Question(
            method=method,
            path=path,
            asked=Asked.PUSHED_BLOB,
            what=f"the blob {self._descriptor.digest}",
            headers=headers,
            body_bytes=count,
            body=_body(self._content, start, count) if count else None,
            accepted=accepted,
        )

    def _location(self, response: aiohttp.ClientResponse) -> str:
        """Returns where the upload goes on; credentials are sent there only if it is the registry itself."""
        location = response.headers.get("Location", "")
        if not location:
            said = "accepts an upload without saying where it goes"
            raise registry_error(self._exchange.host, said, None, {FINAL: "location"})
        return str(redirects.next_hop(response.url, location))


def _finished(location: str, digest: Digest) -> str:
    """Adds the digest to what the registry keeps in the address, of which no byte may change."""
    return f"{location}{'&' if '?' in location else '?'}digest={quote(digest, safe='')}"


def _least(response: aiohttp.ClientResponse) -> int:
    told = response.headers.get("OCI-Chunk-Min-Length", "")
    return int(told) if told.isdigit() and len(told) < 12 else 0


def _body(content: Content, start: int, count: int) -> Body:
    def pieces() -> AsyncIterator[bytes]:
        return _of_bytes(content, start, count) if isinstance(content, bytes) else _of_file(content, start, count)

    return pieces


async def _of_bytes(content: bytes, start: int, count: int) -> AsyncIterator[bytes]:
    yield content[start : start + count]


async def _of_file(path: Path, start: int, count: int) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        file.seek(start)
        while count:
            piece = await asyncio.to_thread(file.read, min(count, _PIECE_BYTES))
            if not piece:
                raise OSError(f"{path.name} became shorter while it was read")
            count -= len(piece)
            yield piece
    finally:
        file.close()
