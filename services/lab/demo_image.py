"""The image of the demo: a Debian 12 package database written for it, real old wheels, and harmless finds."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from services.lab.image import BuiltImage, build_image
from services.lab.layer import BuiltLayer, LayerBuilder

SITE_PACKAGES = "usr/local/lib/python3.11/site-packages"
_MAX_WHEEL_BYTES = 64 * 1024 * 1024
"""Unpacked; the largest of the demo's wheels has a third of it."""

_OS_RELEASE = """\
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=debian
"""


_KEY_FILE = "root/.aws/credentials"
_MADE_UP_KEY = "AKIA" + "4HZQTWNYBLK73RDV"
"""Of nobody: in two parts, so that this file is no find itself."""
_EICAR = r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR" + "-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
"""The test file that every scanner of malware knows, in two parts for the same reason."""


class DebianPackage(NamedTuple):
    """A binary package, installed at an old version."""

    name: str
    version: str
    source: str = ""
    """Empty when the source has the same name."""


OLD_PACKAGES = (
    DebianPackage("base-files", "12.4"),
    DebianPackage("bash", "5.2.15-2+b2", "bash (5.2.15-2)"),
    DebianPackage("ca-certificates", "20230311"),
    DebianPackage("curl", "7.88.1-10"),
    DebianPackage("dpkg", "1.21.22"),
    DebianPackage("libc-bin", "2.36-9", "glibc"),
    DebianPackage("libc6", "2.36-9", "glibc"),
    DebianPackage("libcurl4", "7.88.1-10", "curl"),
    DebianPackage("libexpat1", "2.5.0-1", "expat"),
    DebianPackage("libssl3", "3.0.9-1", "openssl"),
    DebianPackage("libxml2", "2.9.14+dfsg-1.2"),
    DebianPackage("openssl", "3.0.9-1"),
    DebianPackage("python3.11-minimal", "3.11.2-6", "python3.11"),
    DebianPackage("tzdata", "2023c-5"),
    DebianPackage("zlib1g", "1:1.2.13.dfsg-1", "zlib"),
)


def build_demo_image(wheels: Sequence[Path]) -> BuiltImage:
    """Makes an image for linux/amd64: Debian below, Python packages above, then what is planted and a layer that
    deletes some of it.

    Blocks for a second or so. Only data is in it, no program: it is there to be scanned, not to be run.

    Raises:
        ValueError: a wheel is larger than any of the demo's, or names a path outside of itself.
    """
    layers = [_debian_layer(), _python_layer(wheels), _planted_layer(), LayerBuilder().whiteout(_KEY_FILE).build()]
    return build_image(layers, config={"config": {"Cmd": ["python3"]}})


def _debian_layer() -> BuiltLayer:
    layer = LayerBuilder()
    for folder in ("etc", "usr", "usr/lib", "var", "var/lib", "var/lib/dpkg"):
        layer.directory(folder)
    layer.file("usr/lib/os-release", _OS_RELEASE)
    layer.symlink("etc/os-release", "../usr/lib/os-release")
    layer.file("var/lib/dpkg/status", "\n".join(map(_stanza, OLD_PACKAGES)))
    return layer.build()


def _planted_layer() -> BuiltLayer:
    """Makes what rules on content find; nothing of it opens or harms anything."""
    layer = LayerBuilder()
    layer.file(_KEY_FILE, f"[default]\naws_access_key_id = {_MADE_UP_KEY}\n")
    layer.file("srv/uploads/eicar.com", _EICAR)
    layer.file("etc/ssh/sshd_config", "PermitRootLogin yes\n")
    layer.file("opt/planted/helper", "planted for the demo\n", mode=0o4755)
    return layer.build()


def _stanza(package: DebianPackage) -> str:
    source = f"Source: {package.source}\n" if package.source else ""
    return (
        f"Package: {package.name}\n"
        "Status: install ok installed\n"
        "Maintainer: Drydock demo\n"
        "Architecture: amd64\n"
        f"{source}"
        f"Version: {package.version}\n"
        "Description: written for the demo, with nothing behind it\n"
    )


def _python_layer(wheels: Sequence[Path]) -> BuiltLayer:
    layer = LayerBuilder().directory("usr/local")
    for wheel in wheels:
        for name, content in _unpacked(wheel.read_bytes()):
            layer.file(f"{SITE_PACKAGES}/{name}", content)
    return layer.build()


def _unpacked(wheel: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        if sum(entry.file_size for entry in entries) > _MAX_WHEEL_BYTES:
            raise ValueError("a wheel of the demo is larger than any that it knows")
        if any(entry.filename.startswith("/") or ".." in entry.filename.split("/") for entry in entries):
            raise ValueError("a wheel of the demo names a path outside of itself")
        return [(entry.filename, archive.read(entry)) for entry in entries]
