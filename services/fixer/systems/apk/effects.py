"""What scripts do, as far as their text says it: a script that is not understood has an effect that matters.

Read for this (aports and packages of Alpine): busybox (trigger, post-upgrade), ca-certificates (trigger),
alpine-baselayout (pre-upgrade, post-upgrade). The last two do what files alone do not: certificates are bundled
anew, folders of the image move. They need a rebuild, as does everything that is not here.
"""

from __future__ import annotations

import enum
import re
from typing import Final


class Effect(enum.Enum):
    """What running a script would change."""

    NOTHING = enum.auto()
    """It is remarks, messages and its end."""
    APPLET_LINKS = enum.auto()
    """busybox links each of its applets where nothing is, takes links away that moved, indexes modules."""
    LIBRARY_CACHE = enum.auto()
    """`ldconfig`: which file has which shared library, by its name of which links lead to it."""
    UNKNOWN = enum.auto()


_NOTHING: Final = re.compile(r"exit(?: 0)?|true|:|set -?[a-z]+|(?:echo|printf)(?: [^`$<>|;&]*)?|")
_PATH: Final = r"(?:/[a-z0-9._-]+)+"
_PROGRAM: Final = r"/bin/(?:busybox|busybox-extras|bbsuid)"
_DEPMOD: Final = r'/bin/busybox depmod "?\$\{i#/lib/modules/\}"?'
_MOVED: Final = re.compile(
    rf"""if \[ -L (?P<link>{_PATH}|"?\$link"?) \] && \[ "\$\(readlink (?P=link)\)" = "/bin/busybox" \]; then\s+"""
    r"""rm (?P=link)\s+fi\n"""
)
"""A link to busybox goes: nothing else can."""
_APPLETS: Final = re.compile(
    "|".join(
        (
            r"do_bb_install=(?:yes)?",
            rf'for (?:i|link) in (?:"\$@"|{_PATH}(?: {_PATH})*); do',
            r'case "\$i" in',
            rf"/lib/modules/\*\)(?:\s*{_DEPMOD};;)?",
            r'if \[ -d "\$i" \]; then',
            _DEPMOD,
            r"\*\) do_bb_install=yes;;",
            r'if \[ -n "\$do_bb_install" \]; then',
            rf"(?:exec )?(?:\[ -[ex] {_PROGRAM} \] && )?{_PROGRAM} --install(?: -s)?",
            r";;|esac|done|fi",
        )
    )
)
_LIBRARIES: Final = re.compile(
    r"(?:exec )?(?:/usr)?(?:/s?bin/)?ldconfig(?: -i)?(?: (?:/usr)?(?:/local)?/lib(?:64)?)*"
)
_KNOWN: Final = ((Effect.LIBRARY_CACHE, _LIBRARIES), (Effect.APPLET_LINKS, _APPLETS))


def effect_of(text: bytes) -> Effect:
    """Returns what a script does."""
    said = _MOVED.sub("", text.decode("utf-8", "replace").replace("\\\n", " \\ "))
    lines = [each.strip() for each in said.split("\n")]
    left = [each for each in lines if not each.startswith("#") and not _NOTHING.fullmatch(each)]
    if not left:
        return Effect.NOTHING
    for effect, line in _KNOWN:
        if all(map(line.fullmatch, left)):
            return effect
    return Effect.UNKNOWN
