"""A preview: what a run would scan, counted without starting anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from services.kernel.model.access import RegistryAccess
from services.kernel.model.reference import parse_repository
from services.kernel.reasons import Reason, ScanFailure
from services.registry.catalog import RegistryCatalog, open_catalog
from services.registry.limits import SourceSettings
from services.registry.pages import NamePage, all_pages
from services.rules.api import RulePreview, RunNote, ScanRule
from services.rules.runs.reach import left_out, matching, named_repositories, reach_of, reached

_SAMPLE = 20
_NOTES = 100
_REMEMBERED = 100_000
"""Names of one list, so that none is counted twice; what comes after that many is not counted."""


class Preview:
    """Counts one rule's repositories and tags, several repositories at once."""

    def __init__(self, rule: ScanRule, source: SourceSettings, *, at_once: int) -> None:
        self._rule = rule
        self._reach = reach_of(rule)
        self._source = source
        self._at_once = at_once
        self._repositories = self._tags = self._matching = 0
        self._complete = True
        self._sample: list[str] = []
        self._notes: list[RunNote] = []

    async def take(self, access: RegistryAccess, seconds: float) -> RulePreview:
        """Reads the registry for at most that time.

        Raises:
            ServiceError: a registry reason, when the catalogue cannot be read, or nothing was in that time.
        """
        try:
            async with asyncio.timeout(seconds), open_catalog(self._source, access) as catalog:
                async for paths in self._paths(catalog, access.address):
                    for begin in range(0, len(paths), self._at_once):
                        await self._read(catalog, access.address, paths[begin : begin + self._at_once])
        except TimeoutError as error:
            if not self._tags:
                raise _nothing_in_time(access.address, seconds) from error
            self._complete = False
        return RulePreview(
            repositories=self._repositories,
            tags=self._tags,
            matching=self._matching,
            sample=tuple(self._sample),
            complete=self._complete,
            notes=tuple(self._notes),
        )

    async def _paths(self, catalog: RegistryCatalog, host: str) -> AsyncIterator[tuple[str, ...]]:
        named = named_repositories(self._rule)
        if named:
            yield named
            return
        async for names in self._once(catalog.repositories, host, ""):
            yield reached(self._reach, names)

    async def _once(
        self, ask: Callable[[str], Awaitable[NamePage]], host: str, path: str
    ) -> AsyncIterator[tuple[str, ...]]:
        """Reads a list, of each page the names that were not in it before."""
        seen: set[str] = set()
        noted = False
        async for page in all_pages(ask, self._source.limits, host=host):
            if len(seen) >= _REMEMBERED:
                self._complete = False
                return
            if page.malformed and not noted:
                self._note(left_out(path, page.malformed))
                noted = True
            fresh = tuple(name for name in dict.fromkeys(page.names) if name not in seen)
            seen.update(fresh)
            yield fresh

    async def _read(self, catalog: RegistryCatalog, host: str, paths: tuple[str, ...]) -> None:
        async with asyncio.TaskGroup() as group:
            for path in paths:
                group.create_task(self._count(catalog, host, path), name=f"preview {path}")

    async def _count(self, catalog: RegistryCatalog, host: str, path: str) -> None:
        source = catalog.repository(parse_repository(path))
        self._repositories += 1
        try:
            async for names in self._once(source.tags, host, path):
                found = await matching(self._reach, names)
                self._tags += len(names)
                self._matching += len(found)
                room = _SAMPLE - len(self._sample)
                self._sample += [f"{path}:{tag}" for tag in found[: max(room, 0)]]
        except ScanFailure as failure:
            self._note(RunNote(repository=path, tag="", reason=failure.reason, message=failure.message))

    def _note(self, note: RunNote) -> None:
        if len(self._notes) < _NOTES:
            self._notes.append(note)


def _nothing_in_time(host: str, seconds: float) -> ScanFailure:
    return ScanFailure(
        Reason.REGISTRY_TIMEOUT,
        f"{host} told of no tag within {seconds:.0f} seconds.",
        hint="A run has more patience: start one, or ask again later.",
    )
