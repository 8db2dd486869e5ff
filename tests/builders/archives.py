"""Archives of images, as skopeo and `docker save` write them, and as they should not be."""

from __future__ import annotations

import io
import posixpath
import tarfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from services.kernel.model.digest import digest_of
from services.kernel.model.reference import parse_reference
from services.kernel.reasons import ScanFailure
from services.lab.image import Built, BuiltImage, write_layout
from services.registry.interface import ImageIndex
from services.registry.limits import ImageLimits, SourceSettings
from services.registry.resolve import ResolvedImage, resolve
from services.scanner.images.open import name_in_source, open_source
from tests.builders.images import read_blob
from tests.builders.tars import END, tar_file


def tar_of(files: Mapping[str, bytes], *, prefix: str = "") -> bytes:
    """A tar archive of these files, folders left out."""
    members = [tar_file(f"{prefix}{name}".encode(), content) for name, content in files.items()]
    return b"".join(members) + END


def layout_files(folder: Path, images: Mapping[str, Built]) -> dict[str, bytes]:
    """The files of an OCI image layout by their paths; `folder` is scratch."""
    write_layout(folder, images)
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def docker_files(images: Mapping[str, BuiltImage], *, plain: bool = False) -> dict[str, bytes]:
    """What Docker from version 25 on writes: all content below `blobs`, and `manifest.json` beside it.

    Args:
        images: by their names, such as `team/app:1.0`; an empty one makes an untagged image.
        plain: the names of files that podman and skopeo give.
    """
    files: dict[str, bytes] = {}
    entries = []
    for name, image in images.items():
        config, *layers = image.blobs.values()
        paths = []
        for content, end in ((config, ".json"), *((layer, ".tar") for layer in layers)):
            hexadecimal = digest_of(content).removeprefix("sha256:")
            paths.append(f"{hexadecimal}{end}" if plain else f"blobs/sha256/{hexadecimal}")
            files[paths[-1]] = content
        entries.append({"Config": paths[0], "RepoTags": [name] if name else None, "Layers": paths[1:]})
    files["manifest.json"] = msgspec.json.encode(entries)
    return files


def legacy_docker_archive(image: BuiltImage, name: str, twice: str) -> bytes:
    """What Docker before version 25 wrote: a folder for each layer, a link where a layer comes again.

    Args:
        image: with layers.
        name: of the image.
        twice: folder in which its first layer is linked once more.
    """
    config, *layers = image.blobs.values()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:

        def add(path: str, content: bytes) -> None:
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))

        folders = [digest_of(layer).removeprefix("sha256:") for layer in layers]
        for folder, layer in zip(folders, layers, strict=True):
            directory = tarfile.TarInfo(folder)
            directory.type = tarfile.DIRTYPE
            tar.addfile(directory)
            add(f"{folder}/VERSION", b"1.0")
            add(f"{folder}/layer.tar", layer)
        link = tarfile.TarInfo(f"{twice}/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, posixpath.join("..", folders[0], "layer.tar")
        tar.addfile(link)
        add("config.json", config)
        paths = [f"{folder}/layer.tar" for folder in (*folders, twice)]
        add("manifest.json", msgspec.json.encode([{"Config": "config.json", "RepoTags": [name], "Layers": paths}]))
        add("repositories", b"{}")
    return buffer.getvalue()


async def resolved(reference: str, limits: ImageLimits | None = None) -> ResolvedImage | ImageIndex:
    """What a name leads to, once every layer of it has been read."""
    parsed = parse_reference(reference)
    settings = SourceSettings(limits=limits or ImageLimits())
    async with open_source(parsed, None, settings) as source:
        found = await resolve(source, name_in_source(parsed), None, settings.limits)
        if isinstance(found, ResolvedImage):
            for layer in found.manifest.layers:
                await read_blob(source, layer)
        return found


async def failure_of(reference: str, limits: ImageLimits | None = None) -> ScanFailure:
    """The failure that a name leads to."""
    with pytest.raises(ScanFailure) as caught:
        await resolved(reference, limits)
    return caught.value


def saved(folder: Path, content: bytes) -> Path:
    """The content as a file."""
    path = folder / "image.tar"
    path.write_bytes(content)
    return path


def docker_archive(folder: Path, files: Mapping[str, bytes]) -> str:
    """The name of a tar file of these files."""
    return f"docker-archive:{saved(folder, tar_of(files))}"


def oci_archive(folder: Path, files: Mapping[str, bytes]) -> str:
    """The name of a tar file of these files."""
    return f"oci-archive:{saved(folder, tar_of(files))}"
