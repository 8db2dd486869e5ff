"""Findings, upgrades and platforms of a fix."""

from __future__ import annotations

from collections.abc import Sequence

from services.fixer.order import FindingOutcome, PlatformPlan
from services.fixer.plan.outcome import FindingRef
from services.fixer.plan.packages import Candidate, InstalledPackage, Upgrade
from services.kernel.model.digest import Digest
from services.kernel.model.platform import Platform

FIXED_DIGEST = "sha256:" + "f" * 64


def ref(
    identifier: str = "CVE-2024-2", package: str = "libssl3", *, version: str = "3.0.11-1", fixed: str = "9"
) -> FindingRef:
    return FindingRef(
        id=identifier,
        package=package,
        version=version,
        fixed_version=fixed,
        path="/var/lib/dpkg/status",
        severity="HIGH",
    )


def upgrade(*because: FindingRef, name: str = "libssl3", old: str = "3.0.11-1", new: str = "9-1") -> Upgrade:
    installed = InstalledPackage(name=name, version=old, architecture="amd64", source=name, source_version=old)
    candidate = Candidate(
        name=name,
        version=new,
        architecture="amd64",
        source=name,
        source_version=new,
        url=f"http://mirror.example/{name}.deb",
        size=1,
        sha256="a" * 64,
    )
    return Upgrade(installed=installed, candidate=candidate, because=because)


def platform_plan(
    outcomes: Sequence[FindingOutcome], upgrades: Sequence[Upgrade] = (), *, fixed: str = FIXED_DIGEST
) -> PlatformPlan:
    return PlatformPlan(
        platform=Platform(os="linux", architecture="amd64"),
        digest=Digest("sha256:" + "a" * 64),
        system="dpkg",
        upgrades=tuple(upgrades),
        outcomes=tuple(outcomes),
        fixed_digest=fixed,
    )
