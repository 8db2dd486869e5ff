"""The time zone of an image as tzdata's scripts see it (tzdata.config and tzdata.postinst of Debian 12 and 13).

On every upgrade they take the zone from the link `/etc/localtime`, give it the name that it has today, and write
that into `/etc/timezone` and the link: an image in which somebody changed one of both only comes out otherwise.
"""

from __future__ import annotations

import posixpath
from typing import Final

LINK: Final = "etc/localtime"
NAMED: Final = "etc/timezone"
ZONES: Final = "/usr/share/zoneinfo/"
_AREAS: Final = frozenset(
    {
        "Africa",
        "America",
        "Antarctica",
        "Arctic",
        "Asia",
        "Atlantic",
        "Australia",
        "Europe",
        "Indian",
        "Pacific",
        "Etc",
    }
)
_RENAMED: Final = frozenset(
    {
        "Africa/Asmera",
        "America/Argentina/ComodRivadavia",
        "America/Buenos_Aires",
        "America/Catamarca",
        "America/Cordoba",
        "America/Fort_Wayne",
        "America/Godthab",
        "America/Indianapolis",
        "America/Jujuy",
        "America/Knox_IN",
        "America/Louisville",
        "America/Mendoza",
        "America/Rosario",
        "Antarctica/South_Pole",
        "Asia/Ashkhabad",
        "Asia/Calcutta",
        "Asia/Choibalsan",
        "Asia/Chungking",
        "Asia/Dacca",
        "Asia/Katmandu",
        "Asia/Macao",
        "Asia/Rangoon",
        "Asia/Riyadh87",
        "Asia/Riyadh88",
        "Asia/Riyadh89",
        "Asia/Saigon",
        "Asia/Thimbu",
        "Asia/Ujung_Pandang",
        "Asia/Ulan_Bator",
        "Atlantic/Faeroe",
        "Australia/ACT",
        "Australia/LHI",
        "Australia/NSW",
        "Australia/North",
        "Australia/Queensland",
        "Australia/South",
        "Australia/Tasmania",
        "Australia/Victoria",
        "Australia/West",
        "Europe/Kiev",
        "Europe/Uzhgorod",
        "Europe/Zaporozhye",
        "Pacific/Enderbury",
        "Pacific/Ponape",
        "Pacific/Truk",
    }
)
"""Names of old, in place of which the scripts write the new ones."""


def zone_of(target: str) -> str | None:
    """Returns the zone that a target of the link names by the name that it has today; else None."""
    path = posixpath.normpath(posixpath.join("/etc", target))
    zone = path.removeprefix(ZONES)
    area, slash, _ = zone.partition("/")
    return zone if path != zone and slash and area in _AREAS and zone not in _RENAMED else None
