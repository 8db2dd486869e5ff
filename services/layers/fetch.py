"""Fetch: brings layers to the spool, a few at a time, and hands each one on as soon as it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from services.kernel.groups import cause_of
from services.kernel.model import media
from services.kernel.model.digest import Digest
from services.kernel.reasons import Reason, ScanFailure
from services.layers.file import LayerFile
from services.registry.interface import Descriptor, ImageSource
from services.registry.spool import LayerSpool

Analyse = Callable[[LayerFile], Awaitable[None]]
"""Takes a layer file, as stored in the registry. A file of the spool is gone when it returns."""


async def fetch_layers(
    source: ImageSource,
    layers: Iterable[Descriptor],
    spool: LayerSpool,
    analyse: Analyse,
    concurrency: int = 2,
) -> None:
    """Fetches every layer once and has it analysed; returns when all are done.

    The largest come first: when the last ones are read, nobody waits for a large one. What the source has on disk
    is read where it lies.

    Args:
        source: where the layers are.
        layers: those that have no analysis yet; a digest that occurs twice is fetched once.
        spool: where the files lie meanwhile.
        analyse: called for each layer, at most `concurrency` at a time. It must not
            lease from the spool itself: two that wait for each other's room would wait for ever.
        concurrency: layers in work at a time.

    Raises:
        ScanFailure: the first failure; the other layers are dropped then. UNSUPPORTED_MEDIA_TYPE comes before
            anything is fetched.
    """
    wanted: dict[Digest, Descriptor] = {}
    for layer in layers:
        _check_media_type(layer)
        wanted.setdefault(layer.digest, layer)
    waiting = iter(sorted(wanted.values(), key=lambda layer: -layer.size))

    async def work() -> None:
        for layer in waiting:
            if place := await source.place(layer):
                await analyse(LayerFile(layer, place, verified=False))
                continue
            async with spool.lease(source, layer) as path:
                await analyse(LayerFile(layer, path))

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(min(concurrency, len(wanted))):
                group.create_task(work(), name=f"fetch-layer-{number}")
    except BaseExceptionGroup as failures:
        raise cause_of(failures) from None


def _check_media_type(layer: Descriptor) -> None:
    if media.is_readable_layer(layer.media_type):
        return
    if media.is_foreign(layer.media_type):
        raise ScanFailure(
            Reason.UNSUPPORTED_MEDIA_TYPE,
            f"The layer {layer.digest} is foreign ({layer.media_type[:120]!r}): the registry does not hold it.",
            hint="Such layers are base layers of Windows images, which are not scanned.",
        )
    raise ScanFailure(
        Reason.UNSUPPORTED_MEDIA_TYPE,
        f"The layer {layer.digest} has the media type {layer.media_type[:120]!r}, which cannot be read.",
        hint="Layers are tar archives: plain, gzip or zstd, and not encrypted.",
    )
