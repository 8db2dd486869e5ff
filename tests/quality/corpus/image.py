"""What an image of the corpus is, before it is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from services.lab.layer import BuiltLayer, LayerBuilder


class Unavailable(Exception):
    """Something that an image is made of cannot be had here; the text says what, and what would help."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CorpusImage:
    """An image that the project makes itself."""

    name: str
    origin: str
    """What in it is real and what is made for the corpus, for readers of docs/quality.md."""
    build: Callable[[Path], Sequence[BuiltLayer]]
    """Makes its layers, from the base upward; is given the cache for what it downloads. May raise Unavailable."""
    locks: bool = False
    """True when it holds lock files, which Trivy reads in folders only."""


def layer_of(files: Mapping[str, bytes | str], *, mode: int = 0o644) -> BuiltLayer:
    """Makes one layer of some files, with the folders that they lie in."""
    layer = LayerBuilder()
    folders = {str(parent) for path in files for parent in Path(path).parents if str(parent) != "."}
    for folder in sorted(folders):
        layer.directory(folder)
    for path, content in files.items():
        layer.file(path, content, mode=mode)
    return layer.build()
