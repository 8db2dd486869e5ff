"""Debian images with outdated packages, for `tests.fixes.dpkg`: what they have, and how they are made old."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from services.fixer.systems.dpkg.ldcache import CACHE, WRITER, written_by

IMAGES: Final[Mapping[str, str]] = {
    "debian": "",
    "slim": "",
    "python": "python3",
    "web": "nginx-light curl openssl ca-certificates sudo openssh-client libxml2",
    "php": "apache2 libapache2-mod-{php} {php}-cli {php}-fpm {php}-curl {php}-gd {php}-intl {php}-mbstring "
    "{php}-mysql {php}-pgsql {php}-xml {php}-zip libyaml-0-2 memcached",
    "data": "{postgresql} mariadb-server redis-server locales ssl-cert gosu",
    "java": "{java}-jre-headless tomcat10 fontconfig fonts-dejavu-core ca-certificates-java",
    "build": "autoconf automake bzip2 libmariadb-dev dpkg-dev file g++ gcc imagemagick libbz2-dev libc6-dev "
    "libcurl4-openssl-dev libdb-dev libevent-dev libffi-dev libgdbm-dev libglib2.0-dev libgmp-dev libjpeg-dev "
    "libkrb5-dev liblzma-dev libmagickcore-dev libmagickwand-dev libmaxminddb-dev libncurses-dev libpng-dev "
    "libpq-dev libreadline-dev libsqlite3-dev libssl-dev libtool libwebp-dev libxml2-dev libxslt1-dev libyaml-dev "
    "make patch unzip xz-utils zlib1g-dev ca-certificates curl gnupg netbase wget tzdata git mercurial "
    "openssh-client subversion procps python3-dev python3-lxml python3-venv ruby nodejs",
    "tools": "vim less jq rsync zip 7zip parted poppler-utils ghostscript ffmpeg mutt bind9-dnsutils man-db "
    "nano htop strace lsof iputils-ping iproute2 net-tools tcpdump gdb unzip telnet socat file bsdmainutils "
    "groff-base libxfont2 xvfb tzdata tini dumb-init busybox libarchive-tools libgpgme-dev python3-django zstd",
    "daemons": "openssh-server bind9 rsyslog squid haproxy dovecot-imapd cron systemd-sysv dbus postfix sudo "
    "krb5-user libpam-modules logrotate supervisor clamav-daemon libnss3 libnss-systemd libpam-systemd udev "
    "polkitd ntfs-3g open-iscsi strongswan",
}
"""What is installed besides a minimal system; much of it is newer in the security suite than in the main one."""
_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "bookworm": {"php": "php8.2", "postgresql": "postgresql-15", "java": "openjdk-17"},
    "trixie": {"php": "php8.4", "postgresql": "postgresql-17", "java": "openjdk-21"},
}
"""Packages that have a version in their name, by suite."""
_ENVIRONMENT: Final = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C",
    "DEBIAN_FRONTEND": "noninteractive",
    "HOME": "/root",
}
_LEFT_OUT: Final = tuple(f"usr/share/{each}" for each in ("doc", "groff", "info", "lintian", "locale", "man"))
_LEFT_IN: Final = frozenset({"copyright", "locale.alias"})
_LONG_AGO: Final = 978_307_200
_RELATION: Final = re.compile(r"([a-z0-9][a-z0-9+.-]+)(:[a-z]+)?( \((?:=|>=|<<) )([^)]+)\)")
_VERSION: Final = re.compile(r"^Version: (.*)$", re.M)
_NAME: Final = re.compile(r"^Package: (.*)$", re.M)


def packages_of(image: str, suite: str) -> str:
    """Returns what is installed in an image of a suite, in words of apt-get's command line."""
    return IMAGES[image].format_map(_NAMES.get(suite, _NAMES["bookworm"]))


def slim(root: Path) -> None:
    """Takes manual pages, documents and translations away, as the slim images of Debian have been made."""
    lines = []
    for each in _LEFT_OUT:
        lines.append(f"path-exclude=/{each}/*\n")
        for path in sorted((root / each).rglob("*"), reverse=True):
            if path.name in _LEFT_IN:
                continue
            if not path.is_dir() or path.is_symlink():
                path.unlink()
            elif not any(path.iterdir()):
                path.rmdir()
    lines += ["path-include=/usr/share/doc/*/copyright\n", "path-include=/usr/share/locale/locale.alias\n"]
    (root / "etc/dpkg/dpkg.cfg.d/docker").write_text("".join(lines))


def age(root: Path) -> None:
    """Makes an image of up-to-date packages one of outdated ones: each is of a version just below its own.

    So every package can be tried, not only what happens to be newer in the security suite. Files get a time long
    ago: what was not written since shows by it.
    """
    status = root / "var/lib/dpkg/status"
    stanzas = status.read_text().split("\n\n")
    versions = {name: version for each in stanzas for name, version in _packages(each)}
    status.write_text("\n\n".join(_aged(each, versions) for each in stanzas))
    for path in (root / "var/lib/dpkg/info").iterdir():
        name, _, kind = path.name.rpartition(".")
        if kind in ("preinst", "postinst", "prerm", "postrm"):
            version = versions[name.partition(":")[0]].encode()
            path.write_bytes(re.sub(re.escape(version) + rb"(?![\\~.\w])", version + b"~old", path.read_bytes()))
    cache = root / CACHE
    cache.write_bytes(written_by(cache.read_bytes(), versions[WRITER], f"{versions[WRITER]}~old"))
    for folder, _, files in os.walk(root):
        for name in files:
            os.utime(Path(folder) / name, (_LONG_AGO, _LONG_AGO), follow_symlinks=False)


def is_of_old(path: Path) -> bool:
    """Tells whether nothing wrote a file since `age`."""
    return path.lstat().st_mtime == _LONG_AGO


def in_chroot(root: Path, command: str) -> None:
    """Runs a command of an image in it, with the network; nothing of the run stays besides what it does."""
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    run("mount", "-t", "proc", "proc", str(root / "proc"))
    try:
        run("chroot", str(root), "sh", "-c", command)
    finally:
        run("umount", str(root / "proc"))
    policy.unlink()
    scrub(root)


def scrub(root: Path) -> None:
    """Takes away what apt fetched and logged; directories of logs stay, which have owners."""
    (root / "etc/resolv.conf").write_text("")
    for folder in ("var/lib/apt/lists", "var/log", "var/cache/apt"):
        for each in (root / folder).rglob("*"):
            if not each.is_dir():
                each.unlink()


def run(*command: str) -> None:
    """Runs a command; ends the program where it fails."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | _ENVIRONMENT)
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-2000:], file=sys.stderr)
        raise SystemExit(f"{' '.join(command)[:200]} ended with {done.returncode}")


def _packages(stanza: str) -> list[tuple[str, str]]:
    return list(zip(_NAME.findall(stanza), _VERSION.findall(stanza), strict=False))


def _aged(stanza: str, versions: Mapping[str, str]) -> str:
    own = next((version for _, version in _packages(stanza)), "")

    def older(match: re.Match[str]) -> str:
        name, architecture, relation, version = match.groups()
        same = version in (versions.get(name), own)
        return f"{name}{architecture or ''}{relation}{version}{'~old' if same else ''})"

    lines = [
        line if line.startswith((" ", "Description")) else _RELATION.sub(older, line)
        for line in stanza.splitlines()
    ]
    return _VERSION.sub(r"Version: \1~old", "\n".join(lines))
