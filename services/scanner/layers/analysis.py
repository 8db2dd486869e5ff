"""What is kept of a layer: enough to coalesce images exactly without reading the layer again."""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from services.kernel.model.report import ReportWarning
from services.scanner.catalogers.interface import Evidence

WALKER_VERSION: Final = 5
"""Raised whenever the same layer would give another analysis with the same catalogers."""


class NodeKind(enum.IntEnum):
    """What a remembered entry is."""

    FILE = 0
    """A regular file that gave evidence."""
    SYMBOLIC_LINK = 1
    HARD_LINK = 2


class Remembered(msgspec.Struct, frozen=True, kw_only=True, array_like=True, omit_defaults=True):
    """An entry that is known by name: evidence, or what may be a way to it."""

    position: int
    """Its place in the layer, counted in `LayerAnalysis.paths`."""
    kind: NodeKind
    path: str
    target: str = ""
    """Of a symbolic link as written; of a hard link a path of the image."""
    wanted: bool = False
    """Whether a cataloger wants the path, or, of a symbolic link, would want what a folder there held."""
    evidence: tuple[int, ...] = ()
    """Of a file: places in `LayerAnalysis.evidence`, one for each cataloger that found something in it."""


class LayerAnalysis(msgspec.Struct, frozen=True, kw_only=True):
    """All that a scan needs to know of one layer; immutable, made once per (layer digest, analyser versions).

    Paths have no leading slash and are normalised (`layers.paths`); entries that would escape the root are kept
    out and leave a warning. Entries keep the order of the layer, because what unpacks it goes by that.
    """

    diff_id: str
    """Digest of the uncompressed bytes, computed, not believed."""
    uncompressed_size: int
    entries: int
    """Entries in the archive, whiteouts and all."""
    evidence: tuple[Evidence, ...]
    """In the order of reading. A path that occurs twice is here twice; the later one replaces the other."""
    remembered: tuple[Remembered, ...]
    """Evidence and all links, in the order of the layer: any hard link may lead to evidence of a lower layer."""
    whiteouts: tuple[str, ...]
    """Paths of lower layers that `.wh.NAME` entries delete."""
    opaque: tuple[str, ...]
    """Directories whose lower content is hidden (`.wh..wh..opq`); empty for the root."""
    paths: bytes
    """For every entry but whiteouts, in the order of the layer, 8 bytes, little endian: the path's fingerprint,
    with the lowest bit set for a directory. By it an entry is recognised that replaces something of a lower
    layer, or hides it by standing in its way."""
    warnings: tuple[ReportWarning, ...]
    lacking: bool = False
    """Whether somebody who was asked failed to answer: it serves the scan that it was made for, and no other."""


class AnalysisHead(msgspec.Struct, frozen=True):
    """What is read of a stored analysis whose rest may be large."""

    diff_id: str
    lacking: bool = False


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(LayerAnalysis)
_HEAD = msgspec.msgpack.Decoder(AnalysisHead)


def encode_analysis(analysis: LayerAnalysis) -> bytes:
    """Returns the analysis as it is stored."""
    return _ENCODER.encode(analysis)


def decode_analysis(content: bytes) -> LayerAnalysis:
    """Reads a stored analysis.

    Raises:
        msgspec.DecodeError: the bytes were written by another version; the caller analyses the layer anew.
    """
    return _DECODER.decode(content)


def decode_head(content: bytes) -> AnalysisHead:
    """Reads only what everybody needs to know of a stored analysis.

    Raises:
        msgspec.DecodeError: as `decode_analysis`.
    """
    return _HEAD.decode(content)
