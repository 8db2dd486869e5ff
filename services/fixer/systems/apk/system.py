"""apk as the fixer sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from services.fixer.image.node import Layer, Tree
from services.fixer.plan.outcome import FindingRef
from services.fixer.plan.packages import Candidate, RepositoryRef, Survey, SystemPlan
from services.fixer.repositories.depot import Depot
from services.fixer.systems.apk.build import build_layer, reads
from services.fixer.systems.apk.check import checked
from services.fixer.systems.apk.index import offered
from services.fixer.systems.apk.plan import make_plan
from services.fixer.systems.apk.survey import SYSTEM, take_survey, wants
from services.fixer.systems.interface import Built, PackageSystem


class ApkSystem(PackageSystem):
    """Alpine, Wolfi and Chainguard, and whatever else is made of apk packages of format 2."""

    name = SYSTEM

    def wants(self, path: str) -> bool:
        """The database, world, repositories, architecture and os-release."""
        return wants(path)

    def survey(self, tree: Tree) -> Survey | None:
        """Reads the database at its old or its new place."""
        return take_survey(tree)

    async def available(
        self, survey: Survey, repositories: Sequence[RepositoryRef], depot: Depot
    ) -> tuple[Candidate, ...]:
        """Reads `APKINDEX.tar.gz` of each repository once its signature is verified."""
        return await offered(survey, repositories, depot)

    def plan(self, survey: Survey, candidates: Sequence[Candidate], findings: Sequence[FindingRef]) -> SystemPlan:
        """Neither adds nor takes away a package."""
        return make_plan(survey, candidates, findings)

    def check(self, survey: Survey, plan: SystemPlan, files: Mapping[str, Path]) -> SystemPlan:
        """Leaves out what has scripts that matter, or files of another package."""
        return checked(survey, plan, files)

    def reads(self, path: str, plan: SystemPlan) -> bool:
        """The database, and what lies in folders that are protected."""
        return self.wants(path) or reads(path, plan)

    def build(self, tree: Tree, plan: SystemPlan, files: Mapping[str, Path], layer: Layer) -> Built:
        """Writes what apk would have changed."""
        return Built(notes=build_layer(tree, plan, files, layer))
