"""What a tag is at present: the registry is asked, and from then on a digest is spoken of."""

from __future__ import annotations

import asyncio
import dataclasses

from services.kernel.errors import invalid
from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import Digest
from services.kernel.model.reference import RepositoryName, parse_tag
from services.kernel.model.repository_id import repository_id
from services.kernel.reasons import Reason, ScanFailure
from services.kernel.rpc.call_context import allowed_seconds
from services.registry.ask import OpenSource, find_digest
from services.rules.api import RulesApi
from services.scanner.api import ImageQuery
from services.scanner.tasks.lookup import Lookup

_REGISTRY_SECONDS = 60.0
"""For one of them, while a caller with a longer deadline waits."""
_ASK_SECONDS = 15.0
"""For one of them: whoever asks us can be told so then."""
_AT_ONCE = 64
"""Questions to registries that are under way at once: a crowd that begins to wait is no attack on one."""


class PresentDigests:
    """Asks registries for the digests of tags."""

    def __init__(self, lookup: Lookup, rules: RulesApi, open_source: OpenSource) -> None:
        self._lookup = lookup
        self._rules = rules
        self._open_source = open_source
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def ask(self, access: RegistryAccess, name: RepositoryName, image: ImageQuery) -> Digest:
        """Returns the digest that the registry has under the image's tag, or under the digest itself.

        Raises:
            ServiceError: INVALID_IMAGE, INVALID_REFERENCE, and those of `find_digest`.
            ScanFailure: the registry does not tell, or not while the caller still listens.
        """
        if image.tag:
            parse_tag(image.tag)
        elif not image.digest:
            raise invalid("INVALID_IMAGE", "Neither tag nor digest is given.", field="tag")
        try:
            async with (
                asyncio.timeout(allowed_seconds(_REGISTRY_SECONDS)),
                self._turns,
                self._open_source(access, name) as source,
            ):
                return await find_digest(source, name, image.tag, image.digest)
        except TimeoutError:
            message = f"The registry {access.address} has not said in time what {name.path} has."
            raise ScanFailure(
                Reason.REGISTRY_TIMEOUT, message, hint="Try again, or look at the registry."
            ) from None

    async def pinned(self, image: ImageQuery, seconds: float = _ASK_SECONDS) -> tuple[ImageQuery, Digest]:
        """Returns the image by the ids of instance and repository, and the digest that it is about.

        A digest that the caller names is taken as it is: whether the tag still has it changes nothing about it.

        Raises:
            ServiceError: the errors of `ScannerApi` for naming an image; TAG_NOT_EXIST, REPO_NOT_EXIST.
            ScanFailure: the registry does not tell, or not within so many seconds.
        """
        try:
            async with asyncio.timeout(min(seconds, _ASK_SECONDS)):
                return await self._pinned(image)
        except TimeoutError:
            message = f"The registry of {image.instance} has not said in time what the tag is."
            raise ScanFailure(Reason.REGISTRY_TIMEOUT, message) from None

    async def _pinned(self, image: ImageQuery) -> tuple[ImageQuery, Digest]:
        instance = await self._rules.get_instance(image.instance)
        name = await self._lookup.repository_name(instance, image)
        digest = image.digest
        if not digest:
            access = await self._rules.registry_access(instance.instance_id)
            digest = await self.ask(access, name, image)
        pinned = dataclasses.replace(
            image,
            instance=instance.instance_id,
            repo_id=repository_id(instance.instance_id, name),
            namespace=name.namespace,
            repository=name.name,
            digest=digest,
        )
        return pinned, digest
