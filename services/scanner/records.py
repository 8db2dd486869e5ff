"""What the scanner's store returns: rows with their types, before they become answers."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping
from datetime import datetime

from services.kernel.model.digest import Digest
from services.kernel.model.engine import Engine
from services.kernel.model.report import AdvisoriesInfo, Coverage
from services.kernel.model.severity import Severity
from services.scanner.lanes import PATIENT_LANES
from services.scanner.state import State

LACKS = ";lacks="
"""In the version of an engine: what it does without comes next."""
_FOLLOWS = ";follows="
_NAMESPACE = uuid.UUID("6d2b0f63-6d1c-5d5c-9f5a-5a0f6c7e4b11")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ImageAddress:
    """An image as the scanner keys it: repository, tag (may be empty) and digest."""

    instance_id: str
    repo_id: str
    namespace: str
    repository: str
    tag: str
    digest: Digest


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DoubtedTag:
    """A tag whose registry is to be asked what it has."""

    image: ImageAddress
    """As it stands."""
    revision: int
    doubted_at: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ScanKey:
    """What makes two scans the same: equal keys give equal ids, so a scan exists once."""

    instance_id: str
    digest: Digest
    engine: Engine
    engine_version: str
    advisories_version: str

    @property
    def scan_id(self) -> str:
        """The id that follows from the key."""
        words = (self.instance_id, self.digest, self.engine.value, self.engine_version, self.advisories_version)
        return str(uuid.uuid5(_NAMESPACE, "|".join(words)))

    @property
    def lacks(self) -> bool:
        """Whether it is known beforehand that the scan does without something."""
        return LACKS in self.engine_version

    def following(self, scan_id: str) -> ScanKey:
        """Returns the key of the scan that makes up for what that one lacks."""
        version = self.engine_version.partition(_FOLLOWS)[0]
        return dataclasses.replace(self, engine_version=f"{version}{_FOLLOWS}{scan_id}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a scan or task stands, or ended."""

    state: State
    reason: str = ""
    message: str = ""
    coverage: Coverage | None = None
    findings: Mapping[Severity, int] = dataclasses.field(default_factory=dict)
    advisories_version: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FoundInventory:
    """What an image was matched by, to be matched again when advisories change (`services.scanner.inventory`)."""

    digest: str
    """Of the content: images that have the same share it."""
    content: bytes
    """Packed."""
    verdict: str
    """Identity of what matching said."""
    beside: Mapping[Severity, int]
    """Findings that no advisory has a say in: of rules, in what files hold."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ScannedImage:
    """The result of scanning one platform, before it is recorded."""

    platform: str
    report: bytes
    """Packed (`services.scanner.reports`)."""
    outcome: Outcome
    inventory: FoundInventory | None = None
    """None: it cannot be matched again, only scanned."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LaterVerdict:
    """That a report's inventory was matched again."""

    content: bytes | None
    """Packed (`services.scanner.inventory`); None: it said the same as the report itself."""
    advisories: AdvisoriesInfo
    judged_at: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StoredReport:
    """A report as the store has it: as it was when the image was scanned, and what came later."""

    content: bytes
    """Packed."""
    later: LaterVerdict | None = None
    stale: str = ""
    """Why it could not be judged by the youngest advisories, as a sentence; empty where nobody tried in vain."""
    newest: str = ""
    """Version of the youngest advisories of its engine; empty where none are known."""
    newest_at: datetime | None = None
    """When these were made."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What newer advisories changed about an image."""

    previous_version: str
    new: Mapping[Severity, int]
    """Findings that were not there before; zeros are left out."""
    malicious: int
    """Malicious samples among the new ones."""
    gone: Mapping[Severity, int]
    changed: int
    """Findings of which something else is said."""
    first: bool
    """Whether the earlier verdict rested on nothing: the sample, or no advisories for what is in the image."""
    superseded: bool = False
    """Whether the task's tag has another digest by now."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ScanRecord:
    """A scan."""

    scan_id: str
    key: ScanKey
    namespace: str
    repository: str
    platform: str
    """Empty until known, and for an index."""
    begun: int
    """Turn at which the last attempt began: it asked for all tasks that joined before."""
    lender: str
    """Task whose loan the last attempt pulled with, and which alone it asked for; empty: as the instance says."""
    loan: bytes = dataclasses.field(repr=False)
    """The lender's sealed credentials, of an attempt that begins; empty in every scan that was read."""
    outcome: Outcome


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PartRecord:
    """A scan as a part of an index, or on its own."""

    scan_id: str
    engine: Engine
    platform: str
    digest: Digest
    outcome: Outcome


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord:
    """A task."""

    task_id: str
    image: ImageAddress
    engine: Engine
    scan_id: str
    outcome: Outcome
    rule_ids: tuple[str, ...]
    target_ids: tuple[str, ...]
    created_at: datetime
    ended_at: datetime | None
    traceparent: str = ""
    """Trace of the request; empty where none is known."""
    run_id: str = ""
    """Run of a rule that it belongs to; empty for none."""
    loan: bytes = dataclasses.field(default=b"", repr=False)
    """Sealed credentials of whoever asks for a new task; empty for none, and in every task that was read."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to work on a scan until the heartbeat stops; `fence` proves it."""

    scan_id: str
    fence: int
    attempts: int
    """This one included."""
    lane: int

    @property
    def patient(self) -> bool:
        """Whether nobody waits for this very scan."""
        return self.lane in PATIENT_LANES
