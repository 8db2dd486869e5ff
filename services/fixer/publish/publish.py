"""Writes a fixed image: its parts by digest, then, if nobody came between, the tag.

A registry compares nothing while it writes a tag. What is left of the race, between the last look at the tag and
the write, is told in `docs/decisions/0046-what-a-fix-writes-over.md`.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

from services.fixer.failure import FixFailure, FixReason
from services.fixer.image.mark import fix_of
from services.fixer.order import Pushed
from services.fixer.publish.tags import backup_tag
from services.kernel.model.digest import Digest
from services.registry.ask import digest_if_there
from services.registry.interface import Descriptor, RawManifest
from services.registry.push import RegistryPush
from services.registry.refusals import PushRefused

_MOMENTS: Final = (0.1, 0.4, 1.5, 3.0)
"""Seconds between looks at a tag that was just written."""
AboutToPush = Callable[[Pushed], Awaitable[None]]
"""Notes what is about to be written, and returns once that is durable; may raise: then nothing is written."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What is to be written."""

    tag: str
    top: RawManifest
    """What the tag is to hold: an image, or an index."""
    manifests: tuple[RawManifest, ...] = ()
    """What the index leads to and the repository has not, children before the indexes that lead to them."""
    blobs: tuple[tuple[Descriptor, bytes | Path], ...] = ()
    """Configurations and layers, all that the repository has not."""
    replaces: Digest | None = None
    """What the tag must hold to be written over; None for a tag of its own, free or with a fix of ours."""


class Publisher:
    """Writes to one repository."""

    def __init__(self, push: RegistryPush, *, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        self._push = push
        self._sleep = sleep

    async def check(self, tag: str, replaces: Digest | None, before: Pushed | None = None) -> str:
        """Looks whether a tag may be written; returns what it holds, empty for nothing.

        Asked before anything is built, it saves the work; `publish` asks again.

        Raises:
            FixFailure: TAG_TAKEN, TAG_MOVED; ScanFailure: a registry reason.
        """
        holds = await self._holds(tag)
        if before is not None and holds == before.digest:
            return holds  # an earlier attempt of the same task wrote it
        if replaces is not None:
            if holds != replaces:
                raise self._moved(tag, holds, f"was scanned as {replaces}")
        elif holds and fix_of((await self._push.source.manifest(holds)).content) is None:
            raise FixFailure(
                FixReason.TAG_TAKEN,
                f"{self._push.repository}:{tag} exists, and is no fix of ours; it is not written over.",
                hint="Delete the tag, or give it another name, if it may go.",
            )
        return holds

    async def publish(
        self, publication: Publication, about_to_push: AboutToPush, before: Pushed | None = None
    ) -> Pushed:
        """Writes all of it; called again after a crash it goes on, or finds its work done.

        What the tag held stays reachable by a backup tag, written first. Nothing but the tag is ever changed.

        Args:
            publication: what is to be written.
            about_to_push: called right before the tag is written.
            before: what an earlier attempt of the same task noted.

        Raises:
            FixFailure: TAG_TAKEN, TAG_MOVED, and what the registry refuses; ScanFailure: a registry reason. The
                tag holds what it held, but where somebody else wrote it after us.
        """
        push, top, tag = self._push, publication.top, publication.tag
        with told():
            holds = await self.check(tag, publication.replaces, before)
            if holds == top.digest:
                ours = before if before is not None and before.digest == holds else None
                return ours or Pushed(tag=tag, digest=top.digest, previous="", backup_tag="")
            for descriptor, content in publication.blobs:
                await push.upload(descriptor, content)
            for raw in (*publication.manifests, top):
                await push.put_manifest(raw, raw.digest)
            pushed = await self._noted(tag, top.digest, holds, before)
            await about_to_push(pushed)
            await self._unmoved(tag, holds)
            await push.put_manifest(top, tag)
            await self._written(tag, top.digest, holds)
        return pushed

    async def revert(self, pushed: Pushed) -> Digest:
        """Puts back what a tag held before a fix; finds its work done where that is so already.

        Returns what the tag holds now.

        Raises:
            FixFailure: NOTHING_TO_FIX where nothing was written over, TAG_MOVED where the tag does not hold the
                fix any more, and what the registry refuses; ScanFailure: a registry reason.
        """
        if not pushed.previous:
            raise FixFailure(
                FixReason.NOTHING_TO_FIX,
                f"The fix {self._push.repository}:{pushed.tag} was written over nothing that could be put back.",
                hint="Delete the tag if it is not wanted.",
            )
        previous = Digest(pushed.previous)
        with told():
            holds = await self._holds(pushed.tag)
            if holds == previous:
                return previous
            if holds != pushed.digest:
                raise self._moved(pushed.tag, holds, f"held the fix {pushed.digest}")
            raw = await self._push.source.manifest(previous)
            await self._unmoved(pushed.tag, pushed.digest)
            await self._push.put_manifest(raw, pushed.tag)
            await self._written(pushed.tag, previous, holds)
        return previous

    async def _noted(self, tag: str, digest: Digest, holds: str, before: Pushed | None) -> Pushed:
        """Keeps what the tag holds reachable, and returns what is to be noted."""
        if before is not None and holds == before.digest:
            # Our own earlier attempt is written over: what is put back is what was there before that.
            return dataclasses.replace(before, digest=digest)
        if not holds:
            return Pushed(tag=tag, digest=digest, previous="", backup_tag="")
        backup = backup_tag(Digest(holds))
        kept = await digest_if_there(self._push.source, backup)
        if kept is None:
            await self._push.put_manifest(await self._push.source.manifest(holds), backup)
        elif kept != holds:
            raise FixFailure(
                FixReason.TAG_TAKEN,
                f"{self._push.repository}:{backup} exists and holds something else than its name says.",
                hint="Delete that tag: it keeps images reachable that fixes were written over.",
            )
        return Pushed(tag=tag, digest=digest, previous=holds, backup_tag=backup)

    async def _written(self, tag: str, digest: Digest, before: str) -> None:
        """Makes sure that a tag holds what was just written; some registries tell of the old for a moment."""
        for seconds in _MOMENTS:
            if await self._holds(tag) != before:
                break
            await self._sleep(seconds)
        await self._unmoved(tag, digest)

    async def _unmoved(self, tag: str, digest: str) -> None:
        holds = await self._holds(tag)
        if holds != digest:
            raise self._moved(tag, holds, f"held {digest or 'nothing'} a moment ago")

    async def _holds(self, tag: str) -> str:
        return await digest_if_there(self._push.source, tag) or ""

    def _moved(self, tag: str, holds: str, was: str) -> FixFailure:
        return FixFailure(
            FixReason.TAG_MOVED,
            f"{self._push.repository}:{tag} {was} and holds {holds or 'nothing'} now: somebody else pushed.",
            hint="Scan the tag as it is now, and ask for a new fix.",
            metadata={"digest": holds},
        )


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Gives what a registry refuses the fix's own reason, of the same name."""
    try:
        yield
    except PushRefused as refusal:
        why = FixReason[refusal.why.value]
        raise FixFailure(why, refusal.message, hint=refusal.hint, metadata=refusal.metadata) from refusal
