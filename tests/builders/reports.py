"""Reports with all four kinds of finding in them."""

from __future__ import annotations

from collections.abc import Sequence

from services.kernel.model.finding import Finding, FindingKind, FixState, Package, SourcePackage
from services.kernel.model.report import (
    SCHEMA,
    AdvisoriesInfo,
    Coverage,
    EngineInfo,
    Inventory,
    Layer,
    Report,
    ReportImage,
    ReportWarning,
    Summary,
    count_by_kind,
    count_by_severity,
)
from services.kernel.model.severity import Severity

BASE = "sha256:" + "b" * 64
TOP = "sha256:" + "c" * 64
OPENSSL = Package(
    purl="pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12",
    name="libssl3",
    version="3.0.11-1",
    ecosystem="Debian:12",
    path="/var/lib/dpkg/status",
    layer=BASE,
    source=SourcePackage(name="openssl", version="3.0.11-1"),
    arch="amd64",
)
LODASH = Package(
    purl="pkg:npm/%40acme/lodash@4.17.20",
    name="@acme/lodash",
    version="4.17.20",
    ecosystem="npm",
    path="/srv/app [x]/ünï/package-lock.json",
    layer=TOP,
)
LOG4J = Package(
    purl="pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1",
    name="org.apache.logging.log4j:log4j-core",
    version="2.14.1",
    ecosystem="Maven",
    path="/srv/app.jar!/BOOT-INF/lib/log4j-core.jar",
    layer=TOP,
)
PACKAGES = (LODASH, LOG4J, OPENSSL)
PARTIAL = ReportWarning(code="FILE_NOT_READ", message="A file could not be read.", path="/a [b]", layer=TOP)


def vulnerability(
    package: Package,
    identifier: str = "CVE-2024-1",
    *,
    severity: Severity = Severity.HIGH,
    score: float | None = 7.5,
    fixed: str = "9",
    title: str = "It overflows",
    aliases: tuple[str, ...] = ("GHSA-aaaa-bbbb-cccc",),
    kind: FindingKind = FindingKind.APPLICATION_VULNERABILITY,
) -> Finding:
    return Finding(
        kind=kind,
        id=identifier,
        aliases=aliases,
        severity=severity,
        score=score,
        title=title,
        link=f"https://nvd.nist.gov/vuln/detail/{identifier}",
        package=package,
        fixed_version=fixed,
        path=package.path,
        layer=package.layer,
        fix_state=FixState.FIXED if fixed else FixState.AFFECTED,
    )


def baseline(path: str = "config:/config/Env/2", layer: str = "", line: int = 0) -> Finding:
    return Finding(
        kind=FindingKind.BASELINE_RISK,
        id="AWS_ACCESS_KEY",
        aliases=(),
        severity=Severity.HIGH,
        score=None,
        title="An access key of AWS",
        link="",
        package=None,
        fixed_version="",
        path=path,
        layer=layer,
        fix_state=FixState.AFFECTED,
        advice="Revoke the key.",
        match="AKIA****",
        line=line,
    )


def malware() -> Finding:
    return Finding(
        kind=FindingKind.MALICIOUS_SAMPLE,
        id="EICAR",
        aliases=(),
        severity=Severity.CRITICAL,
        score=None,
        title="The test file of virus scanners",
        link="https://example.org/eicar",
        package=None,
        fixed_version="",
        path="/tmp/eicar.zip!eicar.com",
        layer=TOP,
        fix_state=FixState.AFFECTED,
        match="EICAR",
        sha256="d" * 64,
        md5="e" * 32,
        deleted=True,
    )


FINDINGS = (
    vulnerability(OPENSSL, "CVE-2024-9", severity=Severity.UNKNOWN, score=None, fixed="", aliases=()),
    vulnerability(OPENSSL, "CVE-2024-2", severity=Severity.LOW, score=9.8, kind=FindingKind.SYSTEM_VULNERABILITY),
    vulnerability(LODASH),
    vulnerability(LOG4J),
    baseline(),
    baseline("/root/.aws/credentials", TOP, line=3),
    malware(),
)


def a_report(
    findings: Sequence[Finding] = FINDINGS,
    *,
    packages: Sequence[Package] = PACKAGES,
    coverage: Coverage = Coverage.FULL,
    warnings: tuple[ReportWarning, ...] = (),
    reference: str = "registry.example:5000/team/app:1.0",
    scanned_at: str = "2026-03-01T10:11:12.345678Z",
) -> Report:
    return Report(
        schema=SCHEMA,
        image=ReportImage(
            reference=reference,
            digest="sha256:" + "a" * 64,
            platform="linux/amd64",
            layers=(Layer(digest=BASE, diff_id=BASE, size=1), Layer(digest=TOP, diff_id=TOP, size=2)),
        ),
        engine=EngineInfo(name="SECURITY_CENTER", version="0.1.0"),
        advisories=AdvisoriesInfo(version="20260301-1", built_at="2026-02-28T23:00:00.5Z", sample=False),
        inventory=Inventory(packages=tuple(packages)),
        findings=tuple(findings),
        summary=Summary(
            packages=len(packages),
            findings=len(findings),
            by_severity=count_by_severity(tuple(findings)),
            by_kind=count_by_kind(tuple(findings), tuple(FindingKind)),
            coverage=coverage,
            coverage_reason=warnings[0].code if warnings else "",
        ),
        warnings=warnings,
        scanned_at=scanned_at,
    )
