"""What a repository offers: `repomd.xml` and the package lists that it names (createrepo_c; read as they come).

Of the RHEL family few sign `repomd.xml`, and all sign each package. An index without a signature is read to plan
with; then nothing of a package is believed but what a key of ours signed: see `check.py`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urljoin

from services.fixer.failure import FixFailure, FixReason
from services.fixer.plan.packages import Candidate, RepositoryRef, Survey
from services.fixer.repositories.depot import Depot, Expected
from services.fixer.repositories.openpgp import verify_detached
from services.fixer.systems.rpm.parts import expected, is_inside
from services.fixer.systems.rpm.primary import Primary, only
from services.fixer.systems.rpm.unpack import DAMAGED, unpacked
from services.fixer.systems.rpm.xmlwalk import MALFORMED, walk
from services.kernel.blocking import in_thread

KEYS: Final = "keys"
"""Field of a candidate that no signed index vouches for: keys, one of which must have signed the package itself.

They travel with it because `check` runs in a worker process, which asks nobody.
"""

_MAX_REPOMD: Final = 4 << 20
_MAX_SIGNATURE: Final = 64 << 10
_MAX_PACKED: Final = 256 << 20
_MAX_UNPACKED: Final = 2 << 30
_MAX_MODULES: Final = 256 << 20
_ARTIFACT = re.compile(rb"^\s+- (?P<name>[^\s:]+-\d+:[^\s:]+\.[^\s:.]+)\s*$", re.MULTILINE)


async def available(survey: Survey, repository: RepositoryRef, depot: Depot) -> list[Candidate]:
    """Returns what one repository offers of the image's packages.

    Raises:
        FixFailure: as `PackageSystem.available`.
    """
    keys = depot.keys(survey.system, survey.release)
    if not keys:
        raise FixFailure(
            FixReason.INDEX_KEY_UNKNOWN,
            f"No key is trusted for packages of {survey.release.id}.",
            hint=f"Put its public keys into {survey.release.id!r} in the folder of DRYDOCK_FIXER_KEYRINGS_DIR.",
        )
    base = repository.address + "/"
    content = await depot.small(base + "repodata/repomd.xml", at_most=_MAX_REPOMD)
    if content is None:
        raise _broken(repository, "has no repodata/repomd.xml")
    signature = await depot.small(base + "repodata/repomd.xml.asc", at_most=_MAX_SIGNATURE)
    if signature is not None:
        verify_detached(content, signature, keys, what=f"The index of {repository.address}")
    parts = read_repomd(content, repository)
    if "primary" not in parts:
        raise _broken(repository, "has an index that names no list of packages")
    path = await _fetch(depot, base, parts["primary"])
    modular: frozenset[str] = frozenset()
    if "modules" in parts:
        file = await _fetch(depot, base, parts["modules"])
        modular = await in_thread(_modular, file, parts["modules"][0], repository)
    vouching = {} if signature is not None else {KEYS: " ".join(base64.b64encode(key).decode() for key in keys)}
    reader = Primary(base, survey, vouching, modular)
    await in_thread(_read_primary, path, parts["primary"][0], reader, repository)
    return reader.found


_Part = tuple[str, Expected]


async def _fetch(depot: Depot, base: str, part: _Part) -> Path:
    return await depot.file(urljoin(base, part[0]), part[1], tampered=False)


def keys_for(candidate: Candidate) -> list[bytes] | None:
    """Returns the keys one of which must have signed a package; None where a signed index vouches for it."""
    if KEYS not in candidate.fields:
        return None
    return [base64.b64decode(key) for key in candidate.fields[KEYS].split()]


def read_repomd(content: bytes, repository: RepositoryRef) -> dict[str, _Part]:
    """Returns the files that an index names, by their kind: address and what they must be."""
    parts: dict[str, _Part] = {}
    now: dict[str, str] = {}

    def on_text(path: str, text: str, attributes: Mapping[str, str]) -> None:
        if path.endswith("/checksum"):
            now["hash"] = f"{attributes.get('type', '')}:{text.strip().lower()}"
        elif path.endswith("/size"):
            now["size"] = text.strip()

    def on_start(path: str, attributes: Mapping[str, str]) -> None:
        if path == "repomd/data":
            now.clear()
            now["type"] = attributes.get("type", "")
        elif path == "repomd/data/location":
            now["href"] = attributes.get("href", "")

    def on_end(path: str) -> None:
        if path == "repomd/data" and now["type"] in ("primary", "modules"):
            parts[now["type"]] = (
                now.get("href", ""),
                expected(now.get("size", ""), now.get("hash", ""), _MAX_PACKED),
            )

    try:
        walk(iter((content,)), on_start, on_text, on_end)
        if any(not is_inside(href) for href, _ in parts.values()):
            raise ValueError("leads out of the repository")
    except MALFORMED as error:
        raise _broken(repository, f"has an index that cannot be read: {error}") from error
    return parts


def _read_primary(path: Path, href: str, reader: Primary, repository: RepositoryRef) -> None:
    try:
        with path.open("rb") as file:
            chunks = only(unpacked(file, href, _MAX_UNPACKED), reader.names)
            walk(chunks, reader.on_start, reader.on_text, reader.on_end)
    except (*DAMAGED, *MALFORMED) as error:
        raise _broken(repository, f"has a list of packages that cannot be read: {error}") from error


def _modular(path: Path, href: str, repository: RepositoryRef) -> frozenset[str]:
    """Returns the packages that belong to modules, as `name-epoch:version-release.architecture`.

    A line of that shape stands nowhere else in the file than in its lists of them: it need not be read as YAML.
    """
    content = bytearray()
    try:
        with path.open("rb") as file:
            for chunk in unpacked(file, href, _MAX_MODULES):
                content += chunk
    except DAMAGED as error:
        raise _broken(repository, f"has a list of modules that cannot be read: {error}") from error
    return frozenset(match["name"].decode("ascii", "replace") for match in _ARTIFACT.finditer(content))


def _broken(repository: RepositoryRef, why: str) -> FixFailure:
    return FixFailure(FixReason.REPOSITORY_INVALID, f"The repository {repository.address} {why}.")
