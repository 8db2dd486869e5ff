"""Layers with package records in them, analysed as a scan would."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from services.kernel.model.report import Layer
from services.lab.layer import BuiltLayer, Compression, LayerBuilder
from services.layers.limits import LayerLimits
from services.scanner.layers.analyse import analyse_layer
from services.scanner.layers.analysis import LayerAnalysis, decode_analysis
from services.scanner.pipeline.coalesce import Coalesced, coalesce

STATUS = "var/lib/dpkg/status"
APK = "lib/apk/db/installed"
APK_MOVED = "usr/lib/apk/db/installed"
DEBIAN = 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
ALPINE = "ID=alpine\nVERSION_ID=3.18.4\n"


def dpkg_status(**packages: str) -> str:
    """A status file with installed packages, name to version."""
    return "\n".join(
        f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n"
        for name, version in packages.items()
    )


def apk_installed(**packages: str) -> str:
    """An installed database, name to version."""
    return "".join(f"P:{name}\nV:{version}\nA:x86_64\n\n" for name, version in packages.items())


def metadata(name: str, version: str) -> str:
    """A wheel's METADATA."""
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nLong description.\n"


def analysed(layer: BuiltLayer, folder: Path) -> tuple[Layer, LayerAnalysis]:
    """Analyses a layer by way of a file in the folder."""
    file = folder / layer.digest.replace(":", "-")
    file.write_bytes(layer.content)
    encoded = analyse_layer(str(file), media_type=layer.media_type_for(docker=False), limits=LayerLimits())
    told = Layer(digest=layer.digest, diff_id=layer.diff_id, size=len(layer.content))
    return told, decode_analysis(encoded)


def coalesced(layers: Sequence[LayerBuilder], folder: Path) -> tuple[Coalesced, tuple[str, ...]]:
    """Coalesces layers, from the base upward; returns also their digests."""
    built = [analysed(layer.build(Compression.NONE), folder) for layer in layers]
    return coalesce(built), tuple(layer.digest for layer, _ in built)
