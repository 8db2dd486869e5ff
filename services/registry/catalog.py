"""A registry as a whole: which repositories it has, and each of them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Final

import aiohttp

from services.kernel.model.access import RegistryAccess
from services.kernel.model.reference import RepositoryName, is_repository
from services.kernel.reasons import Reason, ScanFailure
from services.registry.answers import Asked
from services.registry.exchange import connect
from services.registry.limits import SourceSettings
from services.registry.pages import NamePage, PageRequest, read_page
from services.registry.retry import Retrier
from services.registry.source import RegistrySource
from services.registry.tokens import CATALOG_SCOPE
from services.registry.wire import open_session

_REFUSALS: Final = frozenset({Reason.REGISTRY_UNAUTHORIZED, Reason.REGISTRY_FORBIDDEN, Reason.IMAGE_NOT_FOUND})
_NOT_OFFERED: Final = frozenset({"405", "501"})


class RegistryCatalog:
    """One registry. The session is the caller's, who closes it; requests of all parts share its connections."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        access: RegistryAccess,
        settings: SourceSettings,
        *,
        retrier: Retrier | None = None,
    ) -> None:
        """Takes what it talks through, as `RegistrySource` does."""
        self._session = session
        self._access = access
        self._settings = settings
        self._retrier = retrier or Retrier(settings.retry)
        self._exchange = connect(session, access, CATALOG_SCOPE, settings, self._retrier.clock)

    async def repositories(self, cursor: str = "") -> NamePage:
        """Reads a page of the paths of repositories; some of them may have no tags any more.

        Args:
            cursor: `next_cursor` of the page before; empty for the first one.

        Raises:
            ScanFailure: REGISTRY_CATALOG_REFUSED where the registry does not list its repositories, or not to us.
        """
        asked, what = Asked.CATALOG, CATALOG_SCOPE.what
        ask = PageRequest(asked=asked, path="_catalog", what=what, cursor=cursor, valid=is_repository)
        try:
            return await self._retrier.call(lambda: read_page(self._exchange, ask, self._settings.limits))
        except ScanFailure as failure:
            if failure.why in _REFUSALS or failure.metadata.get("status") in _NOT_OFFERED:
                raise _refused(self._exchange.host, failure) from failure
            raise

    def repository(self, name: RepositoryName) -> RegistrySource:
        """Returns one of its repositories; nothing is asked of the registry before the source is."""
        return RegistrySource(self._session, self._access, name.path, self._settings, retrier=self._retrier)


@contextlib.asynccontextmanager
async def open_catalog(settings: SourceSettings, access: RegistryAccess) -> AsyncIterator[RegistryCatalog]:
    """Opens the registry for the time of the block."""
    async with open_session() as session:
        yield RegistryCatalog(session, access, settings)


def _refused(host: str, failure: ScanFailure) -> ScanFailure:
    return ScanFailure(
        Reason.REGISTRY_CATALOG_REFUSED,
        f"{host} does not list its repositories for us: {failure.message}",
        hint="Give the instance a user who may read the catalogue, or name the repositories in the rule.",
        metadata=failure.metadata,
    )
