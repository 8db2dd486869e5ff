"""A trial: whether a registry answers, whom it takes us for, and whether an image can be pulled from it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Sequence
from typing import Final

from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import Digest
from services.kernel.model.reference import RepositoryName, parse_repository
from services.kernel.reasons import Reason, Retry, ScanFailure
from services.registry.answers import Asked
from services.registry.catalog import RegistryCatalog
from services.registry.exchange import Question, connect
from services.registry.interface import Descriptor, ImageManifest
from services.registry.limits import SourceSettings
from services.registry.manifest import parse_manifest
from services.registry.retry import Retrier
from services.registry.source import RegistrySource
from services.registry.tokens import NO_SCOPE
from services.registry.wire import open_session

_MOST_TRIED: Final = 5
"""Repositories of which one is to give an image: some have lost their tags, some hold what is no image."""
_REFUSALS: Final = frozenset(
    {
        Reason.REGISTRY_UNAUTHORIZED,
        Reason.REGISTRY_FORBIDDEN,
        Reason.REGISTRY_REALM_REFUSED,
        Reason.REGISTRY_REDIRECT_REFUSED,
    }
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of it. Nothing is set when all is well and no pull was to be tried."""

    silent: ScanFailure | None = None
    """Why the registry gives no answer that a registry gives; then nothing else was tried."""
    refused: ScanFailure | None = None
    """Why it gives us nothing."""
    unsettled: ScanFailure | None = None
    """What came in between: it answers, and nobody can tell whether it would let us pull."""
    pulled: str = ""
    """The image that was pulled, but for its layers."""


async def try_registry(
    settings: SourceSettings,
    access: RegistryAccess,
    known: Sequence[RepositoryName],
    *,
    pull: bool,
    seconds: float,
) -> Trial:
    """Asks the registry's root; then pulls manifest and configuration of one image, if that is meant.

    A registry that refuses its root is asked for an image all the same: some let nobody near it.

    Args:
        settings: bounds and deadlines.
        access: where it is, and as whom.
        known: repositories to pull from; the catalogue is asked when none of them has an image.
        pull: whether to pull at all.
        seconds: for the root, and for the pull.
    """
    async with open_session() as session:
        retrier = Retrier(settings.retry)
        question = Question(method="GET", path="", asked=Asked.ROOT, what="its root", headers={})
        exchange = connect(session, access, NO_SCOPE, settings, retrier.clock)

        async def greet() -> None:
            async with exchange.ask(question):
                pass

        refused = None
        try:
            async with asyncio.timeout(seconds):
                await retrier.call(greet)
        except TimeoutError:
            return Trial(silent=_late(access, "its root", seconds))
        except ScanFailure as failure:
            if failure.why is Reason.REGISTRY_RATE_LIMITED:
                return Trial(unsettled=failure)
            if failure.why not in _REFUSALS:
                return Trial(silent=failure)
            refused = failure
        if not pull and refused is None:
            return Trial()
        catalog = RegistryCatalog(session, access, settings, retrier=retrier)
        try:
            async with asyncio.timeout(seconds):
                tried = await _pull_any(catalog, known, settings)
        except TimeoutError:
            return Trial(unsettled=_late(access, "an image", seconds))
        nothing = not (tried.pulled or tried.refused or tried.unsettled)
        return Trial(refused=refused) if nothing else tried


def _late(access: RegistryAccess, what: str, seconds: float) -> ScanFailure:
    message = f"{access.address} took longer than {seconds:g} s to deliver {what}."
    return ScanFailure(Reason.REGISTRY_TIMEOUT, message)


async def _pull_any(catalog: RegistryCatalog, known: Sequence[RepositoryName], settings: SourceSettings) -> Trial:
    """Pulls from the first repository that has something; a refusal counts when no other one gives anything."""
    refused = None
    left = _MOST_TRIED
    try:
        async for name in _candidates(catalog, known):
            try:
                if pulled := await _pull(catalog.repository(name), name, settings):
                    return Trial(pulled=pulled)
            except ScanFailure as failure:
                if failure.why in _REFUSALS:
                    refused = failure
                elif failure.why.retry is Retry.AUTOMATIC:
                    return Trial(unsettled=failure)
            left -= 1
            if not left:
                break
    except ScanFailure as failure:  # of the catalogue
        if failure.why.retry is Retry.AUTOMATIC:
            return Trial(unsettled=failure)
    return Trial(refused=refused)


async def _candidates(catalog: RegistryCatalog, known: Sequence[RepositoryName]) -> AsyncIterator[RepositoryName]:
    for name in known:
        yield name
    for path in (await catalog.repositories()).names:
        if (name := parse_repository(path)) not in known:
            yield name


async def _pull(source: RegistrySource, name: RepositoryName, settings: SourceSettings) -> str:
    """Returns the name of what was pulled; empty where the repository has no tag."""
    tags = (await source.tags()).names
    if not tags:
        return ""
    image = await _image(source, tags[0], settings)
    if image is not None and image.config.size <= settings.limits.config_bytes:
        await _drain(source, image.config)
    return f"{name.path}:{tags[0]}"


async def _image(source: RegistrySource, tag: str, settings: SourceSettings) -> ImageManifest | None:
    """Returns the manifest of an image under a tag; None where what was pulled is no image."""
    reference: str | Digest = tag
    for _ in range(settings.limits.index_depth):
        raw = await source.manifest(reference)
        try:
            found = parse_manifest(raw, settings.limits)
        except ScanFailure:
            return None  # pulled it was, whatever it is
        if isinstance(found, ImageManifest):
            return found
        reference = found.entries[0].descriptor.digest
    return None


async def _drain(source: RegistrySource, blob: Descriptor) -> None:
    async with source.blob(blob) as chunks:
        async for _ in chunks:
            pass
