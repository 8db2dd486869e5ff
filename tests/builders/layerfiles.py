"""Layers of an image as files on disk, as a fix reads them."""

from __future__ import annotations

import contextlib
import resource
import tarfile
from collections.abc import Iterator
from pathlib import Path

from services.lab.layer import BuiltLayer, Compression, LayerBuilder
from services.layers.file import LayerFile
from services.registry.interface import Descriptor


def layer_files(folder: Path, *layers: LayerBuilder | BuiltLayer, verified: bool = True) -> list[LayerFile]:
    """Each layer as a file of its own, the base first."""
    found = []
    for number, layer in enumerate(layers):
        built = layer.build(Compression.GZIP) if isinstance(layer, LayerBuilder) else layer
        path = folder / f"layer-{number}-{built.digest[7:19]}"
        path.write_bytes(built.content)
        descriptor = Descriptor(
            media_type=built.media_type_for(docker=False), digest=built.digest, size=len(built.content)
        )
        found.append(LayerFile(descriptor, path, verified))
    return found


def an_entry(path: str, kind: bytes = tarfile.REGTYPE, **attributes: object) -> tarfile.TarInfo:
    """A tar entry with these attributes, such as `uid` or `pax_headers`."""
    entry = tarfile.TarInfo(path)
    entry.type = kind
    for name, value in attributes.items():
        setattr(entry, name, value)
    return entry


@contextlib.contextmanager
def small_disk(size: int) -> Iterator[None]:
    """No file may grow beyond the size for the time of the block."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
