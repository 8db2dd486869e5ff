"""The inventory of an image that exists in memory only: what the pipeline does between fetching and matching."""

from __future__ import annotations

from pathlib import Path

from services.kernel.model.report import Layer
from services.lab.image import BuiltImage
from services.layers.limits import LayerLimits
from services.scanner.layers.analyse import analyse_layer
from services.scanner.layers.analysis import decode_analysis
from services.scanner.pipeline.coalesce import Coalesced, coalesce


def inventory_of(image: BuiltImage, scratch: Path) -> Coalesced:
    """Analyses every layer and coalesces them."""
    analyses = []
    for number, built in enumerate(image.layers):
        file = scratch / f"layer-{number}"
        file.write_bytes(built.content)
        media_type = built.media_type_for(docker=False)
        analysis = decode_analysis(analyse_layer(str(file), media_type=media_type, limits=LayerLimits()))
        layer = Layer(digest=built.digest, diff_id=built.diff_id, size=len(built.content))
        assert analysis.diff_id == built.diff_id
        analyses.append((layer, analysis))
    return coalesce(analyses)
