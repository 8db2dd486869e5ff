"""What rules offers to other services: the only file of it that they may import."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from services.kernel.model.access import RegistryAccess
from services.kernel.model.engine import Engine
from services.kernel.model.page import Page
from services.rules.engines.api import EnginesApi
from services.rules.runs.api import RulePreview, RuleRun, RunNote, RunsApi, RunState

__all__ = ["RulePreview", "RuleRun", "RunNote", "RunState", "RunsApi"]
"""What is offered from here besides what is defined here."""


class Edition(enum.Enum):
    """What an instance may do: personal ones are refused scans and new rules; rules they have match nothing."""

    ENTERPRISE = "ENTERPRISE"
    PERSONAL = "PERSONAL"


class Scope(enum.Enum):
    """How far a rule reaches."""

    NAMESPACE = "NAMESPACE"
    REPO = "REPO"
    INSTANCE = "INSTANCE"


class Trigger(enum.Enum):
    """What sets a rule off."""

    AUTO = "AUTO"
    MANUAL = "MANUAL"


class ScanType(enum.Enum):
    """What a rule wants to know."""

    VUL = "VUL"
    SBOM = "SBOM"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A registry that Drydock looks after, without its password."""

    instance_id: str
    name: str
    edition: Edition
    region: str
    address: str
    private_address: str
    """Empty when Drydock uses `address` itself."""
    plain_http: bool
    username: str
    engine: Engine
    created_at: datetime
    updated_at: datetime
    sync: bool = False
    """Whether it is kept in step with its registry."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewInstance:
    """What a caller says of a new instance."""

    name: str
    address: str
    private_address: str = ""
    edition: Edition = Edition.ENTERPRISE
    region: str = ""
    plain_http: bool = False
    username: str = ""
    password: str = dataclasses.field(default="", repr=False)
    engine: Engine | None = None
    default_rule: bool = True


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InstanceChange:
    """New values; None leaves a field as it is."""

    name: str | None = None
    address: str | None = None
    private_address: str | None = None
    edition: Edition | None = None
    region: str | None = None
    plain_http: bool | None = None
    username: str | None = None
    password: str | None = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository of an instance, known since it was first seen."""

    repo_id: str
    instance_id: str
    namespace: str
    name: str
    created_at: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewScanRule:
    """What a caller says of a rule, new or replaced."""

    name: str
    scope: Scope
    tag_pattern: str
    namespaces: tuple[str, ...] = ()
    repo_names: tuple[str, ...] = ()
    trigger: Trigger = Trigger.AUTO
    scan_type: ScanType = ScanType.VUL
    target_ids: tuple[str, ...] = ()
    schedule: str = ""
    """Cron expression in UTC: when it is run by itself, whatever its trigger; empty for never."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ScanRule(NewScanRule):
    """A saved rule."""

    rule_id: str
    instance_id: str
    created_at: datetime
    updated_at: datetime
    next_run_at: datetime | None = None
    last_run_id: str = ""
    """Of the last run that was started, by whomever."""
    skipped: str = ""
    """Why the last run by schedule did not start."""


class SyncState(enum.Enum):
    """Where the reconciliation of an instance with its registry stands."""

    OFF = "OFF"
    WAITING = "WAITING"
    RUNNING = "RUNNING"
    DELAYED = "DELAYED"
    """It is gone on with later, from where it stopped."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """How an instance is kept in step with its registry; the numbers are of the last walk over it."""

    instance_id: str
    on: bool
    state: SyncState
    walk: int = 0
    """Number of the reconciliation under way, or of the last one; 0 before the first."""
    began_at: datetime | None = None
    ended_at: datetime | None = None
    next_at: datetime | None = None
    repositories: int = 0
    tags: int = 0
    repositories_gone: int = 0
    """Repositories that the registry does not know any more."""
    skipped: int = 0
    """Repositories that could not be read."""
    reason: str = ""
    message: str = ""


class RulesApi(RunsApi, EnginesApi, Protocol):
    """Instances, their engines and sync, repositories, scan rules and their runs.

    Wherever an instance is named, its id or its name will do. Errors of every call: INSTANCE_NOT_EXIST,
    REPO_NOT_EXIST, SCAN_RULE_NOT_EXIST (NOT_FOUND); INVALID_* (INVALID_ARGUMENT).
    """

    async def create_instance(self, new: NewInstance, *, actor: str = "") -> Instance:
        """Saves an instance and, unless told not to, its rule "every push"; a personal one gets no rule.

        With no engine named, it gets TRIVY where a scanner has a working one, else SECURITY_CENTER. Whoever makes
        it has authorized the engine that it gets: the actor, by the name of their key.

        Raises:
            ServiceError: INSTANCE_ALREADY_EXIST; ENGINE_NOT_READY for TRIVY where no scanner has it.
        """
        ...

    async def get_instance(self, instance: str) -> Instance:
        """Returns one instance by id or name."""
        ...

    async def list_instances(
        self, *, region: str = "", page_size: int = 0, page_token: str = ""
    ) -> Page[Instance]:
        """Lists instances by name."""
        ...

    async def update_instance(self, instance: str, change: InstanceChange) -> Instance:
        """Changes what is not None; new credentials count from the next scan on.

        Raises:
            ServiceError: PASSWORD_NEEDED when another address, or plain HTTP, comes without the password that is
                saved being given anew.
        """
        ...

    async def delete_instance(self, instance: str) -> None:
        """Forgets an instance with its repositories and rules; a second call finds none."""
        ...

    async def registry_access(self, instance: str) -> RegistryAccess:
        """Returns how to reach the registry, credentials included: ask when the work is done, keep it nowhere.

        Raises:
            ServiceError: EDITION_NOT_SUPPORTED for a personal instance.
        """
        ...

    async def get_repository(self, instance: str, repo_id: str) -> Repository:
        """Returns a repository of the instance by its id."""
        ...

    async def see_repository(self, instance: str, namespace: str, name: str) -> Repository:
        """Returns the repository of that name, and saves it when it was not known. Idempotent."""
        ...

    async def find_repository(self, instance: str, namespace: str, name: str) -> Repository:
        """Returns the repository of that name.

        Raises:
            ServiceError: REPO_NOT_EXIST when nobody has seen it yet.
        """
        ...

    async def list_repositories(
        self, instance: str, *, namespace: str = "", page_size: int = 0, page_token: str = ""
    ) -> Page[Repository]:
        """Lists repositories by namespace and name."""
        ...

    async def create_rule(self, instance: str, new: NewScanRule) -> ScanRule:
        """Saves a rule.

        Targets may be deleted later: the rule keeps their ids, and they are told no more.

        Raises:
            ServiceError: SCAN_RULE_ALREADY_EXIST when the instance has one of that name; EDITION_NOT_SUPPORTED for
                a personal instance; what `check_targets` raises.
        """
        ...

    async def get_rule(self, rule_id: str) -> ScanRule:
        """Returns one rule."""
        ...

    async def list_rules(
        self, instance: str, *, scan_type: ScanType | None = None, page_size: int = 0, page_token: str = ""
    ) -> Page[ScanRule]:
        """Lists the rules of an instance, oldest first; `Page.total` is set."""
        ...

    async def update_rule(self, rule_id: str, new: NewScanRule) -> ScanRule:
        """Replaces a rule.

        Raises:
            ServiceError: SCAN_TYPE_IMMUTABLE when the scan type differs; EDITION_NOT_SUPPORTED; what
                `check_targets` raises of targets that the rule did not have.
        """
        ...

    async def delete_rule(self, rule_id: str) -> None:
        """Deletes a rule; a second call finds none."""
        ...

    async def check_targets(self, target_ids: Collection[str]) -> None:
        """Returns when every id is that of a target: the one check, for rules and for tasks.

        Raises:
            ServiceError: TARGET_NOT_EXIST, TOO_MANY_TARGETS (INVALID_ARGUMENT, field `target_ids`);
                NOTIFIER_UNAVAILABLE when nobody can tell.
        """
        ...

    async def set_sync(self, instance: str, *, on: bool) -> Sync:
        """Switches the sync of an instance; switched on, it begins with a reconciliation. Idempotent.

        Raises:
            ServiceError: EDITION_NOT_SUPPORTED for a personal instance that is to be synced.
        """
        ...

    async def sync_now(self, instance: str) -> Sync:
        """Asks for a reconciliation that begins after this call.

        Raises:
            ServiceError: EDITION_NOT_SUPPORTED; SYNC_OFF.
        """
        ...

    async def get_sync(self, instance: str) -> Sync:
        """Tells how the sync of an instance stands; that of a personal one is OFF."""
        ...
