"""Merging: what several engines say of one image becomes one report, in which each finding says whose it is. Pure.

A finding is the same as another engine's when both are of one package, in one version and place, and have one id
or know each other's as an alias: two CVEs are never the same. A place that an engine does not tell fits any.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from services.kernel.model.engine import Engine
from services.kernel.model.finding import Disagreement, Finding, FindingKey, FindingKind, FixState, Package
from services.kernel.model.report import (
    AdvisoriesInfo,
    Coverage,
    EngineInfo,
    EngineVerdict,
    Inventory,
    Report,
    ReportWarning,
    Summary,
    count_by_kind,
    count_by_severity,
    sort_key,
)
from services.kernel.model.severity import Severity
from services.scanner.advisories.ecosystems import canonical_name, family
from services.scanner.records import Outcome

ENGINE_FAILED = "ENGINE_FAILED"
_Places = Mapping[tuple[str, str], Mapping[str, Package]]
"""Packages by name and version, and then by place."""


@dataclasses.dataclass(slots=True)
class _Entry:
    """One thing that is wrong, and what each engine says of it."""

    said: dict[str, Finding]
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    """Where engines see another version of the same package in the same place."""

    @property
    def first(self) -> Finding:
        return next(iter(self.said.values()))


def merge_engines(reports: Sequence[Report], failures: Mapping[Engine, Outcome]) -> Report:
    """Returns one report of those of engines on one image; where they tell the same, the first one's words stand.

    What an engine that failed would have found is missing, so the coverage is not full then.
    """
    entries = _joined(reports)
    _note_versions(entries)
    places = _places(reports)
    placed = (_placed(_merged(entry), places) for entry in entries)
    findings = tuple(sorted(_distinct(placed), key=sort_key))
    every = (package for of_one in places.values() for package in of_one.values())
    packages = tuple(sorted(every, key=lambda package: (package.path, package.name, package.version)))
    verdicts = (*map(_verdict, reports), *(_failed(engine, outcome) for engine, outcome in failures.items()))
    warnings = tuple(_warnings(reports, failures))
    coverage, reason = _coverage(verdicts, warnings)
    first = reports[0]
    return Report(
        schema=first.schema,
        image=first.image,
        engine=EngineInfo(
            name=Engine.ALL.value, version="; ".join(f"{each.name} {each.version}".strip() for each in verdicts)
        ),
        advisories=_advisories(reports),
        inventory=Inventory(packages=packages),
        findings=findings,
        summary=Summary(
            packages=len(packages),
            findings=len(findings),
            by_severity=count_by_severity(findings),
            by_kind=count_by_kind(
                findings, {FindingKind(kind) for each in reports for kind in each.summary.by_kind}
            ),
            coverage=coverage,
            coverage_reason=reason,
        ),
        warnings=warnings,
        scanned_at=max(report.scanned_at for report in reports),
        engines=verdicts,
    )


# findings


def _joined(reports: Sequence[Report]) -> list[_Entry]:
    entries: list[_Entry] = []
    places: dict[object, list[_Entry]] = defaultdict(list)
    for report in reports:
        name = report.engine.name
        known = {place: tuple(found) for place, found in places.items()}
        left = [each for each in report.findings if not _join(name, each, known, _same_id)]
        for finding in left:
            if not _join(name, finding, known, _same_thing):
                entry = _Entry(said={name: finding})
                entries.append(entry)
                places[_identity(finding.package) if finding.package else finding.key].append(entry)
    return entries


def _join(
    engine: str,
    finding: Finding,
    known: Mapping[object, Sequence[_Entry]],
    is_same: Callable[[Finding, Finding], bool],
) -> bool:
    """Adds what an engine says to the entries that it is about; False where there is none."""
    place = _identity(finding.package) if finding.package else finding.key
    same = [each for each in known.get(place, ()) if is_same(each.first, finding)]
    fitting = [each for each in same if each.first.path == finding.path] or [
        each for each in same if not (each.first.path and finding.path)
    ]
    for entry in fitting:
        said = entry.said.get(engine)
        entry.said[engine] = finding if said is None else _together([said, finding])
    return bool(fitting)


def _same_id(one: Finding, other: Finding) -> bool:
    return one.id == other.id


def _same_thing(one: Finding, other: Finding) -> bool:
    if one.id.startswith("CVE-") and other.id.startswith("CVE-"):
        return one.id == other.id
    return not {one.id, *one.aliases}.isdisjoint((other.id, *other.aliases))


def _identity(package: Package) -> tuple[str, str]:
    """Name and version in one spelling: whether Go's has its `v`, or an rpm's epoch 0 is told, is taste."""
    kind, version = family(package.ecosystem), package.version
    if kind == "Go":
        version = version.removeprefix("go").removeprefix("v")
    return canonical_name(kind, package.name), version.removeprefix("0:")


def _note_versions(entries: Sequence[_Entry]) -> None:
    """Engines that see another version of the same package in the same place contradict each other."""
    alone: dict[tuple[str, str, str], list[_Entry]] = defaultdict(list)
    for entry in entries:
        finding = entry.first
        if len(entry.said) == 1 and finding.package is not None and finding.path:
            name, _ = _identity(finding.package)
            alone[finding.id, name, finding.path].append(entry)
    for several in alone.values():
        said = {engine: _version(found) for entry in several for engine, found in entry.said.items()}
        if len(said) > 1:
            for entry in several:
                entry.versions = said


def _version(finding: Finding) -> str:
    return finding.package.version if finding.package else ""


def _merged(entry: _Entry) -> Finding:
    return msgspec.structs.replace(
        _together(list(entry.said.values())),
        engines=tuple(sorted(entry.said)),
        disagreements=tuple(_disagreements(entry)),
    )


def _placed(finding: Finding, places: _Places) -> Finding:
    """Speaks of the package as it is listed; what has no place of its own is where that one is."""
    if finding.package is None:
        return finding
    known = places.get(_identity(finding.package)) or {"": finding.package}
    package = known.get(finding.package.path) or next(iter(known.values()))
    return msgspec.structs.replace(
        finding, package=package, path=finding.path or package.path, layer=finding.layer or package.layer
    )


def _distinct(findings: Iterable[Finding]) -> Iterable[Finding]:
    """Folds what has become one and the same: a finding without a place may have got another one's."""
    found: dict[FindingKey, Finding] = {}
    for finding in findings:
        known = found.get(finding.key)
        found[finding.key] = finding if known is None else _folded(known, finding)
    return found.values()


def _folded(one: Finding, other: Finding) -> Finding:
    return msgspec.structs.replace(
        _together([one, other]),
        engines=tuple(sorted({*one.engines, *other.engines})),
        disagreements=(*one.disagreements, *other.disagreements),
    )


def _together(said: Sequence[Finding]) -> Finding:
    """One finding of several on one thing: the worst severity, every name, and a place if any of them has one."""
    first = said[0]
    worst = max(said, key=lambda each: each.severity.rank)
    fixed = next((each.fixed_version for each in said if each.fixed_version), "")
    aliases = {alias for each in said for alias in (each.id, *each.aliases)} - {first.id}
    located = next((each for each in said if each.path), first)
    return msgspec.structs.replace(
        first,
        aliases=tuple(sorted(aliases)),
        severity=worst.severity,
        score=next((each.score for each in (worst, *said) if each.score is not None), None),
        fixed_version=fixed,
        fix_state=FixState.FIXED if fixed else first.fix_state,
        package=located.package,
        path=located.path,
        layer=located.layer or first.layer,
    )


def _disagreements(entry: _Entry) -> Iterator[Disagreement]:
    if entry.versions:
        yield Disagreement(about="version", said=entry.versions)
    severities = {
        engine: each.severity.value for engine, each in entry.said.items() if each.severity is not Severity.UNKNOWN
    }
    if len(set(severities.values())) > 1:
        yield Disagreement(about="severity", said=severities)
    fixes = {engine: each.fixed_version for engine, each in entry.said.items()}
    if len(set(fixes.values())) > 1:
        yield Disagreement(about="fixed_version", said=fixes)


# the rest of the report


def _places(reports: Sequence[Report]) -> _Places:
    """Each package once, by its place: one whose place an engine does not tell is any that another has found."""
    found: dict[tuple[str, str], dict[str, Package]] = defaultdict(dict)
    for report in reports:
        for package in report.inventory.packages:
            places = found[_identity(package)]
            if package.path or not places:
                places.setdefault(package.path, package)
                if package.path:
                    places.pop("", None)
    return found


def _verdict(report: Report) -> EngineVerdict:
    summary = report.summary
    return EngineVerdict(
        name=report.engine.name,
        version=report.engine.version,
        advisories=report.advisories,
        findings=summary.findings,
        coverage=summary.coverage,
        coverage_reason=summary.coverage_reason,
    )


def _failed(engine: Engine, outcome: Outcome) -> EngineVerdict:
    return EngineVerdict(
        name=engine.value,
        version="",
        advisories=None,
        findings=0,
        coverage=Coverage.NONE,
        coverage_reason=outcome.reason,
    )


def _warnings(reports: Sequence[Report], failures: Mapping[Engine, Outcome]) -> Iterator[ReportWarning]:
    for engine, outcome in failures.items():
        yield ReportWarning(
            code=ENGINE_FAILED,
            message=f"{engine.value} could not scan the image ({outcome.reason}): {outcome.message}",
            engine=engine.value,
        )
    for report in reports:
        for warning in report.warnings:
            yield msgspec.structs.replace(warning, engine=report.engine.name)


def _coverage(verdicts: Sequence[EngineVerdict], warnings: Sequence[ReportWarning]) -> tuple[Coverage, str]:
    """Full where all are, nothing where none judged anything; the reason is the first warning's."""
    said = {verdict.coverage for verdict in verdicts}
    if said == {Coverage.FULL}:
        return Coverage.FULL, ""
    return Coverage.NONE if said == {Coverage.NONE} else Coverage.PARTIAL, warnings[0].code


def _advisories(reports: Sequence[Report]) -> AdvisoriesInfo:
    said = [report.advisories for report in reports]
    return AdvisoriesInfo(
        version="; ".join(dict.fromkeys(each.version for each in said)),
        built_at=min(each.built_at for each in said),
        sample=any(each.sample for each in said),
        # Of a report that does not tell, nobody knows how old the facts are.
        facts_at=min(each.facts_at for each in said),
        newer="; ".join(dict.fromkeys(each.newer for each in said if each.newer)),
    )
