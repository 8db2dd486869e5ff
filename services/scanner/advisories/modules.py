"""Module streams of rpm distributions: of several that live side by side, a fix is of one.

A modular package carries module and stream in its label, as `nodejs:16`; that it is one, its release tells too, as
in `3.module_el8.9.0+3731+490e3ab5`. A record seldom says which stream its fixes are of (AlmaLinux' never do), but
its title may, or the version of the package that the stream is named after: `nodejs` 16.20.2 is of no stream but
16.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

UNKNOWN: Final = "*"
"""Of a module that nobody names: fits every one."""

_MODULAR = re.compile(r"\.module[_+]")
_IN_TITLE = re.compile(r"(?<![\w:.+-])([a-z0-9][\w.+-]*:[\w.+-]+)(?![\w:])")
_NUMBERED = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_LEADERS: Final[Mapping[str, str]] = {
    "389-ds-base": "389-ds",
    **{
        name: name
        for name in (
            "ant",
            "freeradius",
            "httpd",
            "mariadb",
            "maven",
            "mysql",
            "nginx",
            "nodejs",
            "perl",
            "perl-App-cpanminus",
            "perl-DBD-MySQL",
            "perl-DBD-Pg",
            "perl-DBD-SQLite",
            "perl-DBI",
            "perl-FCGI",
            "perl-YAML",
            "perl-libwww-perl",
            "php",
            "pki-core",
            "postgresql",
            "python36",
            "python38",
            "python39",
            "redis",
            "ruby",
            "squid",
            "subversion",
            "swig",
            "varnish",
        )
    },
    "python2": "python27",
}
"""Packages whose version names the streams of a module, and that module (RHEL 8 and 9, Application Streams)."""


def is_modular(version: str) -> bool:
    """Tells whether a package of this version was built in a module."""
    return _MODULAR.search(version) is not None


def build_of(version: str) -> str:
    """Returns a modular version without what tells its builds apart: fixes that share it are one."""
    return _MODULAR.split(version, maxsplit=1)[0]


def module_of(title: str, fixes: Mapping[str, str]) -> str:
    """Returns the modules that a record's modular fixes, by package, are of, with spaces between them.

    Each is `name:stream` where the title says so, else `name@version` of a package that leads it; UNKNOWN if none.
    """
    named = _IN_TITLE.findall(title)
    led = (f"{_LEADERS[name]}@{_upstream(version)}" for name, version in fixes.items() if name in _LEADERS)
    return " ".join(named or led) or UNKNOWN


def fits(module: str, label: str) -> bool:
    """Tells whether a fix of modules, as `module_of` has them, concerns a package with a label.

    Either is empty where it is not modular, and UNKNOWN where it is and nobody says of which module.
    """
    if not module or not label:
        return module == label
    return UNKNOWN in (module, label) or any(_is_of(each, label) for each in module.split())


def _upstream(version: str) -> str:
    return version.rpartition(":")[2].partition("-")[0]


def _is_of(module: str, label: str) -> bool:
    if module == label:
        return True
    name, led, version = module.partition("@")
    if not led:
        return False
    its_name, _, stream = label.partition(":")
    if its_name != name:
        return False
    parts = stream.split(".")
    return not _NUMBERED.fullmatch(stream) or version.split(".")[: len(parts)] == parts
