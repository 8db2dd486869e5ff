"""Syft: the judge of inventories. It shares no code with us."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec

from tests.quality.facts import Said, fact_of

_PATIENCE_SECONDS = 300
_NESTED = ":"


class _Location(msgspec.Struct):
    path: str
    annotations: dict[str, str] = {}


class _Artifact(msgspec.Struct):
    version: str
    purl: str
    locations: list[_Location]

    def evidence(self) -> str:
        """The file that the package was read from; the others only support it."""
        primary = {each.path for each in self.locations if each.annotations.get("evidence") == "primary"}
        return min(primary or {each.path for each in self.locations}).split(_NESTED)[0]


class _Document(msgspec.Struct):
    artifacts: list[_Artifact]


def ask(image: str, layout: Path, home: Path) -> Said:
    """Lists the packages of an image; those of lock files, too, which Syft by itself reads in folders only."""
    command: list[str | Path] = [
        Path(sys.executable).with_name("syft"),
        "scan",
        "-q",
        f"oci-dir:{layout}",
        "-o",
        "json",
    ]
    ran = subprocess.run(
        [*command, "--override-default-catalogers", "image,directory"],
        check=True,
        capture_output=True,
        timeout=_PATIENCE_SECONDS,
        env={**os.environ, "SYFT_CHECK_FOR_APP_UPDATE": "false", "HOME": str(home), "TMPDIR": str(home)},
    )
    document = msgspec.json.decode(ran.stdout, type=_Document)
    return Said(
        packages=frozenset(
            fact_of(image, each.purl, each.version, each.evidence()) for each in document.artifacts if each.purl
        )
    )
