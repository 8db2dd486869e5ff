"""What is asked of a fix, what it tells while it runs, and what came of it."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Protocol

from services.fixer.failure import FixReason
from services.fixer.plan.outcome import FindingRef, NotFixable
from services.fixer.plan.packages import Upgrade
from services.kernel.model.digest import Digest
from services.kernel.model.platform import Platform
from services.kernel.model.reference import RepositoryName


class Stage(enum.Enum):
    """How far a fix is; in this order."""

    PLANNING = "PLANNING"
    """Reads the report, the image's package database and the repositories' indexes."""
    FETCHING = "FETCHING"
    BUILDING = "BUILDING"
    PUSHING = "PUSHING"
    """From here on the tag may change: what is cancelled later is put back, or finished."""
    PROVING = "PROVING"
    """The fixed image is scanned, and what came of it attached."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FixOrder:
    """What somebody asked for."""

    task_id: str
    instance_id: str
    repository: RepositoryName
    tag: str
    digest: Digest
    """What the tag held when it was asked for, and what was scanned: an image or an index."""
    findings: tuple[str, ...] = ()
    """Ids of the findings to fix; empty for all that can be."""
    overwrite: bool = False
    """Writes over the tag itself, where False makes `<tag>_fixd`."""


class Verdict(enum.Enum):
    """What the scan of the fixed image says of a finding that was asked for."""

    FIXED = "FIXED"
    STILL_PRESENT = "STILL_PRESENT"
    """It was to be fixed, and is there."""
    NOT_FIXABLE = "NOT_FIXABLE"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FindingOutcome:
    """What became, or in a preview will become, of one finding on one platform."""

    finding: FindingRef
    verdict: Verdict
    why: NotFixable | None = None
    """Set of what is NOT_FIXABLE."""
    message: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlatformPlan:
    """What is to become, or became, of one platform."""

    platform: Platform
    digest: Digest
    """Of the image as it was."""
    system: str
    """`dpkg`, `apk`, `rpm`; empty of a platform that is left as it is."""
    upgrades: tuple[Upgrade, ...]
    outcomes: tuple[FindingOutcome, ...]
    """Every finding that was asked for: in a plan, FIXED means that it is to be."""
    left: str = ""
    """Why the platform is left as it is, as a reason code; empty where it is fixed."""
    message: str = ""
    """The same for a person."""
    fixed_digest: str = ""
    """Of the platform's new image; empty in a plan, and of one that is left."""
    layer_bytes: int = 0
    """Stored size of the new layer."""
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FixPlan:
    """What a fix would do."""

    platforms: tuple[PlatformPlan, ...]
    tag: str
    """The tag that is written."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FixResult:
    """What a fix did: SUCCEEDED where every outcome is FIXED, else PARTIAL."""

    platforms: tuple[PlatformPlan, ...]
    tag: str
    digest: Digest
    """What the tag holds now."""
    previous: str
    """Digest that the written tag held before; empty where it held nothing."""
    backup_tag: str
    """Tag that still holds that; empty where it held nothing."""
    scan_task_id: str
    """Of the scan that the verdicts rest on."""
    new_findings: int
    """Findings of the fixed image that the original has not."""
    attached: Mapping[str, str]
    """Digests of what is attached to the fixed images, by kind, `vex` or `attestation`, and platform:
    `vex linux/amd64`."""

    @property
    def whole(self) -> bool:
        """Whether everything that was asked for is fixed: of a platform without a report nobody knows."""
        unknown = any(one.left == FixReason.PLATFORM_NOT_SCANNED.code for one in self.platforms)
        return not unknown and all(
            each.verdict is Verdict.FIXED for one in self.platforms for each in one.outcomes
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What must outlive a crash: noted before a tag is written, so that whoever goes on knows its own work."""

    tag: str
    digest: Digest
    """What the tag is to hold."""
    previous: str
    """Digest that it held before; empty where it held none."""
    backup_tag: str


class Progress(Protocol):
    """What a fix tells while it runs; each call may raise because the task was called off or is another's now."""

    async def stage(self, stage: Stage, message: str, *, done: int = 0, of: int = 0) -> None:
        """Notes how far the fix is, such as `done` of `of` packages fetched."""
        ...

    async def about_to_push(self, pushed: Pushed) -> None:
        """Notes what is about to be written, and returns once that is durable."""
        ...

    async def pushed_before(self) -> Pushed | None:
        """Returns what an earlier attempt at the same task was about to write; None where it came not so far."""
        ...


class FixWork(Protocol):
    """The way of one fix: `services/fixer/fix.py`."""

    async def preview(self, order: FixOrder) -> FixPlan:
        """Tells what a fix would do; changes nothing anywhere.

        Raises:
            FixFailure: what would end the fix; ScanFailure: what the registry answers.
        """
        ...

    async def run(self, order: FixOrder, progress: Progress) -> FixResult:
        """Fixes. Called again after a crash it goes on, or finds its work done: no tag is written twice.

        Cancelling it before PUSHING leaves nothing; during it, it is finished or put back first.

        Raises:
            FixFailure: with nothing pushed and nothing overwritten, RESCAN_FAILED excepted; ScanFailure: the same.
        """
        ...

    async def revert(self, order: FixOrder, result: FixResult) -> Digest:
        """Puts back what the written tag held before, where it still holds the fix; returns what it holds now.

        Raises:
            FixFailure: TAG_MOVED, one of those about the registry, or NOTHING_TO_FIX: nothing was overwritten.
        """
        ...
