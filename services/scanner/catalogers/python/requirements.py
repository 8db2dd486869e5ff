"""Requirements that leave pip no choice (pip.pypa.io, "Requirements File Format"; PEP 508)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.scanner.catalogers.interface import PackageFormat
from services.scanner.catalogers.records import LockCataloger, Record
from services.scanner.reading.documents import Unreadable

_PIN = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]*+)\s*+(?:\[[^\]]*+\])?\s*+\(?\s*+={2,3}\s*+([A-Za-z0-9][^\s,;#)*\\]*)"
    r"\s*+\)?\s*+(?:$|[;#\\]|--)"
)


class RequirementsCataloger(LockCataloger):
    """Reads `requirements.txt`: other names are for other purposes than to run, as often as not."""

    name = "requirements"
    version = 2
    names = frozenset({"requirements.txt"})
    kind = PackageFormat.PYPI
    max_bytes = 4 << 20

    def records(self, path: str, content: bytes) -> Iterator[Record | Unreadable]:
        """Lines with `==` and one whole version; all others are wishes."""
        for line in content.decode("utf-8", "replace").splitlines():
            if match := _PIN.match(line.strip()):
                yield Record(match[1], match[2])
