"""What rules offers of engines: a part of `services.rules.api`, from which others take it."""

from __future__ import annotations

import dataclasses
import enum
from datetime import datetime
from typing import Protocol

from services.kernel.model.engine import Engine


class ConditionType(enum.Enum):
    """What an engine may need."""

    REGISTRY_REACHABLE = "RegistryReachable"
    """The registry answers at the address that Drydock itself uses."""
    CREDENTIALS_VALID = "CredentialsValid"
    """It takes the saved credentials, or none, and lets an image be pulled."""
    ADVISORY_DATABASE_READY = "AdvisoryDatabaseReady"
    """A scanner has advisories open."""
    RULE_PACKS_READY = "RulePacksReady"
    """The rules for baseline and malware of a scanner compile, those of the operator among them."""
    AUTHORIZED = "Authorized"
    """An operator has said that the engine may look into the instance's images."""
    ENTITLED = "Entitled"
    """The deployment's entitlement covers the instance."""
    TRIVY_READY = "TrivyReady"
    """A scanner has a working trivy and a database for it."""


class Status(enum.Enum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One thing that an engine needs, and how it is."""

    type: ConditionType
    status: Status
    reason: str
    """UPPER_SNAKE code of the status."""
    message: str
    changed_at: datetime
    """When the status last changed, as far as it was noticed."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """An engine as it stands on an instance."""

    instance_id: str
    engine: Engine
    in_use: bool
    """Whether it scans the instance's images, unless a caller names another."""
    conditions: tuple[Condition, ...]
    """In the order in which to mend them."""
    authorized_by: str = ""
    """The name of a key; empty where nobody has authorized it."""
    authorized_at: datetime | None = None
    database_at: datetime | None = None
    """Moment of the youngest fact of the advisories that it judges by; of several scanners' the oldest. None where
    no scanner says."""

    @property
    def active(self) -> bool:
        """Whether all conditions hold."""
        return all(condition.status is Status.TRUE for condition in self.conditions)

    @property
    def lacking(self) -> tuple[Condition, ...]:
        """The conditions that do not hold, or of which nobody can tell."""
        return tuple(condition for condition in self.conditions if condition.status is not Status.TRUE)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A region that instances lie in."""

    name: str
    """Empty for instances without one."""
    instances: int


class Part(enum.Enum):
    """What a scanner has, or lacks."""

    TRIVY = "TRIVY"
    ADVISORIES = "ADVISORIES"
    RULE_PACKS = "RULE_PACKS"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PartHealth:
    """How one part of a scanner is."""

    part: Part
    ready: bool
    """Whether a scan that begins now can be made with it."""
    version: str = ""
    """Of the program or the rules; empty where there is none."""
    database_version: str = ""
    """Of the advisories; empty where there are none."""
    database_at: datetime | None = None
    """Moment of the youngest fact of these; None where nobody says."""
    reason: str = ""
    """Code of why it is not ready; of what is, why no verdict rests on it, as STALE_ADVISORIES; else empty."""
    message: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ScannerReport:
    """What one scanner says of itself."""

    node_id: str
    """Names the process; another one after each start."""
    valid_seconds: float
    """How long it holds unless another follows."""
    parts: tuple[PartHealth, ...]
    """Each at most once."""


class EnginesApi(Protocol):
    """Engines of instances. Every call that names an instance refuses a personal one: EDITION_NOT_SUPPORTED."""

    async def list_regions(self) -> tuple[Region, ...]:
        """Lists the regions that instances lie in, by name."""
        ...

    async def list_engines(self, instance: str) -> tuple[EngineStatus, ...]:
        """Returns every engine of an instance, the one in use first, with what was found by the last check."""
        ...

    async def engine_status(self, instance: str, engine: Engine | None = None) -> EngineStatus:
        """Returns one engine of an instance, the one in use where none is named."""
        ...

    async def activate_engine(
        self, instance: str, engine: Engine, *, authorize: bool, actor: str = ""
    ) -> EngineStatus:
        """Checks all that an engine needs, now; an authorization is recorded first. Idempotent.

        Args:
            instance: its id or name.
            engine: which.
            authorize: whether the actor authorizes it; one that is authorized stays so, by whom it was first.
            actor: the name of the caller's key.
        """
        ...

    async def switch_engine(self, instance: str, engine: Engine, *, actor: str = "") -> EngineStatus:
        """Makes an engine the one in use, from the next scan on. Everything is checked first, now. Idempotent.

        Raises:
            ServiceError: ENGINE_NOT_READY naming the conditions that do not hold.
        """
        ...

    async def check_engine(self, instance: str, engine: Engine) -> None:
        """Returns when a caller may have a scan with that engine.

        The one in use always may be tried; another one must be ready, but for the registry, which the scan asks.

        Raises:
            ServiceError: ENGINE_NOT_READY.
        """
        ...

    async def report_scanner(self, report: ScannerReport) -> None:
        """Takes what a scanner says of itself. Idempotent."""
        ...
