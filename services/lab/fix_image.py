"""The image of the demo of fixes, and the repository that has newer packages for it: data only, nothing runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.lab.debs import Deb, installed_layer
from services.lab.image import BuiltImage, build_image
from services.lab.layer import LayerBuilder

SUITE: Final = "bookworm-security"
_LIBRARIES: Final = "usr/lib/x86_64-linux-gnu"
_OS_RELEASE: Final = (
    'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
)


def old_packages() -> tuple[Deb, ...]:
    """Returns what is in the image."""
    return _packages(openssl="3.0.9-1", curl="7.88.1-10", glibc="2.36-9")


def new_packages() -> tuple[Deb, ...]:
    """Returns what the repository has: for zlib nothing newer, as its advisory knows of nothing."""
    return _packages(openssl="3.0.15-1~deb12u1", curl="7.88.1-10+deb12u8", glibc="2.36-9+deb12u9")


def fix_image(address: str) -> BuiltImage:
    """Makes the image; its sources name the repository at the address."""
    layer = LayerBuilder()
    for folder in ("etc", "etc/apt", "etc/apt/sources.list.d", "lib64", "usr", "usr/lib", "usr/bin", _LIBRARIES):
        layer.directory(folder)
    layer.file("usr/lib/os-release", _OS_RELEASE)
    layer.symlink("etc/os-release", "../usr/lib/os-release")
    layer.file("etc/apt/sources.list.d/demo.list", f"deb {address} {SUITE} main\n")
    application = LayerBuilder().directory("srv").file("srv/shop.py", "print('open')\n")
    return build_image([installed_layer(old_packages(), layer), application.build()])


def _packages(*, openssl: str, curl: str, glibc: str) -> tuple[Deb, ...]:
    return (
        Deb(name="curl", version=curl, files={"usr/bin/curl": _content("curl", curl)}, depends="libcurl4"),
        Deb(name="libc6", version=glibc, files=_library("libc.so.6", glibc), source="glibc"),
        Deb(name="libcurl4", version=curl, files=_library("libcurl.so.4.8.0", curl), source="curl"),
        Deb(name="libssl3", version=openssl, files=_library("libssl.so.3", openssl), source="openssl"),
        Deb(
            name="openssl",
            version=openssl,
            files={"usr/bin/openssl": _content("openssl", openssl)},
            depends=f"libssl3 (>= {openssl})",
        ),
        Deb(
            name="zlib1g",
            version="1:1.2.13.dfsg-1",
            files=_library("libz.so.1.2.13", "1.2.13"),
            source="zlib (1:1.2.13.dfsg-1)",
        ),
    )


def _library(name: str, version: str) -> dict[str, bytes]:
    return {f"{_LIBRARIES}/{name}": _content(name, version)}


def _content(name: str, version: str) -> bytes:
    return f"{name} {version}: written for the demo, and no program\n".encode() * 64


def names(packages: Sequence[Deb]) -> dict[str, str]:
    """Returns versions by name."""
    return {package.name: package.version for package in packages}
