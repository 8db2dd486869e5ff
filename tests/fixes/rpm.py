"""A fix of an rpm image, held against what rpm itself leaves: `python -m tests.fixes rpm [FOLDER]`.

Needs Debian's rpm, dnf, createrepo-c, gpg and busybox-static, and root (for owners, capabilities and chroots).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from services.fixer.image.layer import write_layer
from services.fixer.image.tree import read_tree
from services.fixer.plan.outcome import FindingRef
from services.fixer.plan.packages import SystemPlan
from services.fixer.repositories.depot import Expected
from services.fixer.systems.rpm import tags
from services.fixer.systems.rpm.header import Header
from services.fixer.systems.rpm.system import RpmSystem
from services.kernel.model.digest import Digest
from services.layers.file import LayerFile
from services.registry.interface import Descriptor
from services.scanner.catalogers.systems.rpm import RpmCataloger
from tests.fakes.folder_depot import FolderDepot
from tests.fixes.rpm_packages import build

_PROGRAMS = ("busybox", "rpm", "rpmbuild", "rpmsign", "createrepo_c", "dnf", "gpg", "tar")
_ADDRESS = "http://repository.test/el9"
_DATABASE = "var/lib/rpm/rpmdb.sqlite"
_MOMENTS = (tags.INSTALL_TID, tags.INSTALL_TIME)


def main(arguments: list[str]) -> int:
    """Prints what was tried and what differs; 0 where nothing does."""
    del arguments
    lacking = [name for name in _PROGRAMS if shutil.which(name) is None]
    if lacking or os.geteuid():
        sys.stdout.write(f"cannot run here: {', '.join(lacking) or 'not root'}\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="fix-rpm-") as place:
        return _Trial(Path(place)).run()


class _Trial:
    def __init__(self, place: Path) -> None:
        self._place = place
        self._home = place / "home"
        self._home.mkdir()
        (self._home / ".rpmmacros").write_text(
            "%_dbpath /var/lib/rpm\n%_gpg_name trial\n%_transaction_color 3\n%__gpg /usr/bin/gpg\n"
        )
        self._environment = {**os.environ, "HOME": str(self._home), "GNUPGHOME": str(self._home / "gnupg")}
        self._faults = 0

    def run(self) -> int:
        original, repository, key = self._make()
        layer, plan = self._fix(original, repository, key)
        fixed, native = self._place / "fixed", self._place / "native"
        self._sh("cp", "-a", str(original), str(fixed))
        _apply(layer, fixed)
        self._sh("cp", "-a", str(original), str(native))
        wanted = {upgrade.candidate.url.rpartition("/")[2] for upgrade in plan.upgrades}
        files = [str(path) for path in repository.glob("*.rpm") if path.name in wanted]
        self._rpm(native, "-U", "--excludedocs", *files)
        self._judge(original, fixed, native)
        sys.stdout.write("nothing differs\n" if not self._faults else f"{self._faults} differences\n")
        return min(self._faults, 1)

    def _make(self) -> tuple[Path, Path, bytes]:
        (self._home / "gnupg").mkdir(mode=0o700)
        make_key = ("gpg", "--batch", "--quiet", "--passphrase", "", "--quick-gen-key")
        self._sh(*make_key, "trial <trial@example.invalid>", "rsa2048", "sign", "never")
        key = self._sh("gpg", "--export", "trial").encode("latin-1")
        first, second = (build(version, self._place, self._environment) for version in (1, 2))
        repository = self._place / "repository"
        repository.mkdir()
        for path in second:
            self._sh("rpmsign", "--addsign", str(path))
            shutil.copy(path, repository)
        self._sh("createrepo_c", "--quiet", str(repository))
        original = self._place / "original"
        for folder in ("usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "etc", "var/log"):
            (original / folder).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            (original / name).symlink_to(f"usr/{name}")
        # What the packages' scripts need when rpm runs those that we leave out.
        shutil.copy(shutil.which("busybox") or "", original / "usr/bin/sh")
        (original / "usr/sbin/ldconfig").write_text("#!/bin/sh\nexit 0\n")
        (original / "usr/sbin/ldconfig").chmod(0o755)
        self._rpm(
            original,
            "-i",
            "--noscripts",
            "--excludedocs",
            *(str(path) for path in first if "brand-new" not in path.name),
        )
        for name in ("changed", "replaced", "dropped-changed", "same", "was"):
            with (original / f"etc/confdemo-{name}.conf").open("a") as file:
                file.write("changed in the image\n")
        (original / "var/log/confdemo.log").write_text("log\n")
        (original / "etc/yum.repos.d").mkdir()
        (original / "etc/yum.repos.d/trial.repo").write_text(
            f"[trial]\nname=trial\nbaseurl={_ADDRESS.replace('el9', 'el$releasever')}\nenabled=1\ngpgcheck=0\n"
            "[off]\nbaseurl=http://off.test/\nenabled=0\n[mirrors]\nmirrorlist=http://mirrors.test/list\n"
        )
        (original / "etc/dnf").mkdir()
        (original / "etc/dnf/dnf.conf").write_text("[main]\nexcludepkgs=locked\ntsflags=nodocs\n")
        return original, repository, key

    def _fix(self, original: Path, repository: Path, key: bytes) -> tuple[Path, SystemPlan]:
        layers = [_layer_of(original, self._place / "original.tar")]
        system, depot = RpmSystem(), FolderDepot(_ADDRESS, repository, key)
        began = time.perf_counter()
        survey = system.survey(read_tree(layers, system.wants))
        assert survey is not None
        sys.stdout.write(f"survey: {len(survey.packages)} packages, {survey.repositories}\n")
        found = asyncio.run(system.available(survey, survey.repositories, depot))
        findings = [
            FindingRef(id=f"CVE-2026-{number}", package=package.name, version=package.version,
                       fixed_version=package.version.replace("1-1", "2-1"), path=f"/{_DATABASE}", severity="HIGH")
            for number, package in enumerate(survey.packages)
        ]  # fmt: skip
        plan = system.plan(survey, found, findings)
        files = {
            each.candidate.url: asyncio.run(depot.file(
                each.candidate.url,
                Expected(size=each.candidate.size, checksum=f"sha256:{each.candidate.sha256}"), tampered=True,
            ))
            for each in plan.upgrades
        }  # fmt: skip
        plan = system.check(survey, plan, files)
        for upgrade in plan.upgrades:
            sys.stdout.write(
                f"  {upgrade.installed.name} {upgrade.installed.version} -> {upgrade.candidate.version}\n"
            )
        for refusal in plan.refusals:
            sys.stdout.write(f"  stays: {refusal.finding.package}: {refusal.why.name}: {refusal.message}\n")
        tree = read_tree(layers, lambda path: system.reads(path, plan))
        target = self._place / "fix.tar.gz"
        with write_layer(target, tree) as writer:
            built = system.build(tree, plan, files, writer)
            written = writer.finish()
        again = self._place / "again.tar.gz"
        with write_layer(again, tree) as writer:
            system.build(tree, plan, files, writer)
            self._expect(writer.finish().digest == written.digest, "the same inputs give other bytes")
        for note in built.notes:
            sys.stdout.write(f"  note: {note}\n")
        sys.stdout.write(
            f"layer: {written.size:,} bytes, {written.entries} entries; {time.perf_counter() - began:.2f} s for "
            f"two builds, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MB\n"
        )
        return target, plan

    def _judge(self, original: Path, fixed: Path, native: Path) -> None:
        self._same("rpm -qa", *(sorted(self._rpm(root, "-qa").split()) for root in (fixed, native)))
        self._same("rpm -Va", *(sorted(self._verify(root)) for root in (fixed, native)))
        sys.stdout.write(f"rpm -Va: {self._verify(original)} before, {self._verify(fixed)} after\n")
        self._rpm(fixed, "--verifydb")
        scanned = RpmCataloger().read(_DATABASE, (fixed / _DATABASE).read_bytes())
        told = [line.split("|")[0] for line in self._rpm(fixed, "-qa", "--qf", "%{NAME}|\\n").splitlines()]
        self._same("the scanner's list", sorted(each.name for each in scanned.packages), sorted(told))
        self._expect(not scanned.warnings, f"the scanner warns: {scanned.warnings}")
        self._same("file tree", sorted(_tree_of(fixed)), sorted(_tree_of(native)))
        self._same("headers", *(sorted(_headers_of(root)) for root in (fixed, native)))
        self._same("indexes", *(sorted(_indexes_of(root)) for root in (fixed, native)))
        self._same("schema", *(_schema_of(root) for root in (fixed, native)))
        self._same("states of files", *(sorted(self._states(root)) for root in (fixed, native)))
        check = self._sh("dnf", "--installroot", str(fixed), "--releasever", "9", "-q", "check")
        self._expect(not check.strip(), f"dnf check: {check}")
        third = self._place / "third"
        third.mkdir()
        for path in build(3, self._place, self._environment):
            shutil.copy(path, third)
        self._sh("createrepo_c", "--quiet", str(third))
        dnf = ("dnf", "--installroot", str(fixed), "--releasever", "9", "--setopt=reposdir=/nowhere", "-q", "-y")
        self._sh(*dnf, "--nogpgcheck", f"--repofrompath=third,file://{third}", "upgrade")
        versions = set(self._rpm(fixed, "-qa", "--qf", "%{NAME} %{VERSION}\\n").splitlines())
        self._expect({"confdemo 3", "libdemo 3", "locked 1"} <= versions, f"dnf upgrade left {sorted(versions)}")
        self._rpm(fixed, "--verifydb")

    def _states(self, root: Path) -> list[str]:
        return self._rpm(root, "-qa", "--qf", "[%{=NAME} %{FILENAMES} %{FILESTATES:fstate}\\n]").splitlines()

    def _verify(self, root: Path) -> list[str]:
        done = subprocess.run(
            ["rpm", "--root", str(root), "-Va"], env=self._environment, capture_output=True, text=True, check=False
        )
        return done.stdout.splitlines()

    def _same(self, what: str, one: object, two: object) -> None:
        if one == two:
            sys.stdout.write(f"{what}: as rpm leaves it\n")
            return
        self._faults += 1
        sys.stdout.write(f"{what} DIFFERS\n")
        if isinstance(one, list) and isinstance(two, list):
            for line in one:
                if line not in two:
                    sys.stdout.write(f"  only here: {str(line)[:400]}\n")
            for line in two:
                if line not in one:
                    sys.stdout.write(f"  only rpm:  {str(line)[:400]}\n")
        else:
            sys.stdout.write(f"  here: {str(one)[:2000]}\n  rpm:  {str(two)[:2000]}\n")

    def _expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self._faults += 1
            sys.stdout.write(f"{otherwise}\n")

    def _rpm(self, root: Path, *arguments: str) -> str:
        return self._sh("rpm", "--root", str(root), "--nosignature", *arguments)

    def _sh(self, *command: str) -> str:
        done = subprocess.run(command, env=self._environment, capture_output=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: {done.stdout.decode()}{done.stderr.decode()}")
        return done.stdout.decode("latin-1")


def _layer_of(root: Path, target: Path) -> LayerFile:
    subprocess.run(
        ["tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-C", str(root), "-cf", str(target), "."],
        check=True,
    )
    content = target.read_bytes()
    digest = Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")
    descriptor = Descriptor(media_type="application/vnd.oci.image.layer.v1.tar", digest=digest, size=len(content))
    return LayerFile(descriptor, target, True)


def _apply(layer: Path, root: Path) -> None:
    """Lays a layer on top, as a runtime would."""
    with tarfile.open(layer) as archive:
        for member in archive:
            folder, _, name = member.name.rpartition("/")
            if name.startswith(".wh."):
                gone = root / folder / name.removeprefix(".wh.")
                if gone.is_dir() and not gone.is_symlink():
                    shutil.rmtree(gone)
                else:
                    gone.unlink()
    command = ["tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-C", str(root), "-xpzf", str(layer)]
    subprocess.run([*command, "--exclude=.wh.*"], check=True)


def _tree_of(root: Path) -> Iterator[tuple[object, ...]]:
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        if name.startswith(("var/lib/rpm/", "var/tmp")):  # rpm keeps its scripts in the latter
            continue
        status = path.lstat()
        kind, mode = stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode)
        content = ""
        if stat.S_ISLNK(status.st_mode):
            content = str(path.readlink())
        elif stat.S_ISREG(status.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        moment = 0 if stat.S_ISDIR(kind) else int(status.st_mtime)
        attributes = (
            [] if path.is_symlink() else [(each, os.getxattr(path, each).hex()) for each in os.listxattr(path)]
        )
        links = status.st_nlink if stat.S_ISREG(kind) else 0
        yield name, kind, oct(mode), status.st_uid, status.st_gid, moment, content, str(attributes), links


def _rows(root: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(f"file:{root / _DATABASE}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def _headers_of(root: Path) -> Iterator[tuple[object, ...]]:
    """Each header byte by byte, but for the moments when it was installed."""
    for (blob,) in _rows(root, "SELECT blob FROM Packages"):
        assert isinstance(blob, bytes)
        header = Header(blob)
        content, end = bytearray(blob), len(blob)
        for tag in _MOMENTS:
            # Both stand near the end, among what installing added.
            end = blob.rindex(header.raw(tag), 0, end)
            content[end : end + 4] = bytes(4)
        yield header.text(tags.NAME), len(blob), hashlib.sha256(content).hexdigest()


def _indexes_of(root: Path) -> Iterator[tuple[object, ...]]:
    """Each row of each index, with the package's name in the place of its number, which follows from the order."""
    names = {each[0]: each[1] for each in _rows(root, "SELECT hnum, key FROM Name")}
    for (table,) in _rows(root, "SELECT name FROM sqlite_master WHERE type = 'table'"):
        if table in ("Packages", "sqlite_sequence", "sqlite_stat1"):
            continue
        for key, kind, number, index in _rows(root, f"SELECT key, typeof(key), hnum, idx FROM '{table}'"):  # noqa: S608
            moment = "time" if table == "Installtid" else str(key)
            yield str(table), moment, str(kind), str(names[number]), int(str(index))


def _schema_of(root: Path) -> list[tuple[object, ...]]:
    query = "SELECT type, name, sql FROM sqlite_master WHERE name != 'sqlite_stat1' ORDER BY name"
    return [*_rows(root, query), *_rows(root, "SELECT * FROM sqlite_sequence")]
