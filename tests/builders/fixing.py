"""The way of a fix on real parts: a registry, a signed repository on loopback, worker processes, files on disk.

Rules and the scanner are played: what they say is what a test puts in.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import msgspec
from pysequoia import Tsk

from services.fixer.fix import Fix
from services.fixer.order import FixOrder, Pushed, Stage
from services.fixer.proof.prove import Prover
from services.fixer.reports import Reports, ScannedImage
from services.fixer.repositories.configured import ConfiguredRepositories
from services.fixer.repositories.door import open_door
from services.fixer.repositories.keyrings import Keyrings
from services.fixer.repositories.open import open_depot
from services.fixer.repositories.shelf import Shelf
from services.fixer.steps import labour
from services.fixer.steps.bench import Benches
from services.fixer.steps.make import Maker
from services.fixer.steps.prepare import Planner
from services.fixer.steps.survey import Surveyor
from services.fixer.steps.workers import Labour
from services.kernel.clock import SystemClock
from services.kernel.egress import Egress, parse_networks
from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import Digest
from services.kernel.model.finding import Finding, FindingKind, Package
from services.kernel.model.reference import parse_repository
from services.kernel.model.report import Report
from services.kernel.workers.pool import WorkerPool
from services.kernel.workers.template import spawn_template
from services.lab.debs import Deb
from services.registry.limits import RetryPolicy, SourceSettings, Timeouts
from services.registry.open import open_repository
from services.registry.push import open_push
from services.registry.spool import LayerSpool
from services.rules.api import RulesApi
from services.scanner.api import ScannerApi
from tests.builders.reports import a_report, vulnerability

REPOSITORY, TAG = "team/app", "1.0"
QUICK = SourceSettings(
    timeouts=Timeouts(connect_seconds=5, idle_seconds=5, request_seconds=10),
    retry=RetryPolicy(attempts=2, first_seconds=0.01),
)


class PlayedRules:
    """Knows one instance."""

    def __init__(self, access: RegistryAccess) -> None:
        self.access = access

    async def registry_access(self, instance_id: str) -> RegistryAccess:
        return self.access


class PlayedReports(Reports):
    """Says what a test puts in: of the original, and of whatever is pushed."""

    def __init__(self, before: Mapping[str, Report]) -> None:
        super().__init__(cast("ScannerApi", None))
        self.before = before
        self.findings_after: tuple[str, ...] = ()
        """Ids that the fixed image still has."""
        self.digests: dict[str, Digest] = {}
        """Of the fixed images of an index, by platform."""
        self.asked: list[FixOrder] = []

    async def of(self, order: FixOrder) -> ScannedImage:
        self.asked.append(order)
        return ScannedImage(task_id="before", reports=self.before)

    async def after(self, order: FixOrder, *, tag: str, digest: Digest, request_id: str) -> ScannedImage:
        reports = {}
        for platform, report in self.before.items():
            left = tuple(each for each in report.findings if each.id in self.findings_after)
            reports[platform] = _seen(report, self.digests.get(platform, digest), left)
        return ScannedImage(task_id="after", reports=reports)


def _seen(report: Report, digest: Digest, findings: tuple[Finding, ...]) -> Report:
    image = msgspec.structs.replace(report.image, digest=digest)
    return msgspec.structs.replace(report, image=image, findings=findings)


@dataclasses.dataclass
class PlayedProgress:
    """Remembers what it is told; a test may have something happen before a tag is written."""

    stages: list[Stage] = dataclasses.field(default_factory=list)
    noted: Pushed | None = None

    async def stage(self, stage: Stage, message: str, *, done: int = 0, of: int = 0) -> None:
        if stage not in self.stages:
            self.stages.append(stage)

    async def about_to_push(self, pushed: Pushed) -> None:
        self.noted = pushed

    async def pushed_before(self) -> Pushed | None:
        return self.noted


def an_order(digest: str, *, overwrite: bool = False, findings: tuple[str, ...] = ()) -> FixOrder:
    return FixOrder(
        task_id="0b0a0e3e-0000-4000-8000-000000000001",
        instance_id="cri-x",
        repository=parse_repository(REPOSITORY),
        tag=TAG,
        digest=Digest(digest),
        findings=findings,
        overwrite=overwrite,
    )


def reported(installed: Sequence[Deb], mended: Mapping[str, str], *, platform: str = "linux/amd64") -> Report:
    """A report with a finding for each of these packages, and the version that mends it; empty for none."""
    packages = {
        deb.name: Package(
            purl=f"pkg:deb/debian/{deb.name}@{deb.version}?arch=amd64&distro=debian-12",
            name=deb.name,
            version=deb.version,
            ecosystem="Debian:12",
            path="/var/lib/dpkg/status",
            layer="",
        )
        for deb in installed
    }
    findings = [
        vulnerability(packages[name], f"CVE-2026-{number}", fixed=version, kind=FindingKind.SYSTEM_VULNERABILITY)
        for number, (name, version) in enumerate(sorted(mended.items()), 1)
    ]
    report = a_report(findings, packages=tuple(packages.values()))
    return msgspec.structs.replace(report, image=msgspec.structs.replace(report.image, platform=platform))


@asynccontextmanager
async def a_fix(
    folder: Path,
    access: RegistryAccess,
    reports: Reports,
    key: Tsk,
    *,
    networks: str = "127.0.0.0/8",
    image_bytes: int = 1 << 30,
) -> AsyncIterator[Fix]:
    """Puts the way of a fix together as the wiring does, with a key of Debian's that the tests made."""
    ring = folder / "keyrings" / "debian"
    ring.mkdir(parents=True, exist_ok=True)
    (ring / "test.gpg").write_bytes(bytes(key.extract_certificate()))
    rules = cast("RulesApi", PlayedRules(access))
    work = Labour(
        WorkerPool(functools.partial(spawn_template, (labour.__name__,)), processes=1, memory_bytes=2 << 30), 60
    )
    shelf, keyrings = Shelf(folder / "packages", 1 << 30), Keyrings(folder / "keyrings")
    egress = Egress(networks=parse_networks(networks))
    maker = Maker(work)
    async with (
        LayerSpool(folder / "packages" / "work", 1 << 30) as spool,
        open_door(egress, SystemClock(), QUICK.timeouts) as door,
    ):
        yield Fix(
            rules=rules,
            benches=Benches(
                rules,
                functools.partial(open_repository, QUICK),
                spool,
                functools.partial(open_depot, door, shelf, keyrings),
            ),
            open_push=functools.partial(open_push, QUICK),
            reports=reports,
            surveyor=Surveyor(
                Planner(work, ConfiguredRepositories()), maker, spool, QUICK.limits, image_bytes=image_bytes
            ),
            maker=maker,
            prover=Prover(reports),
        )
