"""Planning one platform: what is in it, what its repositories have, and what comes of holding both together."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from services.fixer.failure import FixFailure, FixReason
from services.fixer.findings import Wanted, wanted_of
from services.fixer.order import PlatformPlan
from services.fixer.outcomes import left, planned
from services.fixer.plan.packages import Survey, SystemPlan
from services.fixer.repositories.configured import ConfiguredRepositories
from services.fixer.repositories.depot import Depot
from services.fixer.steps.labour import survey_image
from services.fixer.steps.original import PlatformImage
from services.fixer.steps.workers import Labour
from services.fixer.systems.installed import SYSTEMS
from services.fixer.systems.interface import system_named
from services.kernel.model.report import Report
from services.kernel.reasons import Retry, ScanFailure
from services.layers.file import LayerFile


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A platform that can be fixed, at least in part."""

    image: PlatformImage
    layers: tuple[LayerFile, ...]
    survey: Survey
    plan: SystemPlan
    before: Report

    @property
    def platform_plan(self) -> PlatformPlan:
        """The plan as people see it."""
        return PlatformPlan(
            platform=self.image.platform,
            digest=self.image.raw.digest,
            system=self.survey.system,
            upgrades=self.plan.upgrades,
            outcomes=planned(self.plan.upgrades, self.plan.refusals),
        )


class Planner:
    """Plans platforms."""

    def __init__(self, labour: Labour, repositories: ConfiguredRepositories) -> None:
        self._labour = labour
        self._repositories = repositories

    async def prepare(
        self,
        image: PlatformImage,
        layers: Sequence[LayerFile],
        report: Report,
        named: frozenset[str],
        depot: Depot,
    ) -> Prepared:
        """Plans one platform; asks its repositories only where there is something to be fixed.

        Raises:
            FixFailure: what is wrong with the image or with a repository.
            ScanFailure: one of LAYER_….
        """
        wanted = wanted_of(report, named)
        survey = await self._labour.do(survey_image, layers)
        plan = await self._plan(survey, wanted, depot)
        return Prepared(image=image, layers=tuple(layers), survey=survey, plan=plan, before=report)

    async def _plan(self, survey: Survey, wanted: Wanted, depot: Depot) -> SystemPlan:
        if not wanted.findings:
            return SystemPlan(upgrades=(), refusals=wanted.refusals)
        system = system_named(SYSTEMS, survey.system)
        repositories = self._repositories.of(survey)
        if not repositories:
            raise FixFailure(
                FixReason.REPOSITORY_UNKNOWN,
                f"Neither the image nor the fixer's configuration names a repository for {survey.release.id} "
                f"{survey.release.version}.",
                hint="Name one in the file of DRYDOCK_FIXER_REPOSITORIES_FILE.",
            )
        candidates = await system.available(survey, repositories, depot)
        plan = system.plan(survey, candidates, wanted.findings)
        return dataclasses.replace(plan, refusals=(*plan.refusals, *wanted.refusals))


def left_as_it_is(
    image: PlatformImage, report: Report | None, named: frozenset[str], failure: FixFailure | ScanFailure
) -> PlatformPlan:
    """Returns what is told of a platform that cannot be fixed, where others of its index can."""
    wanted = Wanted(findings=(), refusals=()) if report is None else wanted_of(report, named)
    return PlatformPlan(
        platform=image.platform,
        digest=image.raw.digest,
        system="",
        upgrades=(),
        outcomes=(*left(wanted.findings, failure.message), *planned((), wanted.refusals)),
        left=failure.reason,
        message=failure.message,
    )


def is_of_the_image(failure: FixFailure | ScanFailure) -> bool:
    """Tells whether a failure is of one platform's image alone: others of its index are fixed all the same."""
    return failure.why.retry is Retry.NEVER
