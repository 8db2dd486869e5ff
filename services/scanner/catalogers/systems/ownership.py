"""Which records of language packages belong to packages of the system, whose advisories speak for them.

Only records at the places that distributions have for their own language packages are kept: what a package of
another vendor brings lies elsewhere (`/opt/datadog-agent`, NodeSource's `/usr/lib/node_modules` on Debian), and no
advisory of the distribution speaks of it. Why: decision 0020.

Sources: dpkg-query(1), `--listfiles`; Debian's policies and Fedora's packaging guidelines for Python, JavaScript,
Ruby, PHP and Java.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from services.scanner.catalogers.interface import Cataloger, Evidence, Hints, OwnedFile
from services.scanner.reading.complaints import to_text

MAX_OWNED: Final = 200_000
"""Records that one database is asked for; a full Debian has some hundred."""

_LANGUAGES: Final = r"(?:(?:python|pypy|php)[0-9.]*|nodejs|ruby|rubygems-integration|gems|java|maven-repo)"
_PLACE: Final = rf"usr/(?:lib|lib64|share|lib/[a-z0-9_]+-linux-[a-z0-9]+)/{_LANGUAGES}/"
_BUNDLED: Final = r"usr/lib(?:64)?/node_modules(?:_[0-9]+)?/"
"""Where distributions other than Debian and its heirs keep npm; Fedora keeps several of it side by side."""
_ENDS: Final = ("METADATA", "PKG-INFO", ".egg-info", "package.json", ".gemspec", "installed.json", ".jar", ".war")

_FOLDER = re.compile(f"{_PLACE}|{_BUNDLED}")
_LISTED = re.compile(
    rb"^(?:/|[0-9a-f]{32}  )(%s[^\n]*(?:%s))$"
    % (_PLACE.encode(), b"|".join(re.escape(end).encode() for end in _ENDS)),
    re.MULTILINE,
)
_INFO: Final = "var/lib/dpkg/info/"
_PARTS: Final = "var/lib/dpkg/status.d/"


def owned_files(owner: str, folders: Iterable[tuple[str, Iterable[str]]]) -> Iterator[OwnedFile]:
    """Yields which of a package's files are records of language packages.

    Args:
        owner: name of the system's package.
        folders: each with the names of the package's files right in it; neither begins nor ends with a slash.
    """
    for folder, names in folders:
        if _FOLDER.match(f"{folder}/"):
            yield from (OwnedFile(f"{folder}/{name}", owner) for name in names if name.endswith(_ENDS))


class DpkgFilesCataloger(Cataloger):
    """Reads the files of Debian's packages: `info/*.list`, or `status.d/*.md5sums` where there is no dpkg."""

    name = "dpkg-files"
    version = 1
    hints = Hints(folders=(_INFO, _PARTS))
    max_bytes = 64 << 20

    def wants(self, path: str) -> bool:
        """The list of one package."""
        if path.startswith(_INFO):
            return path.endswith(".list") and path.count("/") == 4
        return path.startswith(_PARTS) and path.endswith(".md5sums") and path.count("/") == 4

    def read(self, path: str, content: bytes) -> Evidence:
        """What is no list tells of no files: the packages in question are judged by themselves."""
        owner = path[path.rfind("/") + 1 : path.rfind(".")].partition(":")[0]
        listed = islice(_LISTED.finditer(content), MAX_OWNED)
        found = (OwnedFile(to_text(each[1]), owner) for each in listed)
        return Evidence(path=path, cataloger=self.name, owned=tuple(found))
