"""Inspection: what is looked for in files, and how far; small enough to travel to a worker process."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from pathlib import Path
from typing import Final

from services.scanner.inspectors.clamd import Clamd
from services.scanner.inspectors.limits import InspectionLimits
from services.scanner.inspectors.rulefiles import RuleFile, digest_of_files
from services.scanner.inspectors.rules import packs_digest

CONTENT: Final = "content"
"""Names the inspector in what it says of a file."""
VERSION: Final = 6
"""Raised whenever the same bytes and packs would give another result."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What is looked for, and how far; small enough to travel to a worker process."""

    limits: InspectionLimits = dataclasses.field(default_factory=InspectionLimits)
    files: tuple[RuleFile, ...] = ()
    """YARA rules of the operator; each compiles."""
    hashes: tuple[RuleFile, ...] = ()
    """Lists of known bad files of the operator."""
    folder: Path | None = None
    """Where compiled rules are kept; None where they are not."""
    clamd: Clamd | None = None
    """Who is asked about every file besides; None where nobody answers."""

    @property
    def rules(self) -> str:
        """Names the YARA rules, ours and the operator's."""
        return f"{packs_digest()}.{_digest_of_files(self.files)}"

    @property
    def key(self) -> str:
        """Names all that changes what is seen in the same bytes."""
        bounds = ",".join(str(value) for value in dataclasses.astuple(self.limits))
        lists = f".{_digest_of_files(self.hashes)}" if self.hashes else ""
        asked = f";{self.clamd.key}" if self.clamd is not None else ""
        return f"content={VERSION}.{self.rules}{lists}.{bounds}{asked}"


_digest_of_files = lru_cache(maxsize=4)(digest_of_files)
"""It is asked for with each scan."""
