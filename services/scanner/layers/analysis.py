"""What is kept of a layer: enough to coalesce images exactly without reading the layer again."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from services.kernel.model.report import ReportWarning
from services.scanner.catalogers.interface import Evidence

WALKER_VERSION: Final = 1
"""Raised whenever the walker would tell something else of the same layer: see `catalogers.installed`."""
PATH_HASH_BYTES: Final = 8


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
    """`path_hash` of every path that is no directory, concatenated: such a path hides everything that lower
    layers have at it and beneath it. Whiteouts are not among them."""
    directories: bytes
    """`path_hash` of every directory that has an entry of its own, concatenated: it replaces a lower file or
    symbolic link, while a directory that is only implied by its content follows a lower symbolic link."""
    warnings: tuple[ReportWarning, ...]


def path_hash(path: str) -> bytes:
    """Returns the 8 bytes of BLAKE2b by which a path is kept where millions of them are."""
    return hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=PATH_HASH_BYTES).digest()


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
