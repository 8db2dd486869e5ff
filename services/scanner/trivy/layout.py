"""The image as Trivy gets it: an OCI image layout with that one image, fetched and verified by us.

Trivy never speaks to a registry: it is given no credentials, and what a registry does wrong has the reasons that
it always has (decision 0024).
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from services.kernel.blocking import in_thread
from services.kernel.model.digest import Digest
from services.layers.fetch import fetch_layers
from services.layers.file import LayerFile
from services.registry.interface import Descriptor, ImageSource
from services.registry.resolve import ResolvedImage
from services.registry.spool import LayerSpool

_OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


async def write_image(
    source: ImageSource, image: ResolvedImage, spool: LayerSpool, folder: Path, concurrency: int
) -> None:
    """Fills a folder on the spool's disk.

    Raises:
        ScanFailure: something cannot be fetched; what is in the folder means nothing then.
    """
    raw = await source.manifest(image.manifest.digest)
    await in_thread(_write_frame, folder, raw.content, raw.digest, raw.media_type or _OCI_MANIFEST)
    await in_thread(_blob(folder, image.manifest.config.digest).write_bytes, image.config.content)

    async def keep(layer: LayerFile) -> None:
        blob = _blob(folder, layer.descriptor.digest)
        if layer.verified:  # a second name: the spool takes its own away
            await in_thread(os.link, layer.path, blob)
        else:  # somebody else's file, which may change: what Trivy gets is what was verified
            await _copy(source, layer.descriptor, blob)

    await fetch_layers(source, image.manifest.layers, spool, keep, concurrency)


async def _copy(source: ImageSource, layer: Descriptor, to: Path) -> None:
    with to.open("xb") as file:
        async with source.blob(layer) as chunks:
            async for chunk in chunks:
                await in_thread(file.write, chunk)


def _write_frame(folder: Path, manifest: bytes, digest: Digest, media_type: str) -> None:
    pointer = {"mediaType": media_type, "digest": digest, "size": len(manifest)}
    index = {"schemaVersion": 2, "manifests": [pointer]}
    for algorithm in ("sha256", "sha512"):
        (folder / "blobs" / algorithm).mkdir(parents=True)
    (folder / "oci-layout").write_bytes(b'{"imageLayoutVersion":"1.0.0"}')
    (folder / "index.json").write_bytes(msgspec.json.encode(index))
    _blob(folder, digest).write_bytes(manifest)


def _blob(folder: Path, digest: Digest) -> Path:
    algorithm, _, value = digest.partition(":")
    return folder / "blobs" / algorithm / value
