"""Images and indexes made in memory, and written as an OCI image layout.

Formats: OCI image-spec, manifest.md, image-index.md, image-layout.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from services.kernel.model import media
from services.kernel.model.digest import Digest, digest_of
from services.kernel.model.platform import Platform
from services.lab.layer import BuiltLayer

LINUX_AMD64 = Platform(os="linux", architecture="amd64")
LINUX_ARM64 = Platform(os="linux", architecture="arm64", variant="v8")
_CREATED = "2023-11-14T22:13:20Z"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BuiltImage:
    """One image: manifest, configuration and layers as bytes."""

    manifest: bytes
    media_type: str
    platform: Platform
    blobs: Mapping[Digest, bytes]
    """Configuration and layers."""
    layers: tuple[BuiltLayer, ...] = ()

    @property
    def digest(self) -> Digest:
        """Of the manifest."""
        return digest_of(self.manifest)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BuiltIndex:
    """An index with all that it points to."""

    manifest: bytes
    media_type: str
    children: tuple[Built, ...]

    @property
    def digest(self) -> Digest:
        """Of the index itself."""
        return digest_of(self.manifest)


Built = BuiltImage | BuiltIndex


def build_image(
    layers: Sequence[BuiltLayer],
    platform: Platform = LINUX_AMD64,
    config: Mapping[str, object] | None = None,
    *,
    docker: bool = False,
) -> BuiltImage:
    """Makes an image.

    Args:
        layers: from the base upward.
        platform: what it says it runs on.
        config: further keys of its configuration, such as `config` with `Env`. They win over ours,
            which name a user: nothing is wrong with an image of which nothing is said.
        docker: Docker's media types instead of OCI's.
    """
    configuration: dict[str, object] = {
        "created": _CREATED,
        "architecture": platform.architecture,
        "os": platform.os,
        "config": {"User": "1000"},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created": _CREATED, "created_by": "drydock lab"} for _ in layers],
    }
    if platform.variant:
        configuration["variant"] = platform.variant
    configuration |= config or {}
    content = msgspec.json.encode(configuration)
    media_type = media.DOCKER_MANIFEST if docker else media.OCI_MANIFEST
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": descriptor(media.DOCKER_CONFIG if docker else media.OCI_CONFIG, content),
        "layers": [descriptor(layer.media_type_for(docker=docker), layer.content) for layer in layers],
    }
    return BuiltImage(
        manifest=msgspec.json.encode(manifest),
        media_type=media_type,
        platform=platform,
        blobs={digest_of(content): content} | {layer.digest: layer.content for layer in layers},
        layers=tuple(layers),
    )


def build_index(children: Sequence[Built], *, docker: bool = False, attestations: bool = False) -> BuiltIndex:
    """Makes an index.

    Args:
        children: images or further indexes, in this order.
        docker: Docker's media type instead of OCI's.
        attestations: adds to each image an attestation in the form that BuildKit gives them.
    """
    media_type = media.DOCKER_INDEX if docker else media.OCI_INDEX
    all_children = list(children)
    entries = [_entry(child) for child in children]
    if attestations:
        for child in children:
            attestation = _attestation(child.digest)
            all_children.append(attestation)
            entries.append(
                descriptor(attestation.media_type, attestation.manifest)
                | {
                    "platform": {"os": "unknown", "architecture": "unknown"},
                    "annotations": {
                        "vnd.docker.reference.type": "attestation-manifest",
                        "vnd.docker.reference.digest": child.digest,
                    },
                }
            )
    index = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
    return BuiltIndex(manifest=msgspec.json.encode(index), media_type=media_type, children=tuple(all_children))


def descriptor(media_type: str, content: bytes) -> dict[str, object]:
    """Returns the JSON by which a manifest points to the content."""
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def blobs_of(built: Built) -> dict[Digest, bytes]:
    """Returns all blobs of an image or of everything beneath an index; manifests are none."""
    if isinstance(built, BuiltImage):
        return dict(built.blobs)
    found: dict[Digest, bytes] = {}
    for child in built.children:
        found |= blobs_of(child)
    return found


def manifests_of(built: Built) -> list[Built]:
    """Returns the manifests in the order in which a registry takes them: children before their index."""
    if isinstance(built, BuiltImage):
        return [built]
    return [found for child in built.children for found in manifests_of(child)] + [built]


def write_layout(directory: Path, images: Mapping[str, Built]) -> None:
    """Writes an OCI image layout with one entry for each tag; an empty tag makes an entry without a name."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    entries = []
    for tag, built in images.items():
        contents = list(blobs_of(built).values()) + [each.manifest for each in manifests_of(built)]
        for content in contents:
            (blobs / digest_of(content).removeprefix("sha256:")).write_bytes(content)
        named = {"annotations": {"org.opencontainers.image.ref.name": tag}} if tag else {}
        entries.append(_entry(built) | named)
    index = {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": entries}
    (directory / "index.json").write_bytes(msgspec.json.encode(index))
    (directory / "oci-layout").write_bytes(msgspec.json.encode({"imageLayoutVersion": "1.0.0"}))


def _entry(built: Built) -> dict[str, object]:
    entry = descriptor(built.media_type, built.manifest)
    if isinstance(built, BuiltImage):
        entry["platform"] = msgspec.to_builtins(built.platform)
    return entry


def _attestation(subject: Digest) -> BuiltImage:
    statement = msgspec.json.encode(
        {"_type": "https://in-toto.io/Statement/v0.1", "subject": [{"digest": subject}]}
    )
    config = msgspec.json.encode(
        {
            "architecture": "unknown",
            "os": "unknown",
            "rootfs": {"type": "layers", "diff_ids": [digest_of(statement)]},
        }
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": media.OCI_MANIFEST,
        "config": descriptor(media.OCI_CONFIG, config),
        "layers": [descriptor("application/vnd.in-toto+json", statement)],
    }
    return BuiltImage(
        manifest=msgspec.json.encode(manifest),
        media_type=media.OCI_MANIFEST,
        platform=Platform(os="unknown", architecture="unknown"),
        blobs={digest_of(content): content for content in (statement, config)},
    )
