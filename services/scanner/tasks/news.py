"""News of images: one LISTEN of the process wakes whoever waits for an image, and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

CHANNEL: Final = "drydock_scanner_images"
"""Triggers of `scanner.task` and `scanner.scan` tell the digest on it, at the end of the transaction."""


class Follower:
    """Somebody who waits for news of some digests."""

    def __init__(self, following: dict[str, set[Follower]]) -> None:
        self._following = following
        self._digests: set[str] = set()
        self.news = asyncio.Event()
        """Clear it before you look: what happens after that sets it again."""

    def follow(self, digests: Iterable[str]) -> bool:
        """Adds digests; returns whether one was new, of which news may have been missed until now."""
        new = set(digests) - self._digests
        for digest in new:
            self._following.setdefault(digest, set()).add(self)
        self._digests |= new
        return bool(new)

    def stop(self) -> None:
        """Follows nothing any more."""
        for digest in self._digests:
            others = self._following[digest]
            others.discard(self)
            if not others:
                del self._following[digest]
        self._digests.clear()


class ImageNews:
    """Knows who waits for which digest; `heard` is what `Wakeups.hear` wants."""

    def __init__(self) -> None:
        self._following: dict[str, set[Follower]] = {}

    def heard(self, digest: str) -> None:
        """Wakes who waits for the digest; everybody where it is empty."""
        concerned = [self._following.get(digest, set())] if digest else self._following.values()
        for followers in concerned:
            for follower in followers:
                follower.news.set()

    @contextmanager
    def follower(self, digests: Iterable[str]) -> Iterator[Follower]:
        """Yields somebody who follows these digests until exit."""
        following = Follower(self._following)
        following.follow(digests)
        try:
            yield following
        finally:
            following.stop()
