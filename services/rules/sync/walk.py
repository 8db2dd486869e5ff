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
from services.registry.pages import NamePage, all_pages
from services.registry.source import RegistrySource
from services.rules import repositories
from services.rules.convert_events import repository_deleted, repository_listed
from services.rules.events import TagListing
from services.rules.settings import RulesSettings
from services.rules.store import RulesStore
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
_LONGEST_MESSAGE = 1000


class WalkLost(Exception):
    """Somebody else walks now, or nobody is to: what was done here since the last step does not count."""


class WalkStopped(Exception):
    """The process stops."""


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
        self._deadline = asyncio.timeout(None)
        self._tries = walk.attempts
        self._read = walk.repositories
        self.whole = True
        """Whether everything could be read so far, by this walker."""

    @property
    def expired(self) -> bool:
        """Whether a step took longer than it may."""
        return self._deadline.expired()

    async def over(self, catalog: RegistryCatalog) -> None:
        """Walks from where the walk stands to its end.

        Raises:
            ScanFailure: the registry cannot be read on, now.
            TimeoutError: a step took longer than the lease.
            WalkLost, WalkStopped: nothing is wrong with the registry.
        """
        async with self._deadline:
            self._renew()
            place = self._walk.place
            if not place.catalogued:
                await self._catalogue(catalog, place)
                place = Place(catalogued=True)
                await self._advance(place, Progress())
            await self._strangers(catalog, place)

    async def _catalogue(self, catalog: RegistryCatalog, place: Place) -> None:
        """Reads the catalogue to its end; where the registry shows us none, only known repositories are read."""
        while True:
            await self._turn()
            try:
                page = await catalog.repositories(place.cursor)
            except ScanFailure as failure:
                if failure.why is not Reason.REGISTRY_CATALOG_REFUSED:
                    raise
                await self._advance(place, _note(failure))
                return
            for path in _after(page.names, place.repository):
                if self._read >= self._settings.sync_repositories:
                    await self._advance(place, _too_many(self._settings.sync_repositories))
                    return
                place = Place(cursor=place.cursor, repository=path)
                await self._repository(catalog, parse_repository(path), place)
            if not page.next_cursor:
                return
            place = Place(cursor=page.next_cursor)
            await self._advance(place, Progress())

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
            await self._list(catalog.repository(name), name, place)
        except ScanFailure as failure:
            if failure.metadata.get("registry_code") == "NAME_UNKNOWN":
                await self._gone(name, place)
            elif failure.kind is Kind.UNAVAILABLE and self._tries < _TRIES:
                raise
            else:
                await self._skip(name, place, failure)
        self._read += 1
        self._tries = 0

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
        async def page(cursor: str) -> NamePage:
            await self._turn()
            return await source.tags(cursor)

        async for names in all_pages(page, ImageLimits(), host="the registry"):
            for tag in names.names:
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
            if not await self._sync.keep(conn, self._walk, self._settings.sync_lease_seconds):
                raise WalkLost
            await self._outbox.add(conn, [self._listing(name, part, last=False)])
        self._renew()

    async def _gone(self, name: RepositoryName, place: Place) -> None:
        """Forgets a repository that the registry does not know, and tells of it, if we knew it."""
        instance_id = self._walk.instance_id
        async with self._pool.acquire() as conn:
            known = bool(await self._store.find_repositories(conn, [(instance_id, name)]))
        async with self._step(place, Progress(gone=int(known))) as conn:
            if await self._store.forget_repositories(conn, [(instance_id, name)]):
                event_id, now = self._ids.uuid(), self._clock.now()
                await self._outbox.add(conn, [repository_deleted(instance_id, name, event_id=event_id, at=now)])

    async def _skip(self, name: RepositoryName, place: Place, failure: ScanFailure) -> None:
        log.warning(
            "repository.skipped",
            instance_id=self._walk.instance_id,
            repository=name.path,
            reason=failure.reason,
            message=failure.message,
        )
        async with self._step(place, _note(failure, about=f"{name.path}: ", skipped=1)) as conn:
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
        """A transaction that brings the walk to `place`; what else it writes counts only with that."""
        async with self._pool.acquire() as conn, conn.transaction():
            if not await self._sync.advance(conn, self._walk, place, progress, self._settings.sync_lease_seconds):
                raise WalkLost
            yield conn
        self._metrics.came_by(progress)
        self.whole = self.whole and not progress.reason
        self._renew()

    def _listing(self, name: RepositoryName, part: Mapping[str, Digest], *, last: bool) -> Message:
        walk = self._walk
        listing = TagListing(repository=name, tags=part, walk=walk.number, began_at=walk.began_at, last=last)
        return repository_listed(walk.instance_id, listing, event_id=self._ids.uuid())

    def _renew(self) -> None:
        """The lease was taken or kept just now; before it ends, so does the step."""
        seconds = self._settings.sync_lease_seconds * _SHARE
        self._deadline.reschedule(asyncio.get_running_loop().time() + seconds)

    async def _turn(self) -> None:
        if self._stopping.is_set():
            raise WalkStopped
        await self._pace.turn()


def _after(names: Sequence[str], last: str) -> Sequence[str]:
    """Returns what is left of a page after the last one that is done; all of it when that is not in it."""
    return names[names.index(last) + 1 :] if last in names else names


def _note(failure: ScanFailure, *, about: str = "", skipped: int = 0) -> Progress:
    message = f"{about}{failure.sentence()}"[:_LONGEST_MESSAGE]
    return Progress(skipped=skipped, reason=failure.reason, message=message)


def _too_many(limit: int) -> Progress:
    return Progress(
        reason="TOO_MANY_REPOSITORIES",
        message=f"The registry has more than {limit} repositories: set DRYDOCK_RULES_SYNC_REPOSITORIES higher.",
    )
