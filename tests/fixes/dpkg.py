"""Debian images fixed by us and by `apt-get` in a chroot, for the same versions, compared file by file.

    python -m tests.fixes dpkg [IMAGE ...] [--aged] [--folder FOLDER] [--mirror ADDRESS] [--suite SUITE]

Needs root, debootstrap, dpkg and a Debian mirror that can be reached. The folder keeps what was made; run again it
goes on from there. What apt is told to upgrade is what our plan upgrades, no more: packages that are refused stay
in both.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
import resource
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from services.fixer.image.layer import write_layer
from services.fixer.image.tree import read_tree
from services.fixer.plan.outcome import FindingRef
from services.fixer.plan.packages import Candidate, Survey, SystemPlan
from services.fixer.repositories.depot import Depot, Expected
from services.fixer.repositories.door import open_door
from services.fixer.repositories.keyrings import Keyrings
from services.fixer.repositories.open import open_depot
from services.fixer.repositories.shelf import Shelf
from services.fixer.systems.dpkg.choose import Choice
from services.fixer.systems.dpkg.survey import read_records
from services.fixer.systems.dpkg.system import DpkgSystem
from services.kernel.clock import SystemClock
from services.kernel.egress import Egress, parse_networks
from services.kernel.model.digest import digest_of
from services.kernel.model.media import OCI_LAYER
from services.layers.file import LayerFile
from services.registry.interface import Descriptor
from services.registry.limits import Timeouts
from tests.fixes.dpkg_images import IMAGES, age, in_chroot, is_of_old, packages_of, run, scrub, slim

_TAR = ("tar", "--numeric-owner", "--xattrs")
_COMPILED = "/__pycache__"
"""What Python compiled: apt-get's scripts let it, ours takes away what is out of date."""
_PASSING = (
    "var/cache/apt",
    "var/cache/ldconfig",
    "var/cache/debconf",
    "var/cache/man",
    "var/lib/apt",
    "var/log",
    "dev",
    "proc",
)
"""What apt, debconf and man-db keep for themselves, and logs: not compared."""
_OWN = {"var/lib/dpkg/status-old": "dpkg's last state but one; ours is the state before the fix"}
"""Files that differ by decision."""


def main(arguments: Sequence[str]) -> int:
    """Makes, fixes, compares; returns 0 where nothing differs but what is meant to."""
    parser = argparse.ArgumentParser(prog="python -m tests.fixes dpkg")
    parser.add_argument("images", nargs="*", help=f"of {', '.join(IMAGES)}; without one, all")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "drydock-fixes-dpkg")
    parser.add_argument("--mirror", default="", help="of /debian and /debian-security; this machine's by default")
    parser.add_argument("--aged", action="store_true", help="every package as if it were of an older version")
    parser.add_argument(
        "--suite", default="bookworm", help="of Debian; scripts were read of bookworm and trixie's base"
    )
    options = parser.parse_args(arguments)
    missing = [each for each in ("debootstrap", "dpkg", "chroot") if shutil.which(each) is None]
    if os.geteuid() != 0 or missing:
        print(f"This needs root and debootstrap: missing are {missing or 'the rights of root'}.", file=sys.stderr)
        return 2
    mirror = options.mirror or _mirror_of_this_machine()
    if not mirror:
        print("This machine's apt names no mirror of Debian: name one with --mirror.", file=sys.stderr)
        return 2
    options.folder.mkdir(parents=True, exist_ok=True)
    worst = 0
    for name in options.images or IMAGES:
        worst = max(worst, Trial(options.folder, mirror, options.suite, name, aged=options.aged).run())
    return worst


def _mirror_of_this_machine() -> str:
    """Returns where this machine's apt has Debian's main archive from; empty where it does not."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    found = subprocess.run(command, check=False, capture_output=True, text=True)
    places = (line.rstrip("/") for line in found.stdout.splitlines())
    return next((place.removesuffix("/debian") for place in places if place.endswith("/debian")), "")


class Trial:
    """One image, in both ways."""

    def __init__(self, folder: Path, mirror: str, suite: str, image: str, *, aged: bool) -> None:
        self._mirror = mirror
        self._suite = suite
        folder = folder / suite
        folder.mkdir(exist_ok=True)
        self._image_name = image
        self._aged = aged
        self._name = name = f"{image}-aged" if aged else image
        self._old, self._ours, self._theirs = (folder / f"{name}.{each}" for each in ("old", "ours", "theirs"))
        self._layer, self._tar = (folder / f"{name}.{each}.tar.gz" for each in ("layer", "image"))
        self._base = folder / "base"
        self._packages = folder / "packages"

    def run(self) -> int:
        """Returns 1 where something differs that is not meant to."""
        self._make()
        shutil.rmtree(self._ours, ignore_errors=True)
        shutil.rmtree(self._theirs, ignore_errors=True)
        self._layer.unlink(missing_ok=True)
        plan = asyncio.run(self._fix())
        wanted = [f"{each.candidate.name}={each.candidate.version}" for each in plan.upgrades]
        subprocess.run(["cp", "-a", self._old, self._theirs], check=True)
        start, copied = time.monotonic(), time.time()
        upgrade = "apt-get -qq -o APT::Get::Upgrade-By-Source-Package=false install -y --only-upgrade"
        in_chroot(self._theirs, f"apt-get -qq update && {upgrade} {' '.join(wanted)}")
        print(f"  apt-get in a chroot: {time.monotonic() - start:.1f} s")
        return self._compare(copied)

    def _make(self) -> None:
        if not self._base.exists():
            print("debootstrap …")
            run("debootstrap", "--variant=minbase", self._suite, str(self._base), f"{self._mirror}/debian")
            scrub(self._base)
        if self._old.exists():
            return
        print(f"{self._name}: making it …")
        coming = self._old.with_suffix(".coming")
        shutil.rmtree(coming, ignore_errors=True)
        subprocess.run(["cp", "-a", self._base, coming], check=True)
        sources = coming / "etc/apt/sources.list"
        main = f"deb {self._mirror}/debian {self._suite} main\n"
        sources.write_text(main)
        (coming / "etc/apt/apt.conf.d/99lab").write_text(
            'Acquire::Languages "none";\nAPT::Sandbox::User "root";\nAcquire::Check-Valid-Until "false";\n'
        )
        (coming / "etc/dpkg/dpkg.cfg.d/99lab").write_text("force-unsafe-io\n")
        if packages := packages_of(self._image_name, self._suite):
            install = f"apt-get -qq install -y --no-install-recommends {packages}"
            in_chroot(coming, f"apt-get -qq update && {install}")
        security = f"deb {self._mirror}/debian-security {self._suite}-security main\n"
        sources.write_text(f"{main}deb {self._mirror}/debian {self._suite}-updates main\n{security}")
        if self._image_name == "slim":
            slim(coming)
        if self._aged:
            age(coming)
        coming.rename(self._old)

    async def _fix(self) -> SystemPlan:
        system, timeouts = DpkgSystem(SystemClock()), Timeouts()
        start = time.monotonic()
        survey = system.survey(read_tree([self._image()], system.wants))
        assert survey is not None
        surveyed = time.monotonic()
        egress = Egress(networks=parse_networks("0.0.0.0/0,::/0"))
        async with open_door(egress, SystemClock(), timeouts) as door:
            shelf = Shelf(self._packages, 4 << 30)
            async with open_depot(door, shelf, Keyrings(), self._packages) as depot:
                candidates = await system.available(survey, survey.repositories, depot)
                indexed = time.monotonic()
                plan = system.plan(survey, candidates, _findings(survey, candidates))
                planned = time.monotonic()
                files = await _fetch(plan, depot)
                fetched = time.monotonic()
                plan = system.check(survey, plan, files)
                tree = read_tree([self._image()], lambda path: system.reads(path, plan))
                with write_layer(self._layer, tree) as writer:
                    built = system.build(tree, plan, files, writer)
                    layer = writer.finish()
        end, peak = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        self._apply()
        outdated = len(plan.upgrades) + len(plan.refusals)
        print(f"{self._name}: {len(plan.upgrades)} of {outdated} outdated packages, of {len(survey.packages)}")
        for upgrade in plan.upgrades:
            print(f"  {upgrade.installed.name} {upgrade.installed.version} -> {upgrade.candidate.version}")
        for refusal in plan.refusals:
            print(f"  {refusal.why.value}: {refusal.message}")
        for note in built.notes:
            print(f"  note: {note}")
        print(
            f"  seconds: survey {surveyed - start:.1f}, indexes {indexed - surveyed:.1f}, "
            f"plan {planned - indexed:.2f}, fetch {fetched - planned:.1f}, check and build {end - fetched:.1f}; "
            f"layer {layer.size / 1e6:.2f} MB; peak {peak} MB"
        )
        return plan

    def _image(self) -> LayerFile:
        if not self._tar.exists():
            run(*_TAR, "-I", "gzip -1", "-C", str(self._old), "-cf", str(self._tar), ".")
        size = self._tar.stat().st_size
        return LayerFile(Descriptor(media_type=OCI_LAYER, digest=digest_of(b""), size=size), self._tar)

    def _apply(self) -> None:
        """Lays our layer upon the image, the plain way."""
        subprocess.run(["cp", "-a", self._old, self._ours], check=True)
        with tarfile.open(self._layer) as layer:
            names = layer.getnames()
        for name in names:
            folder, _, last = name.rpartition("/")
            if last.startswith(".wh."):
                gone = self._ours / folder / last.removeprefix(".wh.")
                shutil.rmtree(gone) if gone.is_dir() and not gone.is_symlink() else gone.unlink()
        run(*_TAR, "--exclude=.wh.*", "-C", str(self._ours), "-xpf", str(self._layer))

    def _theirs_as_layer(self, copied: float) -> int:
        """Size of what apt-get wrote as a layer, as an overlay has it: all that was written since the copy."""
        changed = [
            path
            for path in sorted(_paths(self._theirs))
            if not path.startswith(_PASSING) and _is_written(self._theirs / path, copied)
        ]
        listed = self._layer.with_suffix(".list")
        listed.write_text("".join(f"{path}\n" for path in changed))
        made = self._layer.with_suffix(".theirs")
        run("tar", "--no-recursion", "-C", str(self._theirs), "-T", str(listed), "-czf", str(made))
        return made.stat().st_size

    def _compare(self, copied: float) -> int:
        print(f"  apt-get's changes as a layer: {self._theirs_as_layer(copied) / 1e6:.2f} MB")
        for check in ("--audit", "--verify"):
            before, after = (set(_dpkg(each, check).splitlines()) for each in (self._old, self._ours))
            print(f"  dpkg {check}: {sorted(after - before) or 'nothing that the original does not show'}")
        differing = list(_differences(self._theirs, self._ours))
        if self._aged:
            differing += _unevenly_written(self._theirs, self._ours)
        unmeant = [each for each in differing if each.path not in _OWN and _COMPILED not in each.path]
        meant = len(differing) - len(unmeant)
        print(f"  compared with apt-get's: {len(unmeant)} files differ, besides {meant} that are meant to")
        for each in unmeant:
            print(f"    {each.path}: {_OWN.get(each.path, each.how)}")
        program = "set -e; perl -e 1; apt-get -v; if command -v nginx; then nginx -v; openssl version; curl -V; fi"
        started = subprocess.run(["chroot", self._ours, "sh", "-c", program], check=False, capture_output=True)
        print(f"  programs start in a chroot: {started.returncode == 0}")
        return 1 if unmeant or started.returncode else 0


def _findings(survey: Survey, candidates: Sequence[Candidate]) -> list[FindingRef]:
    """One finding for every package that has a newer version, as if that were a fix."""
    choice = Choice(read_records(survey.database), candidates)
    return [
        FindingRef(
            id=f"TEST-{package.name}",
            package=package.name,
            version=package.version,
            fixed_version=best.source_version,
            path="/var/lib/dpkg/status",
            severity="HIGH",
        )
        for package in survey.packages
        if (best := choice.best(package)) is not None
    ]


async def _fetch(plan: SystemPlan, depot: Depot) -> dict[str, Path]:
    files = {}
    for each in (upgrade.candidate for upgrade in plan.upgrades):
        expected = Expected(size=each.size, checksum=f"sha256:{each.sha256}")
        files[each.url] = await depot.file(each.url, expected, tampered=True)
    return files


@dataclasses.dataclass(frozen=True)
class Difference:
    """A path that is not the same in both."""

    path: str
    how: str


def _differences(theirs: Path, ours: Path) -> Iterator[Difference]:
    paths = {*_paths(theirs), *_paths(ours)}
    for path in sorted(paths):
        if path.startswith(_PASSING):
            continue
        if (how := _difference(theirs / path, ours / path)) is not None:
            yield Difference(path, how)


def _difference(theirs: Path, ours: Path) -> str | None:
    if not os.path.lexists(theirs) or not os.path.lexists(ours):
        return "only ours" if os.path.lexists(ours) else "only apt-get's"
    one, other = _facts(theirs), _facts(ours)
    return next((what for what, value in one.items() if other[what] != value), None)


def _unevenly_written(theirs: Path, ours: Path) -> Iterator[Difference]:
    """Files of packages that one of both left as they were and the other wrote anew, if with the same content."""
    for listed in sorted((theirs / "var/lib/dpkg/info").glob("*.list")):
        for line in listed.read_text().splitlines():
            one, other = theirs / line.lstrip("/"), ours / line.lstrip("/")
            if any(each.is_dir() or not os.path.lexists(each) for each in (one, other)):
                continue
            if is_of_old(one) != is_of_old(other):
                yield Difference(
                    line.lstrip("/"), "only ours is new" if is_of_old(one) else "only apt-get's is new"
                )


def _is_written(path: Path, since: float) -> bool:
    return path.lstat().st_ctime > since and (path.is_symlink() or not path.is_dir())


def _facts(path: Path) -> dict[str, object]:
    found = path.lstat()
    link, file = stat.S_ISLNK(found.st_mode), stat.S_ISREG(found.st_mode)
    return {
        "mode or kind": stat.filemode(found.st_mode),
        "owner": (found.st_uid, found.st_gid),
        "target": path.readlink() if link else None,
        "extended attributes": None if link else os.listxattr(path),
        "hard links": file and found.st_nlink > 1,
        "content": path.read_bytes() if file else None,
    }


def _paths(root: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            yield str((Path(folder) / name).relative_to(root))


def _dpkg(root: Path, *arguments: str) -> str:
    done = subprocess.run(["dpkg", f"--root={root}", *arguments], check=False, capture_output=True, text=True)
    return done.stdout + done.stderr
