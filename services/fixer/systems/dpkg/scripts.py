"""Maintainer scripts: whether an upgrade may go without running them (Policy 6; debhelper(7)).

None is run here. A script may be left out when every part of it is known to change nothing in an image: the parts
that debhelper writes, by their kind; the rest by its text, which somebody has read (`reviewed.py`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Collection, Mapping
from typing import Final

from services.fixer.systems.dpkg.reviewed import IDLE_WITHOUT, REVIEWED
from services.fixer.systems.dpkg.reviews.review import Review
from services.kernel.versions.dpkg import sort_key

_SECTION: Final = re.compile(
    r"^# Automatically added by (dh[a-z0-9_-]*)(?:/\S*)?\n(.*?)^# End automatically added section$", re.M | re.S
)
_SHELL: Final = re.compile(r"#!\s*/bin/(?:ba|da)?sh\b[^\n]*\n")
_SHORT: Final = 4
"""A version so short may stand in a script as something else."""
_IDLE: Final = frozenset({"set -e", "exit 0", "set -eu", "set -u"})
_HELPER: Final = re.compile(r"dpkg-maintscript-helper\s+(\S+)\s+(.*?)\s+--\s+\"\$@\"")
_LDCONFIG: Final = re.compile(r'if \[ "\$1" = "?configure"? \]; then\nldconfig\nfi|ldconfig')
_SETTLED: Final = frozenset(
    {
        "dh_installsystemd",
        "dh_installsystemduser",
        "dh_systemd_enable",
        "dh_systemd_start",
        "dh_installinit",
        "dh_installalternatives",
        "dh_installtmpfiles",
        "dh_installsysusers",
        "dh_python3",
        "dh_pypy",
        "dh_installdebconf",
        "dh_installmenu",
        "dh_installemacsen",
        "dh_installudev",
        "dh_apparmor",
    }
)
"""What these write was done when the installed version was installed, and doing it once more changes nothing;
services are not running in an image."""
_HELPS: Final = {"rm_conffile": 1, "mv_conffile": 2, "symlink_to_dir": 2, "dir_to_symlink": 2}
"""Commands of dpkg-maintscript-helper, each with where its version stands."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scripts:
    """The scripts of one version of a package, by name: `preinst`, `postinst`, `prerm`, `postrm`."""

    package: str
    version: str
    texts: Mapping[str, bytes]


def why_matters(old: Scripts, new: Scripts, facts: Collection[str] = ()) -> str | None:
    """Tells what an upgrade's scripts would do that files alone do not; None where nothing.

    On an upgrade dpkg runs the old `prerm` and `postrm` and the new `preinst` and `postinst`.

    Args:
        facts: those of `reviewed.ASKED` that hold in the image.
    """
    for scripts, names in ((old, ("prerm", "postrm")), (new, ("preinst", "postinst"))):
        for name in names:
            text = scripts.texts.get(name)
            if text is None:
                continue
            if (why := _judge(name, text, scripts.version, old, facts)) is not None:
                return why
    return None


def kept_by(new: Scripts) -> frozenset[str]:
    """Returns the files whose owner, mode and attributes the scripts set, as paths without leading slash.

    They were set when the installed version was installed: what the image has there is what they would set again.
    """
    kept: set[str] = set()
    for name in ("preinst", "postinst"):
        if (text := new.texts.get(name)) is not None:
            review = REVIEWED.get(fingerprint(residual(text, new.version)[0]))
            kept.update(review.keeps if review is not None else ())
    return frozenset(kept)


def residual(script: bytes, version: str) -> tuple[str, list[tuple[str, str]]]:
    """Splits a script into what its maintainer wrote, without what says nothing, and debhelper's parts.

    Comments, blank lines and indentation go, and the package's own version becomes a word: what is left is what is
    read and what its hash is made over.
    """
    text = script.decode("utf-8", "surrogateescape")
    if len(version) > _SHORT:
        text = text.replace(version, "@VERSION@")
    first = _SHELL.match(text)
    if first is None:
        return text, []
    sections = [(tool, _plain(body)) for tool, body in _SECTION.findall(text)]
    rest = _SECTION.sub("", text[first.end() :])
    return _plain(rest), sections


def fingerprint(rest: str) -> str:
    """Returns the hash by which a text is found among those that somebody has read."""
    return hashlib.sha256(rest.encode("utf-8", "surrogateescape")).hexdigest()


def _judge(name: str, text: bytes, version: str, old: Scripts, facts: Collection[str]) -> str | None:
    rest, sections = residual(text, version)
    for tool, body in sections:
        if (why := _section(name, tool, body, old, facts)) is not None:
            return why
    if not rest:
        return None
    review = REVIEWED.get(fingerprint(rest))
    if review is None:
        return f"its {name} script does what nobody has looked at yet"
    why = _why_reviewed(review, old.version, facts)
    return f"its {name} script matters{why}" if why is not None else None


def _why_reviewed(review: Review, installed: str, facts: Collection[str]) -> str | None:
    if review.matters:
        return f": {review.reason}"
    if review.since and sort_key(installed) < sort_key(review.since):
        return f" for versions before {review.since}, and {installed} is installed"
    if lacking := [each for each in review.needs if each not in facts]:
        return f" in an image without this: {lacking[0]}"
    if found := [each for each in review.unless if each in facts]:
        return f" in an image with this: {found[0]}"
    return None


def _section(name: str, tool: str, body: str, old: Scripts, facts: Collection[str]) -> str | None:
    if tool == "dh_installdeb":
        return _helper(name, body, old.version)
    if _LDCONFIG.fullmatch(body):
        return None
    if tool in IDLE_WITHOUT:
        called = IDLE_WITHOUT[tool]
        return f"its {name} script has a part by {tool} and the image has: {called}" if called in facts else None
    if tool not in _SETTLED:
        return f"its {name} script has a part by {tool} that is not known here"
    if name == "postinst":
        before = residual(old.texts.get(name, b""), old.version)[1]
        if (tool, body) not in before:
            return f"its {name} script sets up by {tool} what the installed version does not have"
    return None


def _helper(name: str, body: str, installed: str) -> str | None:
    for line in body.splitlines():
        match = _HELPER.fullmatch(line)
        if match is None or match[1] not in _HELPS:
            return f"its {name} script has a part by dh_installdeb that is not known here"
        words = match[2].split()
        at = _HELPS[match[1]]
        until = words[at].replace("\\", "") if len(words) > at else ""
        if not until or sort_key(installed) <= sort_key(until):
            return f"its {name} script moves or removes {words[0][:120]} ({match[1]})"
    return None


def _plain(text: str) -> str:
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("#") and line not in _IDLE)
