"""The distribution's own description of itself (os-release(5), systemd)."""

from __future__ import annotations

import re
from typing import Final

from services.scanner.catalogers.interface import Cataloger, Distribution, Evidence, Hints
from services.scanner.reading.complaints import Complaints, shown, to_text

ETC: Final = "etc/os-release"
VENDOR: Final = "usr/lib/os-release"
"""Read where /etc has none."""

_PLACES: Final = frozenset((ETC, VENDOR))
_MAX_VALUE: Final = 200
_ASSIGNMENT = re.compile(rb"^[ \t]*([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)
_ESCAPED = re.compile(r"\\(.)")
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
        values = {key.decode("ascii"): _value(raw) for key, raw in _ASSIGNMENT.findall(content)}
        if not values:
            complaints.broken("The text", "has no assignment: the distribution is unknown")
            return Evidence(path=path, cataloger=self.name, warnings=complaints.warnings())
        distribution = Distribution(
            id=_checked(values, "ID", complaints) or "linux",
            version_id=_checked(values, "VERSION_ID", complaints),
            codename=_checked(values, "VERSION_CODENAME", complaints),
            like=tuple(word for word in values.get("ID_LIKE", "").lower().split() if _IDENTIFIER.fullmatch(word)),
            pretty_name=shown(values.get("PRETTY_NAME", ""), _MAX_VALUE),
        )
        return Evidence(path=path, cataloger=self.name, distribution=distribution, warnings=complaints.warnings())


def _value(raw: bytes) -> str:
    """Takes a value out of its quotes, as a shell would for the forms that the format allows."""
    text = to_text(raw[: _MAX_VALUE * 4])
    if len(text) >= 2 and text[0] == text[-1] == "'":
        text = text[1:-1]
    elif len(text) >= 2 and text[0] == text[-1] == '"':
        text = _ESCAPED.sub(r"\1", text[1:-1])
    return text[:_MAX_VALUE]


def _checked(values: dict[str, str], key: str, complaints: Complaints) -> str:
    value = values.get(key, "")
    lowered = value.lower() if key == "ID" else value
    if (_IDENTIFIER if key == "ID" else _VERSION).fullmatch(lowered) or not value:
        return lowered
    complaints.broken(key, f"is {shown(value)!r}, which the format does not allow")
    return ""
