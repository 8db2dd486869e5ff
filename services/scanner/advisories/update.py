"""Fetches sources from URLs into temporary files and imports them, all or none."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import structlog

from services.kernel.clock import Clock
from services.kernel.errors import Kind, ServiceError, invalid
from services.scanner.advisories.compile import Progress, Source
from services.scanner.advisories.database import Meta
from services.scanner.advisories.files import AdvisoryFiles
from services.scanner.advisories.settings import AdvisorySettings

_CHUNK: Final = 1 << 20
_MAX_REDIRECTS: Final = 5
_SUFFIXES: Final = (".zip", ".json", ".ndjson", ".jsonl")
_HTTP_DATE: Final = "%a, %d %b %Y %H:%M:%S GMT"

log = structlog.get_logger(__name__)


def is_url(text: str) -> bool:
    """Tells whether a source is to be fetched."""
    return text.startswith(("http://", "https://"))


async def import_sources(
    files: AdvisoryFiles,
    names: Sequence[str],
    *,
    settings: AdvisorySettings,
    clock: Clock,
    progress: Progress | None = None,
) -> Meta:
    """Imports paths and URLs as one set, which replaces what was current. A failure leaves the old file serving.

    Downloads lie beside the advisory files and are removed in every case. Cancelling while it downloads leaves
    nothing behind; compiling, once begun, runs to its end in its thread.

    Raises:
        ServiceError: ADVISORY_SOURCE_UNREACHABLE, ADVISORY_SOURCE_TOO_LARGE, ADVISORY_SOURCE_BROKEN,
            ADVISORY_SOURCE_NOT_FOUND or ADVISORY_IMPORT_RUNNING.
    """
    if not names:
        raise invalid("NO_ADVISORY_SOURCES", "No advisory source is named.", hint="Set DRYDOCK_ADVISORY_SOURCES.")
    files.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=files.folder) as folder:
        sources = []
        timeout = aiohttp.ClientTimeout(
            total=settings.download_timeout_seconds,
            sock_connect=settings.connect_timeout_seconds,
            sock_read=settings.read_timeout_seconds,
        )
        async with aiohttp.ClientSession(timeout=timeout, trust_env=True, auto_decompress=False) as session:
            for place, name in enumerate(names):
                if is_url(name):
                    target = Path(folder) / f"{place}{_suffix(name)}"
                    modified = await _fetch(session, name, target, settings.download_max_bytes)
                    sources.append(Source(path=target, name=_public(name), modified=modified))
                else:
                    sources.append(Source(path=Path(name), name=name))
        return await asyncio.to_thread(files.install, sources, now=clock.now(), progress=progress)


async def _fetch(session: aiohttp.ClientSession, url: str, target: Path, limit: int) -> datetime | None:
    """Fetches a source; returns when it last changed, if the server says so."""
    log.info("advisory_download.started", url=_public(url))
    size = 0
    try:
        async with session.get(url, max_redirects=_MAX_REDIRECTS) as response:
            if response.status != 200:
                raise _unreachable(url, f"the server answered {response.status}")
            with target.open("wb") as file:
                async for chunk in response.content.iter_chunked(_CHUNK):
                    size += len(chunk)
                    if size > limit:
                        raise _too_large(url, limit)
                    file.write(chunk)
            modified = _http_date(response.headers.get("Last-Modified", ""))
    except TimeoutError as error:
        raise _unreachable(url, "it did not answer in time") from error
    except (aiohttp.ClientError, ValueError) as error:
        raise _unreachable(url, "the connection failed or was cut off") from error
    log.info("advisory_download.finished", url=_public(url), bytes=size)
    return modified


def _http_date(text: str) -> datetime | None:
    """Reads a date in the one form that servers may send (RFC 9110, section 5.6.7); None when it is none."""
    try:
        moment = datetime.strptime(text, _HTTP_DATE).replace(tzinfo=UTC)
    except ValueError:
        return None
    return moment if format_datetime(moment, usegmt=True) == text else None


def _unreachable(url: str, what: str) -> ServiceError:
    return ServiceError(
        Kind.UNAVAILABLE,
        "ADVISORY_SOURCE_UNREACHABLE",
        f"The advisory source {_public(url)} could not be fetched: {what}.",
        hint="The advisories that were there still serve. Check the address and the network, then try again.",
    )


def _too_large(url: str, limit: int) -> ServiceError:
    return ServiceError(
        Kind.RESOURCE_EXHAUSTED,
        "ADVISORY_SOURCE_TOO_LARGE",
        f"The advisory source {_public(url)} is longer than {limit} bytes.",
        hint="Nothing was imported. Raise DRYDOCK_ADVISORY_DOWNLOAD_MAX_BYTES if that is right.",
    )


def _public(url: str) -> str:
    """The URL without a password or token that it may carry."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _suffix(url: str) -> str:
    suffix = Path(urlsplit(url).path).suffix
    return suffix if suffix in _SUFFIXES else ""
