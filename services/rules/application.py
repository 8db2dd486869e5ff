"""Rules in process: instances, repositories and scan rules."""

from __future__ import annotations

from collections.abc import Collection

import asyncpg
import structlog

from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.kernel.errors import not_found
from services.kernel.ids import Ids
from services.kernel.model import page
from services.kernel.model.access import RegistryAccess
from services.kernel.model.engine import Engine
from services.kernel.model.page import Page, decode_token, encode_token
from services.kernel.outbox import Outbox
from services.rules import grammar, instances, refusals, repositories
from services.rules.access import Passwords
from services.rules.api import (
    Edition,
    Instance,
    InstanceChange,
    NewInstance,
    NewScanRule,
    Repository,
    RulePreview,
    RuleRun,
    ScanRule,
    ScanType,
    Sync,
)
from services.rules.convert_events import instance_deleted
from services.rules.engines.api import EngineStatus, Region, ScannerReport
from services.rules.engines.lifecycle import Engines
from services.rules.runs.application import Runs
from services.rules.scan_rules import ScanRules
from services.rules.sealing import InstanceSealer
from services.rules.store import RulesStore, SealedInstance
from services.rules.sync.switch import SyncSwitch
from services.rules.targets import TargetCheck

log = structlog.get_logger()


class Rules:
    """RulesApi over PostgreSQL."""

    def __init__(
        self,
        *,
        pool: Pool,
        store: RulesStore,
        targets: TargetCheck,
        passwords: Passwords,
        engines: Engines,
        runs: Runs,
        clock: Clock,
        ids: Ids,
        max_rules_per_instance: int,
        outbox: Outbox,
        sync: SyncSwitch,
    ) -> None:
        self._pool = pool
        self._store = store
        self._targets = targets
        self._passwords = passwords
        self._sealer = InstanceSealer(passwords, clock)
        self._engines = engines
        self._runs = runs
        self._clock = clock
        self._ids = ids
        self._scan_rules = ScanRules(
            pool=pool, store=store, targets=targets, clock=clock, ids=ids, max_per_instance=max_rules_per_instance
        )
        self._outbox = outbox
        self._sync = sync

    # instances

    async def create_instance(self, new: NewInstance, *, actor: str = "") -> Instance:
        """Saves an instance and, if it may be scanned and unless told not to, its rule "every push"."""
        grammar.check_new_instance(new)
        async with self._pool.acquire() as conn, conn.transaction():
            engine = await self._engines.choose(conn, new.engine)
            instance_id = self._ids.named(grammar.INSTANCE_PREFIX)
            saved = self._sealer.first(instance_id, new, engine)
            instance = saved.instance
            if not await self._store.insert_instance(conn, saved):
                raise refusals.instance_name_taken(new.name)
            await self._engines.introduce(conn, instance, actor)
            if new.default_rule and instance.edition is Edition.ENTERPRISE:
                await self._scan_rules.introduce(conn, instance)
        log.info("instance.created", instance_id=instance.instance_id, edition=instance.edition.value)
        return instance

    async def get_instance(self, instance: str) -> Instance:
        """Returns one instance by id or name."""
        async with self._pool.acquire() as conn:
            return (await self._find(conn, instance)).instance

    async def list_instances(
        self, *, region: str = "", page_size: int = 0, page_token: str = ""
    ) -> Page[Instance]:
        """Lists instances by name."""
        size = page.page_size(page_size)
        (after,) = decode_token(page_token, "instances", region, length=1) or ("",)
        if "\0" in region:
            return Page(items=())
        async with self._pool.acquire() as conn:
            found = await self._store.list_instances(conn, after=after, region=region, limit=size + 1)
        items = found[:size]
        more = encode_token((items[-1].name,), "instances", region) if len(found) > size else ""
        return Page(items=items, next_token=more)

    async def update_instance(self, instance: str, change: InstanceChange) -> Instance:
        """Changes what is not None; without a user name the saved password goes too, elsewhere it never goes."""
        grammar.check_change(change)
        async with self._pool.acquire() as conn:
            try:
                async with conn.transaction():
                    saved = self._sealer.changed(await self._find(conn, instance, lock=True), change)
                    await self._store.update_instance(conn, saved)
                    await self._engines.moved(conn, saved.instance)
            except asyncpg.UniqueViolationError as error:
                raise refusals.instance_name_taken(change.name or "") from error
        log.info("instance.updated", instance_id=saved.instance.instance_id)
        return saved.instance

    async def delete_instance(self, instance: str) -> None:
        """Forgets an instance with its repositories and rules, and tells those who have more of it."""
        if not grammar.may_name_instance(instance):
            raise refusals.no_instance(instance)
        async with self._pool.acquire() as conn, conn.transaction():
            instance_id = await self._store.delete_instance(conn, instance)
            if instance_id is None:
                raise refusals.no_instance(instance)
            gone = instance_deleted(instance_id, event_id=self._ids.uuid(), at=self._clock.now())
            await self._outbox.add(conn, [gone])
        log.info("instance.deleted", instance=instance, instance_id=instance_id)

    async def registry_access(self, instance: str) -> RegistryAccess:
        """Returns how to reach the registry, the password in clear."""
        async with self._pool.acquire() as conn:
            saved = await instances.enterprise(conn, self._store, instance)
        return self._passwords.access(saved)

    # repositories

    async def get_repository(self, instance: str, repo_id: str) -> Repository:
        """Returns a repository of the instance by its id."""
        async with self._pool.acquire() as conn:
            owner = (await self._find(conn, instance)).instance
            known = grammar.may_be_id(repo_id)
            found = await self._store.get_repository(conn, owner.instance_id, repo_id) if known else None
        if found is None:
            raise not_found("REPO_NOT_EXIST", f"Instance {owner.name} has no repository {repo_id[:80]!r}.")
        return found

    async def see_repository(self, instance: str, namespace: str, name: str) -> Repository:
        """Returns the repository of that name, and saves it when it was not known."""
        wanted = grammar.checked_repository(namespace, name)
        async with self._pool.acquire() as conn:
            owner = (await self._find(conn, instance)).instance
            key = (owner.instance_id, wanted)
            try:
                found = await repositories.see(conn, self._store, [key], self._clock.now())
            except asyncpg.ForeignKeyViolationError as error:  # deleted since we found it
                raise refusals.no_instance(instance) from error
        return found[key]

    async def find_repository(self, instance: str, namespace: str, name: str) -> Repository:
        """Returns the repository of that name, if anybody has seen it."""
        wanted = grammar.checked_repository(namespace, name)
        async with self._pool.acquire() as conn:
            owner = (await self._find(conn, instance)).instance
            found = await self._store.find_repositories(conn, [(owner.instance_id, wanted)])
        if not found:
            raise refusals.no_repository(owner, wanted)
        return found[owner.instance_id, wanted]

    async def list_repositories(
        self, instance: str, *, namespace: str = "", page_size: int = 0, page_token: str = ""
    ) -> Page[Repository]:
        """Lists repositories by namespace and name."""
        size = page.page_size(page_size)
        async with self._pool.acquire() as conn:
            owner = (await self._find(conn, instance)).instance
            question = ("repositories", owner.instance_id, namespace)
            space, name = decode_token(page_token, *question, length=2) or ("", "")
            if "\0" in namespace:
                return Page(items=())
            found = await self._store.list_repositories(
                conn, owner.instance_id, namespace=namespace, after=(space, name), limit=size + 1
            )
        items = found[:size]
        more = encode_token((items[-1].namespace, items[-1].name), *question) if len(found) > size else ""
        return Page(items=items, next_token=more)

    # rules

    async def create_rule(self, instance: str, new: NewScanRule) -> ScanRule:
        """Saves a rule; it counts for every event that is handled from now on."""
        return await self._scan_rules.create(instance, new)

    async def get_rule(self, rule_id: str) -> ScanRule:
        """Returns one rule."""
        return await self._scan_rules.get(rule_id)

    async def list_rules(
        self, instance: str, *, scan_type: ScanType | None = None, page_size: int = 0, page_token: str = ""
    ) -> Page[ScanRule]:
        """Lists the rules of an instance, oldest first, with their total."""
        return await self._scan_rules.list(
            instance, scan_type=scan_type, page_size=page_size, page_token=page_token
        )

    async def update_rule(self, rule_id: str, new: NewScanRule) -> ScanRule:
        """Replaces a rule; its scan type stays, and so may targets that were deleted since it was saved."""
        return await self._scan_rules.update(rule_id, new)

    async def delete_rule(self, rule_id: str) -> None:
        """Deletes a rule."""
        await self._scan_rules.delete(rule_id)

    async def check_targets(self, target_ids: Collection[str]) -> None:
        """Asks the notifier whether targets exist."""
        await self._targets.check(target_ids)

    # engines

    async def list_regions(self) -> tuple[Region, ...]:
        """Lists regions by name."""
        return await self._engines.list_regions()

    async def list_engines(self, instance: str) -> tuple[EngineStatus, ...]:
        """Returns every engine of an instance."""
        return await self._engines.list_engines(instance)

    async def engine_status(self, instance: str, engine: Engine | None = None) -> EngineStatus:
        """Returns one engine of an instance."""
        return await self._engines.engine_status(instance, engine)

    async def activate_engine(
        self, instance: str, engine: Engine, *, authorize: bool, actor: str = ""
    ) -> EngineStatus:
        """Checks all that an engine needs, authorization recorded first."""
        return await self._engines.activate_engine(instance, engine, authorize=authorize, actor=actor)

    async def switch_engine(self, instance: str, engine: Engine, *, actor: str = "") -> EngineStatus:
        """Makes a ready engine the one in use."""
        return await self._engines.switch_engine(instance, engine, actor=actor)

    async def check_engine(self, instance: str, engine: Engine) -> None:
        """Refuses an engine that is neither in use nor ready."""
        await self._engines.check_engine(instance, engine)

    async def report_scanner(self, report: ScannerReport) -> None:
        """Takes what a scanner says of itself."""
        await self._engines.report_scanner(report)

    # sync

    async def set_sync(self, instance: str, *, on: bool) -> Sync:
        """Switches the sync of an instance."""
        return await self._sync.set(await self.get_instance(instance), on=on)

    async def sync_now(self, instance: str) -> Sync:
        """Asks for a reconciliation."""
        return await self._sync.now(await self.get_instance(instance))

    async def get_sync(self, instance: str) -> Sync:
        """Tells how the sync of an instance stands."""
        return await self._sync.get(await self.get_instance(instance))

    # runs

    async def preview_rule(self, rule_id: str) -> RulePreview:
        """Tells what a run would scan."""
        rule = await self.get_rule(rule_id)
        return await self._runs.preview(rule, await self.registry_access(rule.instance_id))

    async def run_rule(self, rule_id: str, *, request_id: str = "") -> RuleRun:
        """Starts a run."""
        return await self._runs.start(await self._scan_rules.scannable(rule_id), request_id)

    async def get_run(self, run_id: str) -> RuleRun:
        """Returns one run."""
        return await self._runs.get(run_id)

    async def cancel_run(self, run_id: str) -> RuleRun:
        """Asks for no more images of a run."""
        return await self._runs.cancel(run_id)

    async def resume_run(self, run_id: str) -> RuleRun:
        """Goes on with a run where it stopped."""
        instances.checked_edition(await self.get_instance((await self._runs.get(run_id)).instance_id))
        return await self._runs.resume(run_id)

    async def end_run(self, run_id: str) -> None:
        """Notes that every image of a run has ended."""
        await self._runs.end(run_id)

    # parts of the above

    async def _find(self, conn: Connection, instance: str, *, lock: bool = False) -> SealedInstance:
        return await instances.find(conn, self._store, instance, lock=lock)
