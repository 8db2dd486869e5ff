"""Lists of names, page by page (distribution-spec 1.1, "Listing Tags"; distribution, "Listing Repositories").

What follows a page is told by a Link header (RFC 8288). Only its query is used, below the path that we asked:
wherever such a header points to, the next request goes to the same registry and for the same list.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import msgspec
from yarl import URL

from services.kernel.reasons import ScanFailure
from services.registry.answers import Asked, cut_off, registry_error
from services.registry.exchange import Exchange, Question
from services.registry.limits import ImageLimits
from services.registry.retry import FINAL

_NEXT = re.compile(r'<([^<>]*)>[^,<]*;\s*rel="?next"?')
ENDLESS = "endless"
"""Of what kind the failure of a list without end is, under FINAL in its metadata."""
_CURSOR = re.compile(r"[!-~]{1,2048}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NamePage:
    """Part of a list; may be empty even though others follow."""

    names: tuple[str, ...]
    """Tags or paths of repositories that the grammar allows, in the registry's order; pages may repeat one."""
    malformed: int
    """Names left out because the grammar does not allow them: nothing can be pulled by them."""
    next_cursor: str
    """What to ask for the next page with; empty after the last one. The registry's to choose."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Which page of which list."""

    asked: Asked
    """TAGS or CATALOG."""
    path: str
    """Below `/v2/`."""
    what: str
    """The list's owner in sentences."""
    cursor: str
    valid: Callable[[str], bool]


class _Names(msgspec.Struct):
    tags: list[str] | None = None
    repositories: list[str] | None = None


async def read_page(exchange: Exchange, request: PageRequest, limits: ImageLimits) -> NamePage:
    """Asks once.

    Raises:
        ScanFailure: a registry reason; REGISTRY_ERROR for a page that is too large or makes no sense.
    """
    query = request.cursor or f"n={limits.page_names}"
    question = Question(
        method="GET",
        path=f"{request.path}?{query}",
        asked=request.asked,
        what=request.what,
        headers={"Accept": "application/json"},
    )
    async with exchange.ask(question) as response:
        content = await _read(response, exchange.host, request.what, limits.page_bytes)
        links = response.headers.getall("Link", [])
    try:
        found = msgspec.json.decode(content, type=_Names)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _senseless(exchange.host, request.what, "a list of names that is not the JSON of one") from error
    names = (found.repositories if request.asked is Asked.CATALOG else found.tags) or []
    allowed = tuple(name for name in names if request.valid(name))
    following = _following(links, exchange.host, request.what)
    if following and following == request.cursor:
        raise _senseless(exchange.host, request.what, "a page that names itself as the next one")
    return NamePage(names=allowed, malformed=len(names) - len(allowed), next_cursor=following)


async def all_pages(
    ask: Callable[[str], Awaitable[NamePage]], limits: ImageLimits, *, host: str
) -> AsyncIterator[NamePage]:
    """Reads a list to its end.

    Args:
        ask: returns the page at a cursor.
        limits: how many pages there may be.
        host: who is asked, for the sentence.
    """
    cursor = ""
    for _ in range(limits.pages):
        page = await ask(cursor)
        yield page
        cursor = page.next_cursor
        if not cursor:
            return
    gave = f"gave, for a list of names, more than {limits.pages:,} pages"
    raise registry_error(host, gave, None, {FINAL: ENDLESS})


async def _read(response: aiohttp.ClientResponse, host: str, what: str, limit: int) -> bytes:
    content = bytearray()
    while chunk := await response.content.read(1 << 18):
        content += chunk
        if len(content) > limit:
            raise _senseless(host, what, f"a page of names with more than {limit:,} bytes")
    declared = response.content_length
    if declared is not None and len(content) < declared:
        raise cut_off(host, what)
    return bytes(content)


def _following(links: list[str], host: str, what: str) -> str:
    found = next((one[1] for link in links if (one := _NEXT.search(link))), None)
    if found is None:
        return ""
    try:
        cursor = URL(found, encoded=True).raw_query_string
    except ValueError:
        cursor = ""
    if not _CURSOR.fullmatch(cursor):
        # Going on without what follows would call part of a list the whole.
        raise _senseless(host, what, "a next page that cannot be asked for")
    return cursor


def _senseless(host: str, what: str, gave: str) -> ScanFailure:
    return registry_error(host, f"gave, for {what}, {gave}", None, {FINAL: "list"})
