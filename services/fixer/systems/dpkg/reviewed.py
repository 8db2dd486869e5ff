"""Maintainer scripts that somebody has read, by the hash of what their maintainer wrote (`scripts.residual`).

A script that changes by a word is new, and refused until it was read. To add one: read it, ask what it does when
a package of the same release is upgraded in an image where nothing runs, and write that down as the reason, with
what has to hold of the image for it to be so. What it sources and calls is read as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.fixer.systems.dpkg.reviews.languages import LANGUAGES
from services.fixer.systems.dpkg.reviews.programs import PROGRAMS
from services.fixer.systems.dpkg.reviews.review import Review
from services.fixer.systems.dpkg.reviews.servers import SERVERS
from services.fixer.systems.dpkg.reviews.system import SYSTEM
from services.fixer.systems.dpkg.reviews.trixie import TRIXIE

ROOMS: Final = (SYSTEM, PROGRAMS, LANGUAGES, SERVERS, TRIXIE)
REVIEWED: Final[Mapping[str, Review]] = {text: review for room in ROOMS for text, review in room.items()}
IDLE_WITHOUT: Final[Mapping[str, str]] = {"dh_icons": "file /usr/sbin/update-icon-caches"}
"""Parts by debhelper that do nothing in an image without the program that they call, each with that."""
ASKED: Final[frozenset[str]] = frozenset(
    (*IDLE_WITHOUT.values(), *(fact for each in REVIEWED.values() for fact in (*each.needs, *each.unless)))
)
"""All that reviews ask of an image."""
