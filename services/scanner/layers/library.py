"""The library of layer analyses: what was read once is read never again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from services.kernel.model.digest import Digest
from services.scanner.inspectors.inspection import Inspection
from services.scanner.records import Lease


class AnalysisLibrary(ABC):
    """Keeps encoded analyses (`layers.analysis`) by layer digest, for the present analysers only.

    What is looked for in files is said each time, since it may change while the process lives.
    """

    @abstractmethod
    async def known(self, digests: Sequence[Digest], inspection: Inspection | None) -> Mapping[Digest, bytes]:
        """Returns the analyses that are there."""

    @abstractmethod
    async def take_turns(
        self, digests: Sequence[Digest], inspection: Inspection | None, lease: Lease | None
    ) -> frozenset[Digest]:
        """Returns the layers that nobody under a lease reads now: they are the caller's. Without a lease, all.

        The others will be known soon; if not, ask again, because their reader failed or died.
        """

    @abstractmethod
    async def keep(self, digest: Digest, inspection: Inspection | None, analysis: bytes) -> None:
        """Keeps an analysis. Idempotent: the first one stays."""


class RememberedAnalyses(AnalysisLibrary):
    """Analyses in memory, for one scan without a database, which looks for the same things to its end."""

    def __init__(self) -> None:
        self._analyses: dict[Digest, bytes] = {}

    async def known(self, digests: Sequence[Digest], inspection: Inspection | None) -> Mapping[Digest, bytes]:
        """Those of this process."""
        return {digest: self._analyses[digest] for digest in digests if digest in self._analyses}

    async def take_turns(
        self, digests: Sequence[Digest], inspection: Inspection | None, lease: Lease | None
    ) -> frozenset[Digest]:
        """All: nobody else is there."""
        return frozenset(digests)

    async def keep(self, digest: Digest, inspection: Inspection | None, analysis: bytes) -> None:
        """Until the process ends."""
        self._analyses.setdefault(digest, analysis)
