"""Bounds for reading one layer: hostile content ends the scan with a reason, never the machine's memory."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LayerLimits:
    """How much of a layer is read at most; a bound that is passed ends the scan with the reason named."""

    uncompressed_bytes: int = 64 << 30
    """LAYER_TOO_LARGE above it."""
    expansion: int = 1000
    """LAYER_EXPANDS_TOO_FAR when the layer is more than so many times its stored size."""
    expansion_free_bytes: int = 64 << 20
    """A layer may always expand to this, however small it is stored."""
    entries: int = 5_000_000
    """LAYER_TOO_MANY_ENTRIES above it. Each takes 8 bytes of memory."""
    names_bytes: int = 256 << 20
    """LAYER_TOO_MANY_ENTRIES when records, links and whiteouts, which are kept by name, take more than this."""
    evidence_files: int = 200_000
    """LAYER_TOO_MANY_ENTRIES when more files than these want reading."""
    evidence_bytes: int = 8 << 30
    """LAYER_TOO_MANY_ENTRIES when the files that want reading have more bytes than these together. They are held
    one at a time; of Java's archives there may be gigabytes."""
    packages: int = 1_000_000
    """LAYER_TOO_MANY_ENTRIES when those files tell of more packages, and warnings, than these."""
    path_depth: int = 1024
    """LAYER_PATH_TOO_DEEP for a name, or the target of a link, of more parts."""
    path_bytes: int = 16 << 10
    """LAYER_CORRUPT for a longer name; Linux opens 4,096 bytes at once."""
    header_bytes: int = 1 << 20
    """LAYER_CORRUPT for a longer extended header."""
    zstd_blocks: int = 4_000_000
    """LAYER_CORRUPT when a zstd file has more blocks: 128 KiB each is what a full one holds."""
