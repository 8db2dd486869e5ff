"""The distribution's own description of itself (os-release(5), systemd)."""

from __future__ import annotations

import re
from typing import Final

from services.kernel.os_release import ETC, MAX_VALUE, VENDOR, assignments
from services.scanner.catalogers.interface import Cataloger, Distribution, Evidence, Hints
from services.scanner.reading.complaints import Complaints, shown

_PLACES: Final = frozenset((ETC, VENDOR))
_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9._+-]*")
_VERSION = re.compile(r"[A-Za-z0-9._+~:-]*")


class OsReleaseCataloger(Cataloger):
    """Reads os-release; the file gives a distribution and no packages."""

    name = "osrelease"
    version = 1
    hints = Hints(names=("os-release",))
    max_bytes = 1 << 20

    def wants(self, path: str) -> bool:
        """The two places that the format names."""
        return path in _PLACES

    def read(self, path: str, content: bytes) -> Evidence:
        """Later assignments win; a file without any gives no distribution."""
        complaints = Complaints(path)
        values = assignments(content)
        if not values:
            complaints.broken("The text", "has no assignment: the distribution is unknown")
            return Evidence(path=path, cataloger=self.name, warnings=complaints.warnings())
        distribution = Distribution(
            id=_checked(values, "ID", complaints) or "linux",
            version_id=_checked(values, "VERSION_ID", complaints),
            codename=_checked(values, "VERSION_CODENAME", complaints),
            like=tuple(word for word in values.get("ID_LIKE", "").lower().split() if _IDENTIFIER.fullmatch(word)),
            pretty_name=shown(values.get("PRETTY_NAME", ""), MAX_VALUE),
        )
        return Evidence(path=path, cataloger=self.name, distribution=distribution, warnings=complaints.warnings())


def _checked(values: dict[str, str], key: str, complaints: Complaints) -> str:
    value = values.get(key, "")
    lowered = value.lower() if key == "ID" else value
    if (_IDENTIFIER if key == "ID" else _VERSION).fullmatch(lowered) or not value:
        return lowered
    complaints.broken(key, f"is {shown(value)!r}, which the format does not allow")
    return ""
