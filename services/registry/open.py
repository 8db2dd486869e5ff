"""Opening one repository of an instance's registry."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from services.kernel.model.access import RegistryAccess
from services.kernel.model.reference import RepositoryName
from services.registry.interface import ImageSource
from services.registry.limits import SourceSettings
from services.registry.source import RegistrySource
from services.registry.wire import open_session


@contextlib.asynccontextmanager
async def open_repository(
    settings: SourceSettings, access: RegistryAccess, name: RepositoryName
) -> AsyncIterator[ImageSource]:
    """Opens the repository for the time of the block; nothing is asked of the registry before the source is."""
    async with open_session() as session:
        yield RegistrySource(session, access, name.path, settings)
