"""Fixes an image that apko made of Alpine packages, and holds it against apko's own image of the new versions.

`python -m tests.fixes apk [FOLDER]`: the packages are ours, in a signed repository on this machine, which the
fixer asks over HTTP. apko is taken from PATH or from DRYDOCK_APKO; docs/decisions/0049 says how it is built.
Exit status: 0 the same but for what is told, 1 another difference, 3 it could not be run.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

from services.fixer.image.layer import write_layer
from services.fixer.image.node import Node, NodeKind, Tree
from services.fixer.image.tree import read_tree
from services.fixer.plan.outcome import FindingRef
from services.fixer.plan.packages import RepositoryRef, Survey, SystemPlan
from services.fixer.repositories.depot import Depot, Expected
from services.fixer.repositories.door import open_door
from services.fixer.repositories.keyrings import Keyrings
from services.fixer.repositories.open import open_depot
from services.fixer.repositories.shelf import Shelf
from services.fixer.systems.apk.database import Record, read_database
from services.fixer.systems.apk.scripts import ScriptArchive
from services.fixer.systems.apk.system import ApkSystem
from services.kernel.clock import SystemClock
from services.kernel.egress import Egress, parse_networks
from services.kernel.model.digest import Digest
from services.layers.file import LayerFile
from services.registry.interface import Descriptor
from services.registry.limits import Timeouts
from tests.builders.apks import Apk, Content, Folder, Hard, Link, Special, build_index, signing_key

_DATABASE: Final = "usr/lib/apk/db/"
_TOLD: Final = frozenset(
    {
        f"{_DATABASE}installed",
        f"{_DATABASE}scripts.tar",
        f"{_DATABASE}triggers",
        "etc/apko.json",
        "etc/apk/repositories",
    }
)
"""Compared record by record below, or what apko says of its own build: where it took the packages from."""


_HARD_LINKS: Final = frozenset({"usr/bin/tool-again"})
"""apk gives them the hash of the file, apko none; neither has apko hashes of extended attributes."""


def _packages(version: str, *, new: bool) -> list[Apk]:
    """An image's packages: what a small Alpine image has of kinds of files, scripts and relations."""
    crypto: dict[str, Content] = {
        f"usr/lib/libcrypto.so.{version}": b"crypto" + version.encode() * 50_000,
        "usr/lib/libcrypto.so.3": Link(f"libcrypto.so.{version}"),
    }
    tool: dict[str, Content] = {
        "usr/bin/tool": Special(b"\x7fELF" + version.encode() * 90_000, mode=0o4755),
        "usr/bin/ping": Special(
            b"ping" + version.encode(), mode=0o755, xattrs={"security.capability": "\x01\x02"}
        ),
        "usr/bin/tool-again": Hard("usr/bin/tool"),
        "etc/tool/tool.conf": b"# " + version.encode() + b"\n",
        "etc/tool/same.conf": b"the same in both\n",
        "var/lib/tool": Folder(mode=0o750),
    }
    tool |= (
        {"usr/share/tool/new/file": b"new"}
        if new
        else {"usr/share/tool/old/file": b"old", "usr/bin/dropped": b"x"}
    )
    return [
        Apk(
            name="base",
            version="1-r0",
            files={
                "etc/os-release": b'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.20.1\n',
                "etc/group": b"root:x:0:\n",
                "bin/sh": Special(b"shell", mode=0o755),
            },
        ),
        Apk(name="libcrypto3", version=version, origin="openssl", files=crypto, provides="so:libcrypto.so.3=3"),
        Apk(
            name="libssl3",
            version=version,
            origin="openssl",
            files={"usr/lib/libssl.so.3": b"ssl" + version.encode() * 20_000},
            depends=f"libcrypto3={version} so:libcrypto.so.3",
            provides="so:libssl.so.3=3",
        ),
        Apk(
            name="tool",
            version=version,
            files=tool,
            depends="so:libssl.so.3 base",
            provides=f"cmd:tool={version}",
            scripts={"post-install": f"#!/bin/sh\n# {version}\nadduser tool\n"},
        ),
        Apk(name="watcher", version="1-r0", scripts={"trigger": "#!/bin/sh\nrm -rf /\n"}, triggers="/srv/*"),
        Apk(
            name="scripted",
            version=version,
            files={"usr/bin/scripted": b"s" + version.encode()},
            scripts={"post-upgrade": "#!/bin/sh\nadduser scripted\n"},
        ),
    ]


_OLD: Final = "1.0-r0"
_NEW: Final = "1.1-r2"


def main(arguments: Sequence[str]) -> int:
    """Runs it in a folder, which stays where it was named."""
    apko = os.environ.get("DRYDOCK_APKO") or shutil.which("apko")
    if apko is None:
        print("There is no apko on PATH, and DRYDOCK_APKO names none: see docs/decisions/0049.", file=sys.stderr)
        return 3
    if arguments:
        Path(arguments[0]).mkdir(parents=True, exist_ok=True)
        return _Trial(apko, Path(arguments[0]).resolve()).run()
    with tempfile.TemporaryDirectory(prefix="drydock-apk-") as folder:
        return _Trial(apko, Path(folder)).run()


class _Trial:
    def __init__(self, apko: str, folder: Path) -> None:
        self._apko = apko
        self._folder = folder
        self._system = ApkSystem()

    def run(self) -> int:
        old, new = _packages(_OLD, new=False), _packages(_NEW, new=True)
        served = self._repository("new", old + [each for each in new if each.version == _NEW])
        before = self._image("before", self._repository("old", old), [each.name for each in old])
        names = [each.name for each in new if each.name != "scripted"]
        after = self._image("after", served, [*names, f"scripted={_OLD}"])
        survey = self._survey(before)
        started = time.perf_counter()
        plan, files = asyncio.run(self._plan(survey, served))
        print(f"fetched and planned in {time.perf_counter() - started:.2f} s")
        started = time.perf_counter()
        layer, notes = self._build(before, plan, files)
        print(f"built in {time.perf_counter() - started:.2f} s, {layer.path.stat().st_size:,} bytes")
        for upgrade in plan.upgrades:
            print(f"  {upgrade.installed.name} {upgrade.installed.version} -> {upgrade.candidate.version}")
        for line in (*(f"{each.why.value}: {each.message}" for each in plan.refusals), *notes):
            print(f"  {line}")
        ours, theirs = _read([*before, layer]), _read(after)
        found = [*_files(ours, theirs), *_records(ours, theirs), *_scripts(ours, theirs)]
        for line in found:
            print(f"DIFFERENT {line}")
        print("the same" if not found else f"{len(found)} differences")
        refused = {each.finding.package: each.why.value for each in plan.refusals}
        return 1 if found or refused != {"scripted": "NEEDS_REBUILD"} else 0

    def _repository(self, name: str, packages: Sequence[Apk]) -> Path:
        folder = self._folder / name / "x86_64"
        folder.mkdir(parents=True, exist_ok=True)
        for package in packages:
            (folder / package.file_name).write_bytes(package.build(signing_key()))
        (folder / "APKINDEX.tar.gz").write_bytes(build_index(packages, signing_key()))
        return folder.parent

    def _image(self, name: str, repository: Path, packages: Sequence[str]) -> list[LayerFile]:
        """Lets apko install packages into an OCI layout, and returns its layers."""
        key = self._folder / signing_key().name
        key.write_bytes(signing_key().public)
        contents = {"repositories": [str(repository)], "keyring": [str(key)], "packages": list(packages)}
        config = self._folder / f"{name}.yaml"
        config.write_text(json.dumps({"contents": contents, "archs": ["x86_64"]}))
        layout, cache = self._folder / f"{name}-image", self._folder / "cache"
        for each in (layout, cache):
            each.mkdir(exist_ok=True)
        options = ("--sbom=false", "--vcs=false", "--offline", "--cache-dir", str(cache))
        subprocess.run(
            [self._apko, "build", *options, str(config), "trial:1", str(layout)],
            check=True,
            stderr=subprocess.DEVNULL,
            timeout=120,
        )
        return list(_layers(layout))

    def _survey(self, layers: Sequence[LayerFile]) -> Survey:
        survey = self._system.survey(read_tree(layers, self._system.wants))
        if survey is None:
            raise SystemExit("apko's image has no database of apk's")
        return survey

    async def _plan(self, survey: Survey, repository: Path) -> tuple[SystemPlan, dict[str, Path]]:
        """Asks the repository through the door and the depot, with the key in the operator's folder."""
        keys = self._folder / "keyrings" / "alpine"
        keys.mkdir(parents=True, exist_ok=True)
        (keys / signing_key().name).write_bytes(signing_key().public)
        findings = [
            FindingRef(
                id=f"CVE-{package.name}",
                package=package.name,
                version=package.version,
                fixed_version=_NEW,
                path=f"/{_DATABASE}installed",
                severity="HIGH",
            )
            for package in survey.packages
            if package.version == _OLD and package.name != "libcrypto3"
        ]
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(repository)))
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        try:
            async with (
                open_door(Egress(networks=parse_networks("127.0.0.0/8")), SystemClock(), _TIMEOUTS) as door,
                open_depot(
                    door, Shelf(self._folder / "shelf", 1 << 30), Keyrings(keys.parent), self._folder / "shelf"
                ) as depot,
            ):
                candidates = await self._system.available(survey, [RepositoryRef(address=address)], depot)
                plan = self._system.plan(survey, candidates, findings)
                files = await self._fetch(plan, depot)
        finally:
            server.shutdown()
        return self._system.check(survey, plan, files), files

    async def _fetch(self, plan: SystemPlan, depot: Depot) -> dict[str, Path]:
        files = {}
        for number, upgrade in enumerate(plan.upgrades):
            candidate = upgrade.candidate
            expected = Expected(size=candidate.size, checksum=candidate.checksum)
            path = self._folder / f"fetched-{number}.apk"
            path.unlink(missing_ok=True)
            shutil.copyfile(await depot.file(candidate.url, expected, tampered=True), path)
            files[candidate.url] = path
        return files

    def _build(
        self, layers: Sequence[LayerFile], plan: SystemPlan, files: dict[str, Path]
    ) -> tuple[LayerFile, tuple[str, ...]]:
        target = self._folder / "fix.tar.gz"
        target.unlink(missing_ok=True)
        tree = read_tree(layers, lambda path: self._system.reads(path, plan))
        with write_layer(target, tree) as writer:
            built = self._system.build(tree, plan, files, writer)
            written = writer.finish()
        descriptor = Descriptor(media_type=_GZIP, digest=written.digest, size=written.size)
        return LayerFile(descriptor, target), built.notes


_GZIP: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
_TIMEOUTS: Final = Timeouts(connect_seconds=2, idle_seconds=5, request_seconds=30)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def _layers(layout: Path) -> Iterator[LayerFile]:
    def blob(digest: str) -> Path:
        return layout / "blobs" / digest.replace(":", "/")

    (manifest,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    for each in json.loads(blob(manifest["digest"]).read_bytes())["layers"]:
        descriptor = Descriptor(media_type=each["mediaType"], digest=Digest(each["digest"]), size=each["size"])
        yield LayerFile(descriptor, blob(each["digest"]))


def _read(layers: Sequence[LayerFile]) -> Tree:
    return read_tree(layers, lambda _: True)


def _files(ours: Tree, theirs: Tree) -> Iterator[str]:
    """Compares every file of the two images."""
    ours_by_path, theirs_by_path = dict(_walk(ours, "")), dict(_walk(theirs, ""))
    for path in sorted({*ours_by_path, *theirs_by_path} - _TOLD):
        mine, other = ours_by_path.get(path), theirs_by_path.get(path)
        if mine is None or other is None:
            yield f"/{path} is only {'theirs' if mine is None else 'ours'}"
            continue
        if _said(mine) != _said(other):
            yield f"/{path}: {_said(mine)} is {_said(other)}"
        elif mine.kind is NodeKind.FILE and ours.read(path) != theirs.read(path):
            yield f"/{path} has {hashlib.sha256(ours.read(path)).hexdigest()[:12]}, not theirs"


def _said(node: Node) -> tuple[object, ...]:
    attributes = dataclasses.replace(node.attributes, mtime=0)
    times = node.attributes.mtime if node.kind is NodeKind.FILE else 0
    return node.kind.value, node.target, node.size, node.device, attributes, times


def _walk(tree: Tree, folder: str) -> Iterator[tuple[str, Node]]:
    for name in tree.names(folder):
        path = f"{folder}/{name}" if folder else name
        node = tree.get(path)
        if node is not None:
            yield path, node
            if node.kind is NodeKind.DIRECTORY:
                yield from _walk(tree, path)


def _records(ours: Tree, theirs: Tree) -> Iterator[str]:
    """Compares the databases: apko writes lines in another order, and those that say nothing."""
    mine = {record.name: _facts(record) for record in read_database(ours.read(f"{_DATABASE}installed"))}
    other = {record.name: _facts(record) for record in read_database(theirs.read(f"{_DATABASE}installed"))}
    for name in sorted({*mine, *other}):
        for fact in sorted(mine.get(name, set()) ^ other.get(name, set())):
            yield f"record of {name}: {'ours' if fact in mine.get(name, set()) else 'theirs'} says {fact}"


def _facts(record: Record) -> set[str]:
    facts = {f"{letter}:{value}" for letter, value in record.fields.items() if value not in ("", "0", "[]")}
    facts |= {f"M:{path} {folder.acl}" for path, folder in record.folders.items()}
    for path, file in record.paths():
        digest = "" if path in _HARD_LINKS else file.digest
        facts.add(f"R:{path} {dataclasses.replace(file.acl, xattrs='')} {digest}")
    return facts


def _scripts(ours: Tree, theirs: Tree) -> Iterator[str]:
    mine, other = (set(ScriptArchive(each.read(f"{_DATABASE}scripts.tar")).scripts()) for each in (ours, theirs))
    for script in sorted(mine ^ other, key=str):
        yield f"script {'ours' if script in mine else 'theirs'}: {script}"
    triggers = [sorted(each.read(f"{_DATABASE}triggers").splitlines()) for each in (ours, theirs)]
    if triggers[0] != triggers[1]:
        yield f"triggers: {triggers[0]} is {triggers[1]}"
