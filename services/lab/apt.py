"""A signed repository of Debian packages on loopback (Debian wiki, "DebianRepository/Format")."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from aiohttp import web
from pysequoia import SignatureMode, Tsk, sign

from services.lab.debs import Deb


def signing_key(name: str) -> Tsk:
    """Makes a key that signs repositories; nothing of it outlives the process."""
    return Tsk.generate(f"{name} <{name}@drydock.invalid>")


def apt_repository(
    debs: Sequence[Deb],
    key: Tsk,
    *,
    suite: str,
    valid: timedelta = timedelta(days=7),
    age: timedelta = timedelta(),
) -> dict[str, bytes]:
    """Returns the files of a repository with one component, by their paths; it was made so long ago."""
    files = {deb.filename: deb.build() for deb in debs}
    packages = "\n".join(_stanza(deb, files[deb.filename]) for deb in debs).encode()
    indexes = {
        "main/binary-amd64/Packages": packages,
        "main/binary-amd64/Packages.gz": gzip.compress(packages, mtime=0),
    }
    release = _release(indexes, suite, datetime.now(UTC) - age, valid)
    files |= {f"dists/{suite}/{path}": content for path, content in indexes.items()}
    signed = sign(key.signer(), release.encode(), mode=SignatureMode.CLEAR)
    files[f"dists/{suite}/InRelease"] = bytes(signed)
    return files


@contextlib.asynccontextmanager
async def serve_files(files: Mapping[str, bytes]) -> AsyncIterator[str]:
    """Serves files over plain HTTP on loopback for the time of the block; yields the address."""

    async def answer(request: web.Request) -> web.Response:
        content = files.get(request.match_info["path"])
        return web.Response(status=404) if content is None else web.Response(body=content)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        try:
            await web.SockSite(runner, listener).start()
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            await runner.cleanup()


def _stanza(deb: Deb, content: bytes) -> str:
    return (
        f"{deb.control}Filename: {deb.filename}\nSize: {len(content)}\n"
        f"SHA256: {hashlib.sha256(content).hexdigest()}\n"
    )


def _release(indexes: Mapping[str, bytes], suite: str, now: datetime, valid: timedelta) -> str:
    sums = "".join(
        f" {hashlib.sha256(content).hexdigest()} {len(content)} {path}\n" for path, content in indexes.items()
    )
    return (
        f"Origin: Drydock lab\nSuite: {suite}\nCodename: {suite}\nDate: {format_datetime(now, usegmt=True)}\n"
        f"Valid-Until: {format_datetime(now + valid, usegmt=True)}\n"
        f"Architectures: amd64\nComponents: main\nSHA256:\n{sums}"
    )
