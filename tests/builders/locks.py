"""What catalogers of languages read out of a file."""

from __future__ import annotations

from services.scanner.catalogers.installed import CATALOGERS
from services.scanner.catalogers.interface import Evidence, Reads


def read(path: str, content: str | bytes) -> Evidence:
    """Has the one cataloger that wants the path read it, as a scan would."""
    (cataloger,) = [each for each in CATALOGERS if each.reads is Reads.CONTENT and each.wants(path)]
    return cataloger.read(path, content.encode() if isinstance(content, str) else content)


def told(path: str, content: str | bytes) -> list[tuple[str, str]]:
    """Names and versions of a file that nothing is wrong with, sorted."""
    evidence = read(path, content)
    assert evidence.warnings == ()
    return sorted((package.name, package.version) for package in evidence.packages)
