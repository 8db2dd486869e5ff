"""Engines of instances: what each waits for, checked for real, and which one scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Protocol

import asyncpg
import structlog

from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.kernel.errors import ServiceError, invalid
from services.kernel.model.access import RegistryAccess
from services.kernel.model.engine import Engine, engine_not_ready
from services.kernel.model.reference import RepositoryName
from services.kernel.reasons import Reason, ScanFailure
from services.registry.trial import Trial
from services.rules import instances, refusals
from services.rules.access import Passwords
from services.rules.api import Edition, Instance
from services.rules.engines.api import (
    ConditionType,
    EngineStatus,
    Part,
    PartHealth,
    Region,
    ScannerReport,
    Status,
)
from services.rules.engines.conditions import (
    NEEDS,
    PARTS,
    PULLED,
    Verdict,
    facts_of,
    of_authorization,
    of_part,
    of_trial,
    refusal,
    settled,
    status_of,
)
from services.rules.engines.entitlement import EntitlementRecord, of_entitlement
from services.rules.engines.store import Authorization, EngineStore
from services.rules.store import RulesStore, SealedInstance

log = structlog.get_logger()

_REGISTRY = frozenset({ConditionType.REGISTRY_REACHABLE, ConditionType.CREDENTIALS_VALID})
_KNOWN_TRIED = 3
_LONGEST_VALID_SECONDS = 3600.0
_LONGEST_REPORT = 64 << 10
_REPORT_KEPT = timedelta(days=1)


class Look(Protocol):
    """Asks a registry how it is."""

    async def __call__(self, access: RegistryAccess, known: Sequence[RepositoryName], *, pull: bool) -> Trial:
        """Returns what came of it; see `try_registry`."""
        ...


class Engines:
    """EnginesApi over PostgreSQL.

    What scanners say, authorizations and the entitlement are judged whenever somebody asks; of the registry, what
    the last look at it found.
    """

    def __init__(
        self,
        *,
        pool: Pool,
        store: EngineStore,
        rules: RulesStore,
        passwords: Passwords,
        entitlement: EntitlementRecord,
        look: Look,
        clock: Clock,
        pull_seconds: float,
    ) -> None:
        self._pool = pool
        self._store = store
        self._rules = rules
        self._passwords = passwords
        self._entitlement = entitlement
        self._look = look
        self._clock = clock
        self._pull_every = timedelta(seconds=pull_seconds)

    # for people

    async def list_regions(self) -> tuple[Region, ...]:
        """Lists regions by name."""
        async with self._pool.acquire() as conn:
            return await self._store.list_regions(conn)

    async def list_engines(self, instance: str) -> tuple[EngineStatus, ...]:
        """Returns both engines as they stand."""
        async with self._pool.acquire() as conn:
            owner = (await instances.enterprise(conn, self._rules, instance)).instance
            found = await self._judge(conn, owner, {})
        return tuple(sorted(found.values(), key=lambda status: not status.in_use))

    async def engine_status(self, instance: str, engine: Engine | None = None) -> EngineStatus:
        """Returns one engine as it stands."""
        async with self._pool.acquire() as conn:
            owner = (await instances.enterprise(conn, self._rules, instance)).instance
            return (await self._judge(conn, owner, {}))[engine or owner.engine]

    async def activate_engine(
        self, instance: str, engine: Engine, *, authorize: bool, actor: str = ""
    ) -> EngineStatus:
        """Records the authorization, then checks everything."""
        async with self._pool.acquire() as conn:
            owner = (await instances.enterprise(conn, self._rules, instance)).instance
            if authorize:
                try:
                    await self.authorize(conn, owner, engine, actor)
                except asyncpg.ForeignKeyViolationError as error:  # deleted since we found it
                    raise refusals.no_instance(instance) from error
        return (await self.check(owner.instance_id, pull=True))[engine]

    async def switch_engine(self, instance: str, engine: Engine, *, actor: str = "") -> EngineStatus:
        """Checks everything, then makes the engine the one in use."""
        async with self._pool.acquire() as conn:
            owner = (await instances.enterprise(conn, self._rules, instance)).instance
        status = (await self.check(owner.instance_id, pull=True))[engine]
        if status.in_use:
            return status
        if not status.active:
            raise refusal(engine, f"on {owner.name}", status.lacking)
        async with self._pool.acquire() as conn:
            if not await self._store.set_engine(conn, owner.instance_id, engine, self._clock.now()):
                raise refusals.no_instance(instance)
            switched = (await instances.enterprise(conn, self._rules, owner.instance_id)).instance
            log.info("engine.switched", instance_id=owner.instance_id, engine=engine.value, actor=actor)
            return (await self._judge(conn, switched, {}))[engine]

    # for services

    async def check_engine(self, instance: str, engine: Engine) -> None:
        """Refuses an engine that is neither in use nor ready, but for the registry."""
        async with self._pool.acquire() as conn:
            owner = (await instances.enterprise(conn, self._rules, instance)).instance
            if engine is owner.engine:
                return
            status = (await self._judge(conn, owner, {}))[engine]
        lacking = [condition for condition in status.lacking if condition.type not in _REGISTRY]
        if lacking:
            raise refusal(engine, f"on {owner.name}", lacking)

    async def report_scanner(self, report: ScannerReport) -> None:
        """Keeps what a scanner says of itself, until it says something else or is silent for too long."""
        told = sum(len(part.message) for part in report.parts)
        if not 0 < report.valid_seconds <= _LONGEST_VALID_SECONDS or told > _LONGEST_REPORT or not report.node_id:
            raise invalid(
                "INVALID_REPORT", "The report is nobody's, or holds too long or too much.", field="report"
            )
        now = self._clock.now()
        async with self._pool.acquire() as conn, conn.transaction():
            await self._store.save_report(conn, report, now + timedelta(seconds=report.valid_seconds))
            await self._store.forget_reports(conn, now - _REPORT_KEPT)

    # for the rest of rules

    async def choose(self, conn: Connection, asked: Engine | None) -> Engine:
        """Returns the engine of a new instance: the one named, else TRIVY where a scanner has it, else our own.

        Raises:
            ServiceError: ENGINE_NOT_READY when TRIVY is named and no scanner has it.
        """
        if asked is Engine.SECURITY_CENTER:
            return asked
        trivy = of_part(Part.TRIVY, await self._store.live_parts(conn, self._clock.now()))
        if trivy.status is Status.TRUE:
            return Engine.TRIVY
        if asked is None:
            return Engine.SECURITY_CENTER
        raise engine_not_ready(
            f"TRIVY is not ready. {ConditionType.TRIVY_READY.value} is {trivy.status.value} ({trivy.reason}): "
            f"{trivy.message}",
            hint="Name security-center, or no engine.",
            metadata={"engine": asked.value, "conditions": ConditionType.TRIVY_READY.value},
        )

    async def introduce(self, conn: Connection, instance: Instance, actor: str) -> None:
        """Takes note of a new instance: who made it has authorized the engine that it got. In a transaction."""
        await self.authorize(conn, instance, instance.engine, actor)
        await self._store.check_soon(conn, instance.instance_id, self._clock.now())

    async def moved(self, conn: Connection, instance: Instance) -> None:
        """Takes note that the registry, or the way to it, may be another one. In a transaction."""
        await self._store.check_soon(conn, instance.instance_id, self._clock.now())

    async def authorize(self, conn: Connection, instance: Instance, engine: Engine, actor: str) -> None:
        """Records who authorized an engine that needs it."""
        if ConditionType.AUTHORIZED in NEEDS[engine] and instance.edition is Edition.ENTERPRISE:
            await self._store.authorize(conn, instance.instance_id, engine, actor, self._clock.now())
            log.info("engine.authorized", instance_id=instance.instance_id, engine=engine.value, actor=actor)

    async def check(self, instance_id: str, *, pull: bool = False) -> Mapping[Engine, EngineStatus]:
        """Looks at everything that the instance's engines need, at its registry too, and saves what was found.

        Args:
            instance_id: whose.
            pull: whether to pull an image; that is done anyway when it is time, or when the last pull failed.

        Raises:
            ServiceError: INSTANCE_NOT_EXIST, EDITION_NOT_SUPPORTED.
        """
        async with self._pool.acquire() as conn:
            saved = await instances.enterprise(conn, self._rules, instance_id)
            credentials = (await self._store.conditions(conn, instance_id)).get(ConditionType.CREDENTIALS_VALID)
            proven = credentials is not None and credentials.reason == PULLED
            pulling = pull or not proven or await self._store.is_pull_due(conn, instance_id, self._clock.now())
            known = tuple(await self._store.youngest_repositories(conn, instance_id, _KNOWN_TRIED))
        try:
            access = self._passwords.access(saved)
        except ServiceError as error:  # the key that it was sealed with is another one
            trial = Trial(unsettled=ScanFailure(Reason.REGISTRY_UNAUTHORIZED, error.message, hint=error.hint))
        else:
            trial = await self._look(access, known, pull=pulling)
        async with self._pool.acquire() as conn:
            current = await instances.enterprise(conn, self._rules, instance_id)
            if _way(current) != _way(saved):
                return await self._judge(conn, current.instance, {})  # what we saw is of the past: it is due again
            if trial.pulled:
                await self._store.note_pull(conn, instance_id, self._clock.now() + self._pull_every)
            return await self._judge(conn, current.instance, of_trial(trial, pull=pulling))

    # parts of the above

    async def _judge(
        self, conn: Connection, instance: Instance, seen: Mapping[ConditionType, Verdict]
    ) -> Mapping[Engine, EngineStatus]:
        """Returns the engines with all that is known now, and saves what has changed."""
        now = self._clock.now()
        before = await self._store.conditions(conn, instance.instance_id)
        given = await self._store.authorizations(conn, instance.instance_id)
        said = await self._store.live_parts(conn, now)
        verdicts = await self._verdicts(conn, instance, given, said) | dict(seen)
        found = {type_: settled(before.get(type_), verdicts.get(type_), type_, now) for type_ in ConditionType}
        changed = [condition for condition in found.values() if condition != before.get(condition.type)]
        if changed:
            try:
                await self._store.save_conditions(conn, instance.instance_id, changed)
            except asyncpg.ForeignKeyViolationError as error:  # deleted since we found it
                raise refusals.no_instance(instance.name) from error
        for condition in changed:
            old = before.get(condition.type)
            if old is None or old.status is not condition.status:
                log.info(
                    "engine.condition_changed",
                    instance_id=instance.instance_id,
                    condition=condition.type.value,
                    status=condition.status.value,
                    reason=condition.reason,
                )
        return {
            engine: status_of(instance, engine, found, given.get(engine), facts_of(engine, said))
            for engine in NEEDS
        }

    async def _verdicts(
        self,
        conn: Connection,
        instance: Instance,
        given: Mapping[Engine, Authorization],
        said: Sequence[tuple[str, PartHealth]],
    ) -> dict[ConditionType, Verdict]:
        """Judges all but the registry."""
        ours = given.get(Engine.SECURITY_CENTER)
        earlier = ours.earlier if ours else await self._store.count_authorized(conn, Engine.SECURITY_CENTER)
        return {
            **{condition: of_part(part, said) for part, condition in PARTS.items()},
            ConditionType.AUTHORIZED: of_authorization(instance, ours),
            ConditionType.ENTITLED: of_entitlement(await self._entitlement.read(), instance, earlier),
        }


def _way(saved: SealedInstance) -> tuple[object, ...]:
    """What tells one way to a registry from another."""
    found = saved.instance
    return found.address, found.private_address, found.plain_http, found.username, saved.sealed_password
