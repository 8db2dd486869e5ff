"""Media types of manifests, configurations and layers, and what each of them is.

Sources: OCI image-spec, media-types.md; distribution, "Image Manifest Version 2, Schema 2", section "Media Types".
"""

from __future__ import annotations

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = f"{DOCKER_LAYER}.gzip"

MANIFEST_TYPES = frozenset({DOCKER_MANIFEST, OCI_MANIFEST})
INDEX_TYPES = frozenset({DOCKER_INDEX, OCI_INDEX})
CONFIG_TYPES = frozenset({DOCKER_CONFIG, OCI_CONFIG})
ACCEPT = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST))
"""All four together: a registry that misses the stored type in the list answers 404."""

_SCHEMA_1 = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)
_LAYER_FAMILIES = (
    "application/vnd.oci.image.layer.",
    "application/vnd.docker.image.rootfs.",
)
_FOREIGN = (
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
)
_READABLE = frozenset(
    {
        *(OCI_LAYER + suffix for suffix in ("", "+gzip", "+zstd")),
        *(DOCKER_LAYER + suffix for suffix in ("", ".gzip", ".zstd")),
    }
)


def is_schema_1(media_type: str) -> bool:
    """Tells whether it is the manifest format that Docker gave up in 2017."""
    return media_type in _SCHEMA_1


def is_layer(media_type: str) -> bool:
    """Tells whether it names a filesystem layer at all, readable by us or not."""
    return media_type.startswith(_LAYER_FAMILIES)


def is_foreign(media_type: str) -> bool:
    """Tells whether the layer's licence keeps it out of registries (Windows base layers)."""
    return media_type.startswith(_FOREIGN)


def is_readable_layer(media_type: str) -> bool:
    """Tells whether it is a tar layer, plain, gzip or zstd; an encrypted one is not."""
    return media_type in _READABLE


def bare(content_type: str) -> str:
    """Returns a Content-Type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()
