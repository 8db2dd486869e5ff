"""Fixes as people read them: what goes to which version, and why the rest stays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

from services.cli.output import cell, styled, table_of, to_record
from services.kernel.model.severity import Severity

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from drydock.fixer.v1.fix_pb2 import FindingFate, FixedPackage, FixPreview, FixTask, PlatformFix

    Part: TypeAlias = Table | Text

_NAMED = 3
"""Findings, or packages, that are named in one cell; more are counted."""
_DIGEST = 19
_LABEL = 9
_FACTS = (
    ("task", "task_id"),
    ("state", "state"),
    ("stage", "stage"),
    ("reason", "reason"),
    ("message", "message"),
    ("hint", "hint"),
    ("backup", "backup_tag"),
    ("scan", "scan_task_id"),
    ("asked by", "created_by"),
    ("asked at", "create_time"),
    ("ended at", "end_time"),
    ("reverted", "revert_time"),
    ("not back", "revert_message"),
)
"""Of a task, what is shown where it is set, with the word before it."""


def print_parts(console: Console, parts: Iterable[Part]) -> None:
    """Prints them one under the other; only tables are cut to the width: who copies a digest wants it whole."""
    for part in parts:
        console.print(part, soft_wrap=hasattr(part, "plain"))


def preview_parts(preview: FixPreview) -> Iterator[Part]:
    """Yields what a preview says, to be printed one under the other."""
    path = _path(preview.namespace, preview.repository)
    yield from _platforms(preview.platforms, planned=True)
    yield _fact("image", f"{path}:{preview.tag}")
    yield _fact("digest", preview.digest)
    yield _fact("written", f"{path}:{preview.fixed_tag}")
    yield _fact("findings", _counts(preview.platforms, planned=True))


def fix_parts(task: FixTask) -> Iterator[Part]:
    """Yields what a task says, to be printed one under the other."""
    record, path = to_record(task), _path(task.namespace, task.repository)
    yield from _platforms(task.platforms, planned=False)
    yield _fact("image", f"{path}:{task.tag}")
    yield _fact("digest", task.digest)
    if task.fixed_tag:
        yield _fact("written", f"{path}:{task.fixed_tag}")
        yield _fact("as digest", task.fixed_digest)
    for word, name in _FACTS:
        if value := record[name]:
            yield _fact(word, value)
    if task.progress_message:
        counted = f" ({task.progress_done} of {task.progress_total})" if task.progress_total else ""
        yield _fact("progress", f"{task.progress_message}{counted}")
    if task.platforms:
        yield _fact("findings", _tally(task.fixed, task.still_present, task.not_fixable, planned=False))
    if task.new_findings:
        yield _fact("new", f"{task.new_findings} findings that the original has not")
    for kind, digest in sorted(task.attached.items()):
        yield _fact(kind, digest)


def _platforms(platforms: Sequence[PlatformFix], *, planned: bool) -> Iterator[Part]:
    for platform in platforms:
        title = " ".join(filter(None, (platform.platform, platform.system, platform.digest[:_DIGEST])))
        yield styled(title, "bold")
        if platform.left_reason:
            yield _fact("left", f"{platform.left_reason}: {platform.message}")
        if platform.packages:
            yield table_of(("PACKAGE", "FROM", "TO", "FIXES"), map(_package, platform.packages))
        stays = [fate for fate in platform.findings if fate.reason or not _is_fixed(fate)]
        if stays:
            yield styled("", "")
            title = "STAYS" if planned else "LEFT"
            yield table_of((title, "WORST", "PACKAGE", "WHY"), _stays(stays))
        for note in platform.notes:
            yield _fact("note", note)
        yield styled("", "")


def _package(package: FixedPackage) -> tuple[object, ...]:
    fixes = _named(package.finding_ids) or f"goes along with {package.source}"
    return package.name, package.from_version, package.to_version, fixes


def _stays(fates: Iterable[FindingFate]) -> Iterator[tuple[object, ...]]:
    """Yields a row for each reason, and not for each finding: half of an image may stay for the same one."""
    alike: dict[str, list[FindingFate]] = {}
    for fate in sorted(fates, key=_worst_first):
        why = fate.reason or str(to_record(fate)["verdict"])
        alike.setdefault(f"{why}: {fate.message}".removesuffix(": "), []).append(fate)
    for why, group in alike.items():
        packages = _named([f"{fate.package} {fate.version}".strip() for fate in group])
        yield _named([fate.id for fate in group]), group[0].severity, packages, why


def _named(words: Iterable[str]) -> str:
    """Names the first of them, each once, and counts the others."""
    once = list(dict.fromkeys(words))
    more = [f"and {len(once) - _NAMED} more"] if len(once) > _NAMED else []
    return ", ".join([*once[:_NAMED], *more])


def _worst_first(fate: FindingFate) -> tuple[int, str, str]:
    known = Severity.__members__.get(fate.severity)
    return -(known.rank if known is not None else 0), fate.id, fate.package


def _is_fixed(fate: FindingFate) -> bool:
    from drydock.fixer.v1.fix_pb2 import FixVerdict

    return fate.verdict == FixVerdict.FIX_VERDICT_FIXED


def _counts(platforms: Sequence[PlatformFix], *, planned: bool) -> str:
    fates = {(fate.id, fate.package, fate.version): True for one in platforms for fate in one.findings}
    for fate in (fate for one in platforms for fate in one.findings if not _is_fixed(fate)):
        fates[fate.id, fate.package, fate.version] = False
    fixed = sum(fates.values())
    return _tally(fixed, 0, len(fates) - fixed, planned=planned)


def _tally(fixed: int, still_present: int, not_fixable: int, *, planned: bool) -> str:
    done = "to be fixed" if planned else "fixed"
    counts = ((fixed, done), (still_present, "still present"), (not_fixable, "not fixable"))
    return ", ".join(f"{count} {what}" for count, what in counts if count) or "none"


def _fact(word: str, value: object) -> Text:
    return styled(word.ljust(_LABEL), "dim").append("  ").append_text(cell(value))


def _path(namespace: str, repository: str) -> str:
    return repository if namespace == "_" else f"{namespace}/{repository}"
