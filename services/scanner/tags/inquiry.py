"""Inquiry: the registry says whether it still has something. Only its own clear word makes anything go."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import datetime, timedelta

import structlog

from services.kernel.claims import work_claims
from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.kernel.errors import Kind, ServiceError
from services.kernel.ids import Ids
from services.kernel.model.digest import Digest
from services.kernel.outbox import Outbox
from services.kernel.reasons import Reason
from services.kernel.wakeup import Wakeups
from services.registry.ask import OpenSource, digest_if_there
from services.rules.api import RulesApi
from services.scanner.convert_events import found_image
from services.scanner.settings import ScannerSettings
from services.scanner.tags.metrics import Found, SyncMetrics
from services.scanner.tags.records import Removal, Subject, TagQuestion
from services.scanner.tags.store import SyncStore

log = structlog.get_logger()

_CHANNEL = "drydock_scanner_questions"
_PASSING = frozenset({Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED})
"""Kinds of failures after which asking again may help."""
_LONGEST = timedelta(days=1)
"""A registry that does not answer for so long is not asked again before the next reason."""
_INSTANCE_SECONDS = 900.0
"""Longest time for dropping the tags of an instance; what is done stays done."""
_TAGS = 5000
"""Tags dropped in one transaction."""


class Inquiry:
    """Asks about what may be gone, moved or new. Any number of processes share the work."""

    def __init__(
        self,
        *,
        pool: Pool,
        store: SyncStore,
        outbox: Outbox,
        rules: RulesApi,
        open_source: OpenSource,
        clock: Clock,
        ids: Ids,
        metrics: SyncMetrics,
        settings: ScannerSettings,
    ) -> None:
        self._pool = pool
        self._store = store
        self._outbox = outbox
        self._rules = rules
        self._open_source = open_source
        self._clock = clock
        self._ids = ids
        self._metrics = metrics
        self._settings = settings
        self._grace = timedelta(seconds=settings.removal_grace_seconds)

    async def run(self, wakeups: Wakeups, stopping: asyncio.Event) -> None:
        """Asks until `stopping`; questions under way are finished first."""
        most = self._settings.tag_questions
        await work_claims(self.claim, self.settle, wakeups=wakeups, channel=_CHANNEL, most=most, stopping=stopping)

    async def claim(self, limit: int) -> tuple[TagQuestion, ...]:
        """Takes at most so many questions that are due."""
        settings = self._settings
        async with self._pool.acquire() as db:
            questions = await self._store.claim_questions(
                db,
                limit,
                question_seconds=settings.tag_question_seconds,
                first_seconds=settings.retry_first_seconds,
                longest_seconds=settings.retry_longest_seconds,
            )
        return tuple(questions)

    async def settle(self, question: TagQuestion) -> None:
        """Asks, and writes down what is news; what nobody answers clearly stays as it is."""
        asked_at = self._clock.now()
        seconds = self._settings.tag_question_seconds if question.subject.repo_id else _INSTANCE_SECONDS
        try:
            async with asyncio.timeout(seconds):
                found = await self._ask(question, asked_at)
        except TimeoutError:
            found = await self._unanswered(question, asked_at, Reason.REGISTRY_TIMEOUT.code, passing=True)
        except ServiceError as error:
            found = await self._unanswered(question, asked_at, error.reason, passing=error.kind in _PASSING)
        self._metrics.asked(found)
        log.info("question.settled", found=found.value, **_names(question.subject))

    async def _ask(self, question: TagQuestion, asked_at: datetime) -> Found:
        subject = question.subject
        try:
            instance = await self._rules.get_instance(subject.instance_id)
        except ServiceError as error:
            if error.reason != "INSTANCE_NOT_EXIST":
                raise
            return await self._without_instance(question, asked_at)
        if not instance.sync or not subject.repo_id:
            return await self._dropped(question, Found.NOT_SYNCED)
        access = await self._rules.registry_access(subject.instance_id)
        async with self._open_source(access, subject.name) as source:
            if not subject.tag and not subject.digest:
                if await source.knows_repository():
                    return await self._dropped(question, Found.AS_KNOWN)
                return await self._repository_gone(question, asked_at)
            digest = await digest_if_there(source, subject.tag or subject.digest)
        if subject.tag:
            return await self._tag(question, digest, asked_at)
        return await (self._dropped(question, Found.AS_KNOWN) if digest else self._digest_gone(question, asked_at))

    async def _tag(self, question: TagQuestion, digest: Digest | None, asked_at: datetime) -> Found:
        subject = question.subject
        async with self._pool.acquire() as db, db.transaction():
            known = await self._store.lock_tag(db, subject.repo_id, subject.tag)
            revision = known[1] if known else None
            if revision != question.revision:
                found = Found.OUTDATED
            elif digest is None:
                found = await self._tag_gone(db, subject, known, asked_at)
            else:
                found = await self._tag_there(db, subject, known, digest, asked_at)
            if found is Found.OUTDATED:  # a push came in, which the answer may not know of
                await self._store.ask_at_once(db, question)
            else:
                await self._store.drop_question(db, question)
        return found

    async def _tag_gone(
        self, db: Connection, subject: Subject, known: tuple[Digest, int] | None, asked_at: datetime
    ) -> Found:
        if known is None:
            return Found.AS_KNOWN
        await self._store.drop_tag(db, subject.repo_id, subject.tag)
        await self._removed(db, subject, known[0], asked_at)
        return Found.GONE

    async def _tag_there(
        self,
        db: Connection,
        subject: Subject,
        known: tuple[Digest, int] | None,
        digest: Digest,
        asked_at: datetime,
    ) -> Found:
        if known is None:
            if not await self._store.find_tag(db, subject, digest, asked_at):
                return Found.OUTDATED
        else:
            await self._store.move_tag(db, subject, digest, asked_at)
            if known[0] == digest:
                return Found.AS_KNOWN
        revision = known[1] if known else 0
        event_id = self._ids.uuid()
        event = found_image(subject, digest, event_id=event_id, revision=revision, at=asked_at)
        await self._outbox.add(db, [event])
        return Found.MOVED if known else Found.NEW

    async def _digest_gone(self, question: TagQuestion, asked_at: datetime) -> Found:
        subject = question.subject
        async with self._pool.acquire() as db, db.transaction():
            if await self._store.has_tasks(db, subject.repo_id, subject.digest):
                await self._store.drop_pull(db, subject.repo_id, subject.digest)
                await self._removed(db, subject, subject.digest, asked_at)
            await self._store.drop_question(db, question)
        return Found.GONE

    async def _repository_gone(self, question: TagQuestion, asked_at: datetime) -> Found:
        subject = question.subject
        async with self._pool.acquire() as db, db.transaction():
            # With no revision we knew no tag: those that there are now were pushed since.
            up_to = -1 if question.revision is None else question.revision
            dropped = await self._store.drop_repository(db, subject.repo_id, up_to)
            if dropped or await self._store.has_results(db, subject.repo_id):
                await self._removed(db, subject, "", asked_at)
            await self._store.drop_question(db, question)
        return Found.GONE

    async def _without_instance(self, question: TagQuestion, asked_at: datetime) -> Found:
        """Drops all tags of an instance that is gone; questions on parts of it are answered by that on itself."""
        subject = question.subject
        if subject.repo_id:
            return await self._dropped(question, Found.NOT_SYNCED)
        due_at = asked_at + self._grace
        async with self._pool.acquire() as db:
            count = await self._store.add_removals_of_instance(db, subject.instance_id, asked_at, due_at)
            self._metrics.removed(subject.cause, count)
            while await self._store.drop_tags_of_instance(db, subject.instance_id, _TAGS):
                pass
            await self._store.drop_question(db, question)
        return Found.GONE

    async def _removed(self, db: Connection, subject: Subject, digest: str, asked_at: datetime) -> None:
        """Writes down that something is gone; `digest` is that of a tag."""
        removal = Removal(
            removal_id=self._ids.uuid(),
            subject=dataclasses.replace(subject, digest=digest),
            cause=subject.cause,
            noted_at=asked_at,
            due_at=asked_at + self._grace,
        )
        await self._store.add_removal(db, removal)
        self._metrics.removed(subject.cause)
        log.info("results.unneeded", cause=subject.cause.value, **_names(subject))

    async def _unanswered(self, question: TagQuestion, asked_at: datetime, reason: str, *, passing: bool) -> Found:
        """Leaves a question that may be answered later; else drops it: the next walk has it again."""
        # Nothing else would ask about an instance again.
        if passing and (asked_at - question.noted_at < _LONGEST or not question.subject.repo_id):
            log.info("question.postponed", reason=reason, **_names(question.subject))
            return Found.POSTPONED
        log.warning("question.unanswered", reason=reason, **_names(question.subject))
        return await self._dropped(question, Found.UNTOLD)

    async def _dropped(self, question: TagQuestion, found: Found) -> Found:
        async with self._pool.acquire() as db:
            await self._store.drop_question(db, question)
        return found


def _names(subject: Subject) -> dict[str, str]:
    return {
        "instance_id": subject.instance_id,
        "repo_id": subject.repo_id,
        "tag": subject.tag,
        "digest": subject.digest,
    }
