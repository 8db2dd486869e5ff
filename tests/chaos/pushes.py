"""What registries live through: new images on shared layers, old ones elsewhere, moved tags, indexes, rubbish."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Sequence

from services.kernel.model.digest import digest_of
from services.lab.image import LINUX_AMD64, LINUX_ARM64, Built, build_image, build_index
from services.lab.layer import BuiltLayer, Compression, LayerBuilder
from services.lab.push import push_image
from tests.registries import RunningRegistry

REPOSITORIES = ("team/app", "team/job", "shop/web")
TAGS = tuple(f"v{number}" for number in range(12))
_OS_RELEASE = 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
_JINJA = "Metadata-Version: 2.1\nName: Jinja2\nVersion: 2.10\n\n"
_BASE = LayerBuilder().file("etc/os-release", _OS_RELEASE).build()
_SITE = LayerBuilder().file("usr/lib/python3/site-packages/Jinja2-2.10.dist-info/METADATA", _JINJA).build()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """A push that Drydock has answered for."""

    number: int
    instance_id: str
    repository: str
    tag: str
    digest: str
    broken: bool
    """No scanner can read its layer."""


class Image:
    """What may be pushed, again and again."""

    def __init__(self, built: Built, *, broken: bool) -> None:
        self.built = built
        self.broken = broken


def new_image(chance: random.Random, salt: str) -> Image:
    """An image, an index or something broken; another salt makes another digest."""
    kind = chance.random()
    if kind < 0.04:
        rubbish = f"no layer {salt}".encode()
        layer = BuiltLayer(content=rubbish, diff_id=digest_of(rubbish), compression=Compression.GZIP)
        return Image(build_image([_BASE, layer]), broken=True)
    own = LayerBuilder().file("salt", salt).file("filler", chance.randbytes(20_000)).build()
    if kind < 0.14:
        platforms = (LINUX_AMD64, LINUX_ARM64)
        children = [build_image([_BASE, _SITE, own], platform) for platform in platforms]
        return Image(build_index(children), broken=False)
    if kind < 0.4:  # all layers known: only its configuration is its own
        return Image(build_image([_BASE, _SITE], config={"author": salt}), broken=False)
    return Image(build_image([_BASE, _SITE, own]), broken=False)


class Counter:
    """How many pushes of all were answered for; strokes wait for a number."""

    def __init__(self) -> None:
        self.pushes: list[Push] = []
        self._changed = asyncio.Condition()

    async def add(self, push: Push) -> None:
        async with self._changed:
            self.pushes.append(push)
            self._changed.notify_all()

    async def reach(self, number: int) -> None:
        """Waits until so many are answered for."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.pushes) >= number)


async def push_all(
    registry: RunningRegistry,
    instance_id: str,
    numbers: Sequence[int],
    *,
    seed: int,
    counter: Counter,
) -> None:
    """Pushes so many, one after the other; each is told to Drydock until it answers 2xx, as registries do."""
    assert registry.lab is not None
    chance = random.Random(f"{seed} {numbers[0]}")
    images: list[Image] = []
    for number in numbers:
        if images and chance.random() < 0.25:
            image = chance.choice(images)
        else:
            image = new_image(chance, f"{seed} {number}")
            images.append(image)
        repository, tag = chance.choice(REPOSITORIES), chance.choice(TAGS)
        digest = await push_image(registry.access, repository, tag, image.built)
        await registry.lab.notified()
        push = Push(
            number=number,
            instance_id=instance_id,
            repository=repository,
            tag=tag,
            digest=digest,
            broken=image.broken,
        )
        await counter.add(push)
