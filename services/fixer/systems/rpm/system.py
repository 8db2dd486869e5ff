"""rpm as the fixer's package system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from services.fixer.failure import FixFailure, FixReason
from services.fixer.image.node import Layer, Tree
from services.fixer.plan.outcome import FindingRef
from services.fixer.plan.packages import Candidate, RepositoryRef, Survey, SystemPlan
from services.fixer.repositories.depot import Depot
from services.fixer.systems.interface import Built, PackageSystem
from services.fixer.systems.rpm import build, check, excluded, facts, index, owners, plan, survey
from services.fixer.systems.rpm.relations import split


class RpmSystem(PackageSystem):
    """Images with a database of rpm 4.16 or later: RHEL 9, Fedora and their kin."""

    name = "rpm"

    def __init__(self) -> None:
        self._last: tuple[SystemPlan, frozenset[str]] | None = None

    def wants(self, path: str) -> bool:
        """The database, os-release, the repositories, what dnf is told to leave, users and groups."""
        return survey.wants(path)

    def survey(self, tree: Tree) -> Survey | None:
        """Reads them."""
        return survey.survey(tree)

    async def available(
        self, survey: Survey, repositories: Sequence[RepositoryRef], depot: Depot
    ) -> tuple[Candidate, ...]:
        """Reads every repository's list of packages; keeps those that have the name of an installed one."""
        if not repositories:
            raise FixFailure(
                FixReason.REPOSITORY_UNKNOWN,
                "The image names no repository by its address.",
                hint="Lists of mirrors (mirrorlist, metalink) are not asked: configure the address of one mirror.",
            )
        found: list[Candidate] = []
        for repository in repositories:
            found += await index.available(survey, repository, depot)
        return tuple(found)

    def plan(self, survey: Survey, candidates: Sequence[Candidate], findings: Sequence[FindingRef]) -> SystemPlan:
        """Decides by the index's word; `check` then has the packages' own."""
        known = facts.from_bytes(survey.database)
        offered = plan.offers(survey, known, candidates)
        return plan.decide(survey, known, offered, findings, plan.blocked_in(survey, known))

    def check(self, survey: Survey, plan: SystemPlan, files: Mapping[str, Path]) -> SystemPlan:
        """Checks signatures where the index has none, and looks at dependencies and scripts once more."""
        return check.check(survey, facts.from_bytes(survey.database), plan, files)

    def reads(self, path: str, plan: SystemPlan) -> bool:
        """The database, users and groups, dnf's settings, and whatever has the name of a configuration file."""
        if self._last is None or self._last[0] is not plan:
            self._last = plan, _names(plan)
        return survey.wants(path) or path in excluded.SETTINGS or path in owners.FILES or (
            path.rpartition("/")[2] in self._last[1]
        )  # fmt: skip

    def build(self, tree: Tree, plan: SystemPlan, files: Mapping[str, Path], layer: Layer) -> Built:
        """Writes the layer."""
        return Built(notes=build.build(tree, plan, files, layer))


def _names(system_plan: SystemPlan) -> frozenset[str]:
    return frozenset(
        name for upgrade in system_plan.upgrades for name in split(upgrade.candidate.fields.get(plan.CONFIGS, ""))
    )
