"""Debian's packages as a package system of the fixer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from services.fixer.failure import FixFailure, FixReason
from services.fixer.image.node import Layer, Tree
from services.fixer.plan.outcome import FindingRef
from services.fixer.plan.packages import Candidate, RepositoryRef, Survey, SystemPlan
from services.fixer.repositories.depot import Depot
from services.fixer.systems.dpkg import image, plan, survey
from services.fixer.systems.dpkg.build import DatabaseBuild
from services.fixer.systems.dpkg.check import check
from services.fixer.systems.dpkg.distroless import PartsBuild
from services.fixer.systems.dpkg.index import fetch_index
from services.fixer.systems.dpkg.release import fetch_release
from services.fixer.systems.dpkg.survey import PARTS
from services.fixer.systems.interface import Built, PackageSystem
from services.kernel.clock import Clock

_NOT_OURS = (FixReason.INDEX_KEY_UNKNOWN, FixReason.INDEX_UNSIGNED)


class DpkgSystem(PackageSystem):
    """Debian, Ubuntu, and images without dpkg that are made of their packages."""

    name = "dpkg"

    def __init__(self, clock: Clock) -> None:
        """Takes the clock that indexes are held against."""
        self._clock = clock

    def wants(self, path: str) -> bool:
        """The database, the sources, and who made the distribution."""
        return survey.wants(path)

    def survey(self, tree: Tree) -> Survey | None:
        """Reads the database and the sources."""
        return survey.survey(tree)

    async def available(
        self, survey: Survey, repositories: Sequence[RepositoryRef], depot: Depot
    ) -> tuple[Candidate, ...]:
        """Reads the indexes; those of makers whom nobody trusts here are left out while there is another.

        Images name such repositories beside the distribution's own. What they alone have is then in no repository;
        nothing of theirs is believed.
        """
        keys = depot.keys(self.name, survey.release)
        architectures = {each.architecture for each in survey.packages} - {"all"} or {survey.architecture}
        wanted = {each.name for each in survey.packages}
        found: dict[tuple[str, str, str, str], Candidate] = {}
        strange: FixFailure | None = None
        believed = 0
        for repository in repositories:
            try:
                release = await fetch_release(repository, keys, depot, self._clock.now())
            except FixFailure as failure:
                if failure.why not in _NOT_OURS:
                    raise
                strange = failure
                continue
            believed += 1
            for each in await fetch_index(repository, release, architectures, wanted, depot):
                found.setdefault((each.name, each.architecture, each.version, each.sha256), each)
        if not believed:
            raise strange or FixFailure(
                FixReason.REPOSITORY_UNKNOWN,
                "Neither the image nor the configuration names a repository of its packages.",
                hint="Name one in the file of DRYDOCK_FIXER_REPOSITORIES_FILE.",
            )
        return tuple(found[key] for key in sorted(found))

    def plan(self, survey: Survey, candidates: Sequence[Candidate], findings: Sequence[FindingRef]) -> SystemPlan:
        """Plans so that the packages of the image still fit each other."""
        return plan.make_plan(survey, candidates, findings)

    def reads(self, path: str, plan: SystemPlan) -> bool:
        """The lists of files, the records of what is replaced, and what dpkg heeds."""
        return image.reads(path, plan)

    def check(self, survey: Survey, plan: SystemPlan, files: Mapping[str, Path]) -> SystemPlan:
        """Takes out what scripts or triggers would have to finish."""
        return check(survey, plan, files)

    def build(self, tree: Tree, plan: SystemPlan, files: Mapping[str, Path], layer: Layer) -> Built:
        """Writes the packages' files and the database."""
        parts = any(each.installed.path.startswith(PARTS) for each in plan.upgrades)
        building = (PartsBuild if parts else DatabaseBuild)(tree, plan, files, layer)
        return Built(notes=building.run())
