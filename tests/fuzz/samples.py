"""A good file for every cataloger that reads content: what the damage begins with."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple


class Sample(NamedTuple):
    """A file as it lies in an image."""

    path: str
    content: bytes


_RPM: Final = Path(__file__).parents[1] / "fixtures" / "rpm"
_DPKG: Final = b"""Package: libssl3
Status: install ok installed
Architecture: amd64
Source: openssl (3.0.11-1)
Version: 3.0.11-1~deb12u2
Description: toolkit
 with a second line

Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2.15-2+b7

"""
_APK: Final = b"""C:Q1abc=
P:musl
V:1.2.4-r2
A:x86_64
o:musl
F:lib
R:ld-musl-x86_64.so.1

P:busybox
V:1.36.1-r5
A:x86_64
o:busybox

"""
SAMPLES: Final[Mapping[str, tuple[Sample, ...]]] = MappingProxyType(
    {
        "osrelease": (
            Sample("etc/os-release", b'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12"\n'),
        ),
        "channels": (
            Sample(
                "var/lib/ubuntu-advantage/status.json",
                b'{"attached": true, "services": [{"name": "esm-infra", "status": "enabled"}]}',
            ),
            Sample(
                "root/buildinfo/content_manifests/ubi9.json",
                b'{"content_sets": ["ubi-9-baseos-rpms", "ubi-9-appstream-rpms"]}',
            ),
        ),
        "rpm": (
            Sample("var/lib/rpm/rpmdb.sqlite", gzip.decompress((_RPM / "rpmdb.sqlite.gz").read_bytes())),
            Sample("var/lib/rpm/Packages", gzip.decompress((_RPM / "Packages.gz").read_bytes())),
        ),
        "dpkg": (Sample("var/lib/dpkg/status", _DPKG), Sample("var/lib/dpkg/status.d/bash", _DPKG)),
        "apk": (Sample("lib/apk/db/installed", _APK),),
        "python": (
            Sample(
                "usr/lib/python3/dist-packages/jinja2-3.1.2.dist-info/METADATA",
                b"Metadata-Version: 2.1\nName: Jinja2\nVersion: 3.1.2\nSummary: x\n\nText: yes\n",
            ),
        ),
    }
)
"""By the cataloger's name."""
