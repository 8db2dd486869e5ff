"""What a fix did, or would do, in the words of `api.py`: pure."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable

from services.fixer.api import FindingFate, FixedPackage, FixPreview, FixTask, PlatformFix, Verdict
from services.fixer.order import FindingOutcome, FixOrder, FixPlan, FixResult, PlatformPlan
from services.fixer.plan.packages import Upgrade
from services.fixer.records import FixRecord, Tally

_WORST_FIRST = (Verdict.STILL_PRESENT, Verdict.NOT_FIXABLE, Verdict.FIXED)


def preview_of(order: FixOrder, repo_id: str, plan: FixPlan) -> FixPreview:
    """Tells what a fix would do."""
    return FixPreview(
        instance_id=order.instance_id,
        repo_id=repo_id,
        namespace=order.repository.namespace,
        repository=order.repository.name,
        tag=order.tag,
        digest=order.digest,
        fixed_tag=plan.tag,
        platforms=tuple(map(_platform, plan.platforms)),
    )


def task_of(record: FixRecord) -> FixTask:
    """Tells how a task stands."""
    pushed, tally = record.pushed, record.tally
    return FixTask(
        task_id=record.task_id,
        instance_id=record.instance_id,
        repo_id=record.repo_id,
        namespace=record.namespace,
        repository=record.repository,
        tag=record.tag,
        digest=record.digest,
        findings=record.findings,
        overwrite=record.overwrite,
        target_ids=record.target_ids,
        created_by=record.created_by,
        state=record.state,
        stage=record.stage,
        progress_message=record.progress_message,
        progress_done=record.progress_done,
        progress_total=record.progress_total,
        reason=record.reason,
        message=record.message,
        hint=record.hint,
        fixed_tag=pushed.tag if pushed else "",
        fixed_digest=pushed.digest if pushed else "",
        backup_tag=pushed.backup_tag if pushed else "",
        previous_digest=pushed.previous if pushed else "",
        scan_task_id=record.scan_task_id,
        attached=record.attached,
        fixed=tally.fixed,
        still_present=tally.still_present,
        not_fixable=tally.not_fixable,
        new_findings=tally.new_findings,
        revert_reason=record.revert_reason,
        revert_message=record.revert_message,
        attempts=record.attempts,
        cancelling=record.cancel_asked,
        created_at=record.created_at,
        started_at=record.started_at,
        ended_at=record.ended_at,
        reverted_at=record.reverted_at,
        platforms=tuple(map(_platform, record.result.platforms)) if record.result else (),
    )


def tally_of(result: FixResult) -> Tally:
    """Counts findings, each once over all platforms, by the worst that became of it."""
    verdicts: dict[tuple[str, ...], Verdict] = {}
    for each in _outcomes(result):
        finding = each.finding
        key = (finding.id, finding.package, finding.version, finding.path)
        verdicts[key] = min(verdicts.get(key, each.verdict), each.verdict, key=_WORST_FIRST.index)
    counts = Counter(verdicts.values())
    return Tally(
        fixed=counts[Verdict.FIXED],
        still_present=counts[Verdict.STILL_PRESENT],
        not_fixable=counts[Verdict.NOT_FIXABLE],
        new_findings=result.new_findings,
    )


def sentence_of(result: FixResult, tally: Tally) -> str:
    """Says what is left; empty where nothing is."""
    parts = []
    if not result.whole:
        total = tally.fixed + tally.still_present + tally.not_fixable
        whys = Counter(each.why.value for each in _outcomes(result) if each.why is not None)
        reasons = f" ({', '.join(f'{count} {why}' for why, count in sorted(whys.items()))})" if whys else ""
        parts.append(f"{tally.fixed} of {total} findings are fixed, {total - tally.fixed} left{reasons}.")
    if result.new_findings:
        parts.append(f"The fixed image has {result.new_findings} findings that the original has not.")
    return " ".join(parts)


def kept(result: FixResult) -> FixResult:
    """Returns the result without what only planning needed: records of indexes, which may be large."""
    return dataclasses.replace(result, platforms=tuple(map(_without_fields, result.platforms)))


def _without_fields(plan: PlatformPlan) -> PlatformPlan:
    upgrades = (
        dataclasses.replace(each, candidate=dataclasses.replace(each.candidate, fields={}))
        for each in plan.upgrades
    )
    return dataclasses.replace(plan, upgrades=tuple(upgrades))


def _outcomes(result: FixResult) -> Iterable[FindingOutcome]:
    return (each for platform in result.platforms for each in platform.outcomes)


def _platform(plan: PlatformPlan) -> PlatformFix:
    return PlatformFix(
        platform=str(plan.platform),
        digest=plan.digest,
        system=plan.system,
        packages=tuple(map(_package, plan.upgrades)),
        findings=tuple(map(_fate, plan.outcomes)),
        left_reason=plan.left,
        message=plan.message,
        fixed_digest=plan.fixed_digest,
        layer_bytes=plan.layer_bytes,
        notes=plan.notes,
    )


def _package(upgrade: Upgrade) -> FixedPackage:
    return FixedPackage(
        name=upgrade.installed.name,
        architecture=upgrade.installed.architecture,
        source=upgrade.installed.source,
        from_version=upgrade.installed.version,
        to_version=upgrade.candidate.version,
        findings=tuple(sorted({each.id for each in upgrade.because})),
    )


def _fate(outcome: FindingOutcome) -> FindingFate:
    finding = outcome.finding
    return FindingFate(
        id=finding.id,
        package=finding.package,
        version=finding.version,
        fixed_version=finding.fixed_version,
        path=finding.path,
        severity=finding.severity,
        verdict=outcome.verdict,
        reason=outcome.why.value if outcome.why is not None else "",
        message=outcome.message,
    )
