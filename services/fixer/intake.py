"""From what a caller wants to an order: the image as the registry and the last scan have it, and who is told."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator

from services.fixer import refusals
from services.fixer.api import FIXED_SUFFIX, MAX_FINDINGS, FixRequest
from services.fixer.order import FixOrder
from services.fixer.publish.tags import fixed_tag
from services.fixer.reports import FIXING_ENGINES
from services.kernel.errors import ServiceError, invalid
from services.kernel.model.digest import Digest
from services.kernel.model.engine import Engine
from services.kernel.model.finding import Finding
from services.kernel.model.page import MAX_SIZE
from services.kernel.model.reference import NO_NAMESPACE, RepositoryName, parse_repository, parse_tag
from services.kernel.model.repository_id import repository_id
from services.kernel.tag_pattern import compile_pattern
from services.rules.api import RulesApi, ScanRule, Scope, Trigger
from services.scanner.api import FindingFilter, Findings, ImageQuery, ImageStanding, ScannerApi, State

_LONGEST_ID = 128


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A tag of a repository, by the ids of ours."""

    instance_id: str
    repo_id: str
    repository: RepositoryName
    tag: str

    @property
    def image(self) -> str:
        """As people call it."""
        return f"{self.repository.path}:{self.tag}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Who is told of the end besides those whom the order names."""

    rule_ids: tuple[str, ...]
    target_ids: tuple[str, ...]


class Intake:
    """Looks at what is wanted, and refuses what cannot be."""

    def __init__(self, rules: RulesApi, scanner: ScannerApi) -> None:
        self._rules = rules
        self._scanner = scanner

    async def subject(self, wanted: FixRequest) -> Subject:
        """Returns the tag that is meant; asks rules alone.

        Raises:
            ServiceError: TAG_REQUIRED, TAG_IS_A_FIX, TAG_TOO_LONG, TOO_MANY_FINDINGS, INVALID_*,
                INSTANCE_NOT_EXIST, EDITION_NOT_SUPPORTED, REPO_NOT_EXIST.
        """
        _check_words(wanted)
        instance = await self._rules.get_instance(wanted.instance)
        await self._rules.registry_access(instance.instance_id)  # refuses personal editions
        if wanted.repo_id:
            known = await self._rules.get_repository(instance.instance_id, wanted.repo_id)
            name = RepositoryName(namespace=known.namespace, name=known.name)
        elif wanted.repository:
            name = RepositoryName(namespace=wanted.namespace or NO_NAMESPACE, name=wanted.repository)
            name = parse_repository(name.path, field="order.repository")
        else:
            raise invalid("INVALID_IMAGE", "The repository is missing.", field="order.repository")
        return Subject(
            instance_id=instance.instance_id,
            repo_id=repository_id(instance.instance_id, name),
            repository=name,
            tag=wanted.tag,
        )

    async def order(self, wanted: FixRequest, subject: Subject, task_id: str) -> FixOrder:
        """Returns the order for what the registry has under the tag now, which the scanner must have looked into.

        Raises:
            ServiceError: TAG_NOT_EXIST, TAG_MOVED, IMAGE_CHANGED, IMAGE_NOT_SCANNED, SCAN_UNDER_WAY, SCAN_FAILED,
                ENGINE_CANNOT_FIX, FINDING_NOT_EXIST, or a registry reason.
        """
        standing = await self._standing(subject)
        if wanted.digest is not None and wanted.digest != standing.digest:
            raise refusals.tag_moved(subject.image, wanted.digest, standing.digest)
        found = await self._found(subject, standing)
        return FixOrder(
            task_id=task_id,
            instance_id=subject.instance_id,
            repository=subject.repository,
            tag=subject.tag,
            digest=standing.digest,
            findings=_named(wanted.findings, found),
            overwrite=wanted.overwrite,
        )

    async def told(self, subject: Subject) -> Told:
        """Returns the rules that cover the tag, as for a push, and their targets."""
        rules: list[ScanRule] = []
        token = ""
        while True:
            page = await self._rules.list_rules(subject.instance_id, page_size=MAX_SIZE, page_token=token)
            rules += (rule for rule in page.items if _covers(rule, subject))
            token = page.next_token
            if not token:
                break
        return Told(
            rule_ids=tuple(rule.rule_id for rule in rules),
            target_ids=tuple(sorted({target for rule in rules for target in rule.target_ids})),
        )

    async def _standing(self, subject: Subject) -> ImageStanding:
        """Asks what the registry has under the tag, and for the newest task on that."""
        standings = self._scanner.watch(_query(subject, tag=subject.tag))
        try:
            return await anext(standings)
        finally:
            if isinstance(standings, AsyncGenerator):
                await standings.aclose()

    async def _found(self, subject: Subject, standing: ImageStanding) -> Findings:
        """Returns what SECURITY_CENTER last found, alone or together with TRIVY."""
        complete: list[Findings] = []
        unfinished: Engine | None = None
        for engine in FIXING_ENGINES:
            query = _query(subject, digest=standing.digest, engine=engine)
            try:
                complete.append(await self._scanner.findings(query, FindingFilter()))
            except ServiceError as error:
                if error.reason not in ("IMAGE_NOT_SCANNED", "SCAN_NOT_COMPLETE"):
                    raise
                if error.reason == "SCAN_NOT_COMPLETE":
                    unfinished = engine
        if complete:
            return max(complete, key=lambda each: each.task.created_at)
        if unfinished is not None:
            raise await self._unfinished(subject, standing.digest, unfinished)
        if standing.task is not None:
            raise refusals.engine_cannot_fix(subject.image)
        raise await self._unscanned(subject, standing.digest)

    async def _unfinished(self, subject: Subject, digest: Digest, engine: Engine) -> ServiceError:
        task = await self._scanner.image_status(_query(subject, digest=digest, engine=engine))
        if task.state is State.FAILED:
            return refusals.scan_failed(subject.image, task.reason, task.message)
        return refusals.scan_under_way(subject.image)

    async def _unscanned(self, subject: Subject, present: Digest) -> ServiceError:
        """Tells a tag that was never scanned from one that held something else then."""
        try:
            task = await self._scanner.image_status(_query(subject, tag=subject.tag))
        except ServiceError as error:
            return error
        if task.digest == present:  # its scan began meanwhile
            return refusals.scan_under_way(subject.image)
        return refusals.image_changed(subject.image, task.digest, present)


def _check_words(wanted: FixRequest) -> None:
    if not wanted.tag:
        raise refusals.tag_required()
    tag = parse_tag(wanted.tag, field="order.tag")
    if tag.endswith(FIXED_SUFFIX):
        raise refusals.tag_is_a_fix(tag)
    if not wanted.overwrite:
        fixed_tag(tag)  # there must be room for one beside it
    if len(wanted.findings) > MAX_FINDINGS:
        raise refusals.too_many_findings(len(wanted.findings))
    for each in wanted.findings:
        if not each or len(each) > _LONGEST_ID or not each.isprintable():
            message = f"{each[:40]!r} is no id of a finding."
            raise invalid("INVALID_FINDING_ID", message, field="order.finding_ids")


def _named(asked: tuple[str, ...], found: Findings) -> tuple[str, ...]:
    """Returns the named findings by their own ids, each once; none are named for all."""
    if not asked:
        return ()
    known: dict[str, str] = {}
    others = set()
    for placed in found.findings:
        finding = placed.finding
        if _is_ours(finding):
            known |= dict.fromkeys((*finding.aliases, finding.id), finding.id)
        else:
            others |= {finding.id, *finding.aliases}
    for each in asked:
        if each not in known:
            raise refusals.no_finding(each, others=each in others)
    return tuple(sorted({known[each] for each in asked}))


def _is_ours(finding: Finding) -> bool:
    return not finding.engines or Engine.SECURITY_CENTER.value in finding.engines


def _covers(rule: ScanRule, subject: Subject) -> bool:
    if rule.trigger is not Trigger.AUTO or not rule.target_ids:
        return False
    name = subject.repository
    if rule.scope is not Scope.INSTANCE and name.namespace not in rule.namespaces:
        return False
    if rule.scope is Scope.REPO and name.name not in rule.repo_names:
        return False
    return compile_pattern(rule.tag_pattern).fullmatch(subject.tag.encode()) is not None


def _query(
    subject: Subject, *, tag: str = "", digest: Digest | None = None, engine: Engine | None = None
) -> ImageQuery:
    return ImageQuery(
        instance=subject.instance_id,
        namespace=subject.repository.namespace,
        repository=subject.repository.name,
        tag=tag,
        digest=digest,
        engine=engine,
    )
