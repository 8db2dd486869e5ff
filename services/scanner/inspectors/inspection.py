"""Inspection: what is looked for in files, and how far; small enough to travel to a worker process."""

from __future__ import annotations

import dataclasses
from typing import Final

from services.scanner.inspectors.limits import InspectionLimits
from services.scanner.inspectors.rulefiles import RuleFile, digest_of_files
from services.scanner.inspectors.rules import packs_digest

CONTENT: Final = "content"
"""Names the inspector in what it says of a file."""
VERSION: Final = 1
"""Raised whenever the same bytes and packs would give another result."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What is looked for, and how far; small enough to travel to a worker process."""

    limits: InspectionLimits = dataclasses.field(default_factory=InspectionLimits)
    files: tuple[RuleFile, ...] = ()
    """Rules of the operator; each compiles."""

    @property
    def key(self) -> str:
        """Names all that changes what is seen in the same bytes."""
        return f"content={VERSION}.{packs_digest()}.{digest_of_files(self.files)}"
