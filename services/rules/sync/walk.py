"""The walk over a registry: its catalogue, each repository's tags, then the repositories that only we know of.

What it finds goes on the bus, a bounded part at a time, in the transaction that writes down how far it has come.
It compares nothing: the scanner knows the tags. What cannot be read is skipped or put off, never called deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import structlog

from services.kernel.bus.interface import Message
from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.kernel.errors import Kind
from services.kernel.ids import Ids
from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import Digest
from services.kernel.model.reference import RepositoryName, parse_repository
from services.kernel.model.repository_id import repository_id
from services.kernel.outbox import Outbox
from services.kernel.reasons import Reason, ScanFailure
from services.registry.catalog import RegistryCatalog
from services.registry.limits import ImageLimits
from services.registry.pages import ENDLESS, NamePage, all_pages
from services.registry.retry import FINAL
from services.registry.source import RegistrySource
from services.rules import repositories
from services.rules.convert_events import repository_deleted, repository_listed
from services.rules.events import TagListing
from services.rules.settings import RulesSettings
from services.rules.store import RulesStore
from services.rules.sync import notes
from services.rules.sync.metrics import WalkMetrics
from services.rules.sync.pace import Pace
from services.rules.sync.store import Place, Progress, SyncStore, Walk

log = structlog.get_logger()

OpenCatalog = Callable[[RegistryAccess], AbstractAsyncContextManager[RegistryCatalog]]
_PART = 100
"""Tags in one event."""
_TRIES = 4
"""How often a walk is put off at the same repository, before that is skipped."""
_PAGE = 100
"""Repositories read at once that only we know of."""
_SHARE = 0.8
"""Of a lease, that a step may take."""


class WalkLost(Exception):
    """Somebody else walks now, or nobody is to: what was done here since the last step does not count."""


class WalkStopped(Exception):
    """The process stops."""


class WalkPaused(Exception):
    """It was at it long enough: whoever waits longest is next."""


class _TooManyTags(Exception):
    """A repository has more tags than are read of one."""


class Walker:
    """Walks over one registry under a lease."""

    def __init__(
        self,
        walk: Walk,
        *,
        pool: Pool,
        store: RulesStore,
        sync: SyncStore,
        outbox: Outbox,
        clock: Clock,
        ids: Ids,
        metrics: WalkMetrics,
        settings: RulesSettings,
        stopping: asyncio.Event,
    ) -> None:
        self._walk = walk
        self._pool = pool
        self._store = store
        self._sync = sync
        self._outbox = outbox
        self._clock = clock
        self._ids = ids
        self._metrics = metrics
        self._settings = settings
        self._stopping = stopping
        self._pace = Pace(clock, settings.sync_requests_per_second)
        self._deadline: asyncio.Timeout | None = None
        self._began = clock.monotonic()
        self._tries = walk.attempts
        self._read = walk.repositories
        self._pages = walk.pages
        self._done: set[str] = set()
        """Paths of what this walker read; what others read of this walk is marked, as far as it is known."""
        self.whole = not walk.skipped
        """Whether everything could be read so far."""

    async def over(self, catalog: RegistryCatalog) -> None:
        """Walks from where the walk stands to its end.

        Raises:
            ScanFailure: the registry cannot be read on, now.
            WalkLost, WalkStopped, WalkPaused: nothing is wrong with the registry.
        """
        place = self._walk.place
        if not place.catalogued:
            await self._catalogue(catalog, place)
            place = Place(catalogued=True)
            await self._advance(place, Progress())
        await self._strangers(catalog, place)

    async def _catalogue(self, catalog: RegistryCatalog, place: Place) -> None:
        """Reads the catalogue to its end; where the registry shows us none, only known repositories are read."""
        while self._pages < self._settings.sync_pages:
            try:
                page = await self._page(catalog, place.cursor)
            except ScanFailure as failure:
                if failure.why is not Reason.REGISTRY_CATALOG_REFUSED:
                    raise
                await self._advance(place, notes.note(failure))
                return
            for path in await self._left(_after(page.names, place.repository)):
                if self._read >= self._settings.sync_repositories:
                    await self._advance(place, notes.too_many_repositories(self._settings.sync_repositories))
                    return
                place = Place(cursor=place.cursor, repository=path)
                await self._repository(catalog, parse_repository(path), place)
            if not page.next_cursor:
                return
            place = Place(cursor=page.next_cursor)
            self._pages += 1
            await self._advance(place, Progress(pages=1))
        await self._advance(place, notes.endless_catalogue(self._settings.sync_pages))

    async def _page(self, catalog: RegistryCatalog, cursor: str) -> NamePage:
        async with self._in_time():
            await self._turn()
            return await catalog.repositories(cursor)

    async def _left(self, paths: Sequence[str]) -> Sequence[str]:
        """Returns those that were not read in this walk: pages may repeat a name, or go in a circle."""
        names = {path: parse_repository(path) for path in paths if path not in self._done}
        async with self._pool.acquire() as conn:
            walked = await self._sync.walked(conn, self._walk, list(names.values()))
        return [path for path, name in names.items() if name not in walked]

    async def _strangers(self, catalog: RegistryCatalog, place: Place) -> None:
        """Reads the repositories that we know of and the catalogue lacks, to see whether they are gone."""
        while True:
            after = parse_repository(place.repository) if place.repository else None
            async with self._pool.acquire() as conn:
                names = await self._sync.unwalked(conn, self._walk, after, _PAGE)
            if not names:
                return
            for name in names:
                place = Place(catalogued=True, repository=name.path)
                await self._repository(catalog, name, place)

    async def _repository(self, catalog: RegistryCatalog, name: RepositoryName, place: Place) -> None:
        """Reads one repository; `place` is where the walk stands after it."""
        try:
            async with self._in_time():
                await self._list(catalog.repository(name), name, place)
        except _TooManyTags:
            await self._skip(name, place, notes.too_many_tags(name, self._settings.sync_tags))
        except ScanFailure as failure:
            if failure.metadata.get("registry_code") == "NAME_UNKNOWN":
                await self._gone(name, place)
            elif self._may_pass(failure):
                raise
            else:
                await self._skip(name, place, notes.note(failure, about=f"{name.path}: ", skipped=1))
        self._done.add(name.path)
        self._read += 1
        self._tries = 0

    def _may_pass(self, failure: ScanFailure) -> bool:
        endless = failure.metadata.get(FINAL) == ENDLESS
        return failure.kind is Kind.UNAVAILABLE and not endless and self._tries < _TRIES

    async def _list(self, source: RegistrySource, name: RepositoryName, place: Place) -> None:
        part: dict[str, Digest] = {}
        count = 0
        async for tag in self._tags(source):
            digest = await self._digest(source, tag)
            if digest is None:
                continue
            if len(part) == _PART:
                await self._tell(name, part)
                count, part = count + len(part), {}
            part[tag] = digest
        progress = Progress(repositories=1, tags=count + len(part))
        async with self._step(place, progress) as conn:
            await self._mark(conn, name, seen=bool(progress.tags))
            await self._outbox.add(conn, [self._listing(name, part, last=True)])

    async def _tags(self, source: RegistrySource) -> AsyncIterator[str]:
        """Reads each tag once, however often the registry lists it.

        Raises:
            _TooManyTags: there are more than may be.
        """

        async def page(cursor: str) -> NamePage:
            await self._turn()
            async with self._pool.acquire() as conn:
                await self._keep(conn)  # many pages may have nothing to tell of
            return await source.tags(cursor)

        listed: set[str] = set()
        async for names in all_pages(page, ImageLimits(pages=self._settings.sync_pages), host="the registry"):
            for tag in names.names:
                if tag in listed:
                    continue
                if len(listed) == self._settings.sync_tags:
                    raise _TooManyTags
                listed.add(tag)
                yield tag

    async def _digest(self, source: RegistrySource, tag: str) -> Digest | None:
        """Returns what a listed tag has; None for one that is not there: the scanner asks more closely."""
        await self._turn()
        try:
            return (await source.head(tag)).digest
        except ScanFailure as failure:
            if failure.why is not Reason.IMAGE_NOT_FOUND:
                raise
            return None

    async def _tell(self, name: RepositoryName, part: Mapping[str, Digest]) -> None:
        """Tells of some tags of a repository that has more."""
        async with self._pool.acquire() as conn, conn.transaction():
            await self._keep(conn)
            await self._outbox.add(conn, [self._listing(name, part, last=False)])

    async def _keep(self, conn: Connection) -> None:
        if not await self._sync.keep(conn, self._walk, self._settings.sync_lease_seconds):
            raise WalkLost
        self._renew()

    async def _gone(self, name: RepositoryName, place: Place) -> None:
        """Forgets a repository that the registry does not know, and tells of it, if we knew it."""
        instance_id = self._walk.instance_id
        async with self._pool.acquire() as conn:
            known = bool(await self._store.find_repositories(conn, [(instance_id, name)]))
        async with self._step(place, Progress(gone=int(known))) as conn:
            if await self._store.forget_repositories(conn, [(instance_id, name)]):
                event_id, now = self._ids.uuid(), self._clock.now()
                await self._sync.orphan_rules(conn, instance_id, name, now)
                await self._outbox.add(conn, [repository_deleted(instance_id, name, event_id=event_id, at=now)])

    async def _skip(self, name: RepositoryName, place: Place, progress: Progress) -> None:
        log.warning(
            "repository.skipped",
            instance_id=self._walk.instance_id,
            repository=name.path,
            reason=progress.reason,
            message=progress.message,
        )
        async with self._step(place, progress) as conn:
            await self._mark(conn, name, seen=False)

    async def _mark(self, conn: Connection, name: RepositoryName, *, seen: bool) -> None:
        """Marks a repository as walked over; one that has something to be seen is known from now on."""
        instance_id = self._walk.instance_id
        if seen:
            await repositories.see(conn, self._store, [(instance_id, name)], self._clock.now())
        await self._sync.mark(conn, repository_id(instance_id, name), self._walk.number)

    async def _advance(self, place: Place, progress: Progress) -> None:
        async with self._step(place, progress):
            pass

    @asynccontextmanager
    async def _step(self, place: Place, progress: Progress) -> AsyncIterator[Connection]:
        """A transaction that brings the walk to `place`; what else it writes counts only with that.

        Raises:
            WalkPaused: it is written down, and it is the turn of others.
        """
        async with self._pool.acquire() as conn, conn.transaction():
            if not await self._sync.advance(conn, self._walk, place, progress, self._settings.sync_lease_seconds):
                raise WalkLost
            yield conn
        self._metrics.came_by(progress)
        self.whole = self.whole and not progress.reason
        self._renew()
        if self._clock.monotonic() - self._began >= self._settings.sync_turn_seconds:
            raise WalkPaused

    def _listing(self, name: RepositoryName, part: Mapping[str, Digest], *, last: bool) -> Message:
        walk = self._walk
        listing = TagListing(repository=name, tags=part, walk=walk.number, began_at=walk.began_at, last=last)
        return repository_listed(walk.instance_id, listing, event_id=self._ids.uuid())

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        """A part of the walk whose steps end before the lease does, or fail as a registry that is too slow."""
        deadline = self._deadline = asyncio.timeout(self._settings.sync_lease_seconds * _SHARE)
        try:
            async with deadline:
                yield
        except TimeoutError as error:
            if not deadline.expired():  # somebody else's deadline, such as the database's
                raise
            raise ScanFailure(Reason.REGISTRY_TIMEOUT, "The registry is too slow.") from error
        finally:
            self._deadline = None

    def _renew(self) -> None:
        """The lease was kept just now; before it ends, so does the step under way."""
        if self._deadline is not None:
            seconds = self._settings.sync_lease_seconds * _SHARE
            self._deadline.reschedule(asyncio.get_running_loop().time() + seconds)

    async def _turn(self) -> None:
        if self._stopping.is_set():
            raise WalkStopped
        await self._pace.turn()


def _after(names: Sequence[str], last: str) -> Sequence[str]:
    """Returns what is left of a page after the last one that is done; all of it when that is not in it."""
    return names[names.index(last) + 1 :] if last in names else names
