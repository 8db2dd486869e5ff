"""Channels: files that tell from where beside its main repositories a distribution takes packages.

Red Hat's images list content sets (`content_manifests`, written by their build system); of Ubuntu's, the state of
the Pro client and the lists of apt tell whether fixes of Expanded Security Maintenance reach them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from services.scanner.catalogers.interface import Cataloger, Evidence, Hints
from services.scanner.reading.complaints import Complaints, is_word, shown

_MANIFESTS: Final = ("root/buildinfo/content_manifests/", "usr/share/buildinfo/")
_STATUS: Final = "var/lib/ubuntu-advantage/status.json"
_LIST: Final = re.compile(r"etc/apt/sources\.list\.d/ubuntu-(esm-(?:infra|apps))\.(?:list|sources)")
_IN_USE: Final = re.compile(rb"^[ \t]*(?:deb|URIs:)[ \t][^\n]*\besm\.ubuntu\.com", re.MULTILINE)
_OFF: Final = re.compile(rb"^Enabled:[ \t]*no\b", re.MULTILINE | re.IGNORECASE)
_MAX_CHANNELS: Final = 1_000


class _Manifest(msgspec.Struct):
    content_sets: list[str] | None = None


class _Service(msgspec.Struct):
    name: str = ""
    status: str = ""


class _Pro(msgspec.Struct):
    attached: bool = False
    services: list[_Service] | None = None


class ChannelsCataloger(Cataloger):
    """Reads content manifests, the state of Ubuntu Pro and the lists of its repositories."""

    name = "channels"
    version = 1
    hints = Hints(names=("status.json",), folders=(*_MANIFESTS, "etc/apt/sources.list.d/ubuntu-esm-"))
    max_bytes = 8 << 20

    def wants(self, path: str) -> bool:
        """Files of these kinds, at the one place of each."""
        if path == _STATUS or _LIST.fullmatch(path) is not None:
            return True
        folder, _, name = path.rpartition("/")
        return name.endswith(".json") and f"{folder}/" in _MANIFESTS

    def read(self, path: str, content: bytes) -> Evidence:
        """The channels; a file that cannot be read gives a warning: packages may then be judged by too little."""
        complaints = Complaints(path)
        try:
            channels = tuple(dict.fromkeys(_channels(path, content)))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            complaints.broken("The text", "is not what the file should hold: where packages are from is not known")
            channels = ()
        odd = [each for each in channels if not is_word(each)]
        if odd or len(channels) > _MAX_CHANNELS:
            complaints.broken(
                "The list", f"has names that cannot be any, or too many: {shown((odd or channels)[0])!r}"
            )
        return Evidence(
            path=path,
            cataloger=self.name,
            channels=tuple(each for each in channels if is_word(each))[:_MAX_CHANNELS],
            warnings=complaints.warnings(),
        )


def _channels(path: str, content: bytes) -> Iterator[str]:
    listed = _LIST.fullmatch(path)
    if listed is not None:
        if _IN_USE.search(content) and not _OFF.search(content):
            yield listed[1]
    elif path == _STATUS:
        pro = msgspec.json.decode(content, type=_Pro)
        if pro.attached:
            yield from (each.name for each in pro.services or () if each.status == "enabled")
    else:
        yield from msgspec.json.decode(content, type=_Manifest).content_sets or ()
