"""Archives of images, as skopeo and `docker save` write them, and as they should not be."""

from __future__ import annotations

import io
import posixpath
import tarfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from services.kernel.model.digest import digest_of
from services.lab.image import Built, BuiltImage, write_layout
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
