"""Images with a dpkg database: folders as dpkg leaves them, and a layer that remembers what was written."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from services.fixer.image.node import Attributes, NodeKind
from services.fixer.plan.outcome import FindingRef
from services.fixer.plan.packages import Candidate, Survey, SystemPlan, Upgrade
from services.fixer.systems.dpkg.deb import Deb
from services.fixer.systems.dpkg.status import installed_stanza
from services.fixer.systems.dpkg.system import DpkgSystem
from tests.builders.debs import MadeDeb
from tests.fakes.clock import ManualClock
from tests.fakes.folders import FolderTree

OS_RELEASE = (
    'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
)
SOURCES = "deb http://deb.example/debian bookworm main\n"


class RecordingLayer:
    """Meets `Layer`."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.links: dict[str, str] = {}
        self.hard_links: dict[str, str] = {}
        self.directories: set[str] = set()
        self.devices: set[str] = set()
        self.removed: set[str] = set()
        self.attributes: dict[str, Attributes] = {}

    def directory(self, path: str, attributes: Attributes) -> None:
        self._once(path, attributes)
        self.directories.add(path)

    def file(self, path: str, attributes: Attributes, content: BinaryIO, size: int) -> None:
        self._once(path, attributes)
        self.files[path] = content.read()
        assert len(self.files[path]) == size

    def symbolic_link(self, path: str, target: str, attributes: Attributes) -> None:
        self._once(path, attributes)
        self.links[path] = target

    def hard_link(self, path: str, target: str) -> None:
        assert target in self.files
        self._once(path, Attributes(mode=0))
        self.hard_links[path] = target

    def device(self, path: str, kind: NodeKind, device: tuple[int, int], attributes: Attributes) -> None:
        self._once(path, attributes)
        self.devices.add(path)

    def remove(self, path: str) -> None:
        self._once(path, Attributes(mode=0))
        self.removed.add(path)

    def text(self, path: str) -> str:
        return self.files[path].decode()

    def _once(self, path: str, attributes: Attributes) -> None:
        assert path not in self.attributes, f"{path} comes twice"
        self.attributes[path] = attributes


def install(root: Path, *debs: MadeDeb, files: Mapping[str, str] | None = None) -> FolderTree:
    """Makes an image in which the packages are installed, with further files."""
    write(root, {"etc/os-release": OS_RELEASE, "etc/apt/sources.list": SOURCES, "var/lib/dpkg/status": ""})
    folder = root.parent / "made"
    folder.mkdir(exist_ok=True)
    stanzas = []
    for each in debs:
        path = folder / f"{each.name}-{each.version}-{each.architecture}.deb"
        path.write_bytes(each.build())
        stanzas.append(_unpack(root, each, Deb(path)))
    write(root, {"var/lib/dpkg/status": "".join(f"{each}\n\n" for each in stanzas)} | dict(files or {}))
    return FolderTree(root)


def write(root: Path, files: Mapping[str, str]) -> None:
    """Writes files beneath a folder."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def status(root: Path) -> str:
    return (root / "var/lib/dpkg/status").read_text()


def system() -> DpkgSystem:
    return DpkgSystem(ManualClock())


def survey_of(tree: FolderTree) -> Survey:
    survey = system().survey(tree)
    assert survey is not None
    return survey


def finding(package: str, version: str = "1.0", fixed: str = "1.1", **more: str) -> FindingRef:
    """A finding of the image."""
    path = more.get("path", "/var/lib/dpkg/status")
    return FindingRef(
        id=more.get("id", "CVE-2026-1"),
        package=package,
        version=version,
        fixed_version=fixed,
        path=path,
        severity="HIGH",
    )


def plan_of(tree: FolderTree, *debs: MadeDeb) -> tuple[SystemPlan, dict[str, Path], Survey]:
    """The plan that takes an image to these packages, and their files."""
    survey = survey_of(tree)
    upgrades, files = [], {}
    folder = tree._root.parent / "made"
    for each in debs:
        candidate: Candidate = each.candidate()
        installed = next(
            package
            for package in survey.packages
            if package.name == each.name and package.architecture in (each.architecture, "all")
        )
        found = finding(installed.name, installed.version, each.version)
        upgrades.append(Upgrade(installed=installed, candidate=candidate, because=(found,)))
        files[candidate.url] = folder / f"{each.name}-{each.version}-{each.architecture}.new.deb"
        files[candidate.url].write_bytes(each.build())
    return SystemPlan(upgrades=tuple(upgrades), refusals=()), files, survey


def build(tree: FolderTree, *debs: MadeDeb) -> RecordingLayer:
    """The layer that takes an image to these packages."""
    layer = RecordingLayer()
    plan, files, _ = plan_of(tree, *debs)
    system().build(tree, plan, files, layer)
    return layer


def md5(content: str) -> str:
    return hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()


def _unpack(root: Path, made: MadeDeb, deb: Deb) -> str:
    info = root / "var/lib/dpkg/info"
    info.mkdir(parents=True, exist_ok=True)
    entries = made.entries
    for path, each in entries.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if each.kind == tarfile.DIRTYPE:
            place.mkdir(exist_ok=True)
        elif each.kind == tarfile.SYMTYPE:
            place.symlink_to(each.target)
        elif each.kind == tarfile.LNKTYPE:
            place.hardlink_to(root / each.target.removeprefix("./"))
        else:
            place.write_bytes(each.content)
            place.chmod(each.mode)
    base = f"{made.name}:{made.architecture}" if made.fields.get("Multi-Arch") == "same" else made.name
    (info / f"{base}.list").write_text("/.\n" + "".join(f"/{path}\n" for path in entries))
    for kind, file in deb.files.items():
        if kind != "control":
            (info / f"{base}.{kind}").write_bytes(file.content)
    conffiles: Sequence[str] = deb.conffiles
    return installed_stanza(
        deb.control,
        "install ok installed",
        [(path, md5(entries[path.lstrip("/")].content.decode())) for path in conffiles],
    )
