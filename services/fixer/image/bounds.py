"""How large an image may be that is fixed: what is above it ends the fix with IMAGE_TOO_LARGE."""

from __future__ import annotations

import dataclasses

from services.layers.limits import LayerLimits


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TreeLimits:
    """What of an image is held in memory at most while it is fixed."""

    nodes: int = 2_000_000
    """Files, directories and links, those of lower layers counted that are gone; about 170 bytes each."""
    names_bytes: int = 192 << 20
    """Names, targets of links and extended attributes."""
    content_bytes: int = 256 << 20
    """What the files have together whose content is wanted."""
    layer: LayerLimits = dataclasses.field(default_factory=LayerLimits)
    """Of each layer, as for a scan."""
