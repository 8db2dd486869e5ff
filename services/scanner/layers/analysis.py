"""What is kept of a layer: enough to coalesce images exactly without reading the layer again."""

from __future__ import annotations

import msgspec

from services.kernel.model.report import ReportWarning
from services.scanner.catalogers.interface import Evidence


class SymbolicLink(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A symbolic link of the layer."""

    path: str
    target: str


class LayerAnalysis(msgspec.Struct, frozen=True, kw_only=True):
    """All that a scan needs to know of one layer; immutable, made once per (layer digest, analyser versions).

    Paths have no leading slash and are normalised; entries that would escape the root are kept out and
    leave a warning.
    """

    diff_id: str
    """Digest of the uncompressed bytes, computed, not believed."""
    uncompressed_size: int
    entries: int
    evidence: tuple[Evidence, ...]
    """Of the files as they stand at the end of the layer: a path that occurs twice counts once, the last time."""
    claimed: tuple[str, ...]
    """Every path that a cataloger wants, whatever its type: it hides the same path of lower layers."""
    whiteouts: tuple[str, ...]
    """Paths deleted by `.wh.NAME` entries."""
    opaque: tuple[str, ...]
    """Directories whose lower content is hidden (`.wh..wh..opq`)."""
    links: tuple[SymbolicLink, ...]
    hard_links: tuple[SymbolicLink, ...]
    """Hard links whose own path or target a cataloger wants; the target is a path of the image."""
    non_directories: bytes
    """8-byte BLAKE2b of every path that is no directory, concatenated: such a path hides everything that lower
    layers have beneath it."""
    directories_claimed: tuple[str, ...]
    """Directories whose own path a cataloger would want as a file: they replace a lower file."""
    warnings: tuple[ReportWarning, ...]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(LayerAnalysis)


def encode_analysis(analysis: LayerAnalysis) -> bytes:
    """Returns the analysis as it is stored."""
    return _ENCODER.encode(analysis)


def decode_analysis(content: bytes) -> LayerAnalysis:
    """Reads a stored analysis.

    Raises:
        msgspec.DecodeError: the bytes were written by another version; the caller analyses the layer anew.
    """
    return _DECODER.decode(content)
