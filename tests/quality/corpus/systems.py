"""Images of operating systems whose packages cannot be had here: databases made in their formats, and labelled so.

Names and versions are real ones; nothing lies behind them. Those of rpm are written by Debian's own `rpm`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from services.lab.layer import BuiltLayer
from tests.quality.corpus.fetch import run
from tests.quality.corpus.image import layer_of


class Installed(NamedTuple):
    """A package, its version, and the source it is built from where that has another name."""

    name: str
    version: str
    source: str = ""
    module: str = ""
    """The label of a modular rpm."""


ALPINE: tuple[Installed, ...] = (
    Installed("musl", "1.2.4-r0"),
    Installed("musl-utils", "1.2.4-r0", "musl"),
    Installed("busybox", "1.36.0-r9"),
    Installed("busybox-binsh", "1.36.0-r9", "busybox"),
    Installed("ssl_client", "1.36.0-r9", "busybox"),
    Installed("libcrypto3", "3.1.0-r0", "openssl"),
    Installed("libssl3", "3.1.0-r0", "openssl"),
    Installed("zlib", "1.2.12-r0"),
    Installed("libcurl", "8.0.0-r0", "curl"),
    Installed("curl", "8.0.0-r0"),
    Installed("libexpat", "2.4.0-r0", "expat"),
    Installed("xz-libs", "5.2.4-r0", "xz"),
    Installed("sqlite-libs", "3.30.0-r0", "sqlite"),
    Installed("nginx", "1.20.0-r0"),
    Installed("git", "2.35.0-r0"),
    Installed("apk-tools", "2.12.4-r0"),
    Installed("alpine-baselayout", "3.4.3-r1"),
    Installed("ncurses-libs", "6.3_p20220416-r0", "ncurses"),
    Installed("libxml2", "2.9.9_alpha1-r0"),
    Installed("ca-certificates-bundle", "20230506-r0", "ca-certificates"),
)
ALMA: tuple[Installed, ...] = (
    Installed("bash", "0:5.1.8-6.el9"),
    Installed("openssl", "1:3.0.7-6.el9_2"),
    Installed("openssl-libs", "1:3.0.7-6.el9_2", "openssl"),
    Installed("curl", "0:7.76.1-23.el9"),
    Installed("libcurl", "0:7.76.1-23.el9", "curl"),
    Installed("glibc", "0:2.34-60.el9"),
    Installed("glibc-common", "0:2.34-60.el9", "glibc"),
    Installed("expat", "0:2.5.0-1.el9"),
    Installed("zlib", "0:1.2.11-39.el9"),
    Installed("sqlite-libs", "0:3.34.1-6.el9", "sqlite"),
    Installed("libxml2", "0:2.9.13-3.el9"),
    Installed("python3", "0:3.9.16-1.el9", "python3.9"),
    Installed("vim-minimal", "2:8.2.2637-20.el9", "vim"),
    Installed("tzdata", "0:2023c-1.el9"),
    Installed("nodejs", "1:18.12.1-1.module_el9.1.0+35+a3a6b4f3", module="nodejs:18:9010020221213212118:rhel9"),
    Installed(
        "nodejs-nodemon", "0:2.0.20-1.module_el9.1.0+35+a3a6b4f3", module="nodejs:18:9010020221213212118:rhel9"
    ),
)


def alpine(cache: Path) -> tuple[BuiltLayer, ...]:
    """Alpine 3.18 in apk's format."""
    return (_apk("alpine", "3.18.0", 'NAME="Alpine Linux"\n', "3.18.0\n"),)


def alma(cache: Path) -> tuple[BuiltLayer, ...]:
    """AlmaLinux 9 in rpm's sqlite form, the only one that Debian's rpm writes."""
    release = (
        'NAME="AlmaLinux"\nVERSION="9.2 (Turquoise Kodkod)"\nID="almalinux"\nID_LIKE="rhel centos fedora"\n'
        'VERSION_ID="9.2"\nPLATFORM_ID="platform:el9"\nPRETTY_NAME="AlmaLinux 9.2 (Turquoise Kodkod)"\n'
    )
    named = "AlmaLinux release 9.2 (Turquoise Kodkod)\n"
    with tempfile.TemporaryDirectory(prefix="drydock-rpm-") as folder:
        database = _rpm_database(Path(folder), ALMA)
    files = {"etc/os-release": release, "etc/almalinux-release": named, "etc/redhat-release": named}
    return (layer_of({**files, "var/lib/rpm/rpmdb.sqlite": database}),)


def _apk(ident: str, version: str, name: str, release: str) -> BuiltLayer:
    records = []
    for number, package in enumerate(ALPINE):
        records.append(
            f"C:Q1{number:026d}=\nP:{package.name}\nV:{package.version}\nA:x86_64\nS:1\nI:1\n"
            f"T:made for the corpus\nU:https://example.org/\nL:MIT\no:{package.source or package.name}\n"
            "m:Made For Tests <tests@example.org>\nt:1700000000\nc:0000000000000000000000000000000000000001\n"
        )
    return layer_of(
        {
            "etc/os-release": f"{name}ID={ident}\nVERSION_ID={version}\n",
            "etc/alpine-release": release,
            "lib/apk/db/installed": "\n".join(records) + "\n",
        }
    )


def _rpm_database(folder: Path, packages: Sequence[Installed]) -> bytes:
    """Builds empty rpms and installs their headers only."""
    database = folder / "rpmdb"
    macros = ["--define", f"_topdir {folder}", "--define", f"_dbpath {database}"]
    for package in packages:
        spec = folder / f"{package.name}.spec"
        spec.write_text(_spec(package))
        run(["rpmbuild", "-bb", "--quiet", "--target", "x86_64", *macros, spec], folder)
    built = sorted((folder / "RPMS" / "x86_64").glob("*.rpm"))
    run(
        ["rpm", "-i", "--justdb", "--nodeps", "--noscripts", "--ignorearch", "--ignoreos", *macros, *built], folder
    )
    return (database / "rpmdb.sqlite").read_bytes()


def _spec(package: Installed) -> str:
    epoch, _, rest = package.version.partition(":")
    version, _, release = rest.partition("-")
    source = package.source or package.name
    module = f"ModularityLabel: {package.module}\n" if package.module else ""
    main = (
        f"Name: {source}\nEpoch: {epoch}\nVersion: {version}\nRelease: {release}\nSummary: made\nLicense: MIT\n"
        f"Vendor: AlmaLinux\n{module}%description\nMade for the corpus.\n"
    )
    if source == package.name:
        return f"{main}%files\n"
    return (
        f"{main}%package -n {package.name}\nSummary: made\n"
        f"%description -n {package.name}\nMade for the corpus.\n%files -n {package.name}\n"
    )
