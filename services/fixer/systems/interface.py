"""What every package system offers to the fixer, one class each.

`survey` and `build` read what hostile images hold: they run in a worker process, under limits, and get and return
values that travel by pickle. `plan` is pure. Only `available` asks somebody, always through the depot.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from services.fixer.image.node import Layer, Tree
from services.fixer.plan.outcome import FindingRef
from services.fixer.plan.packages import Candidate, RepositoryRef, Survey, SystemPlan
from services.fixer.repositories.depot import Depot


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What building left to be told."""

    notes: tuple[str, ...] = ()
    """Sentences for a person, such as of a configuration file that was kept and of its new version beside it."""


class PackageSystem(ABC):
    """One package manager's way: its database, its repositories, its packages."""

    name: str
    """`dpkg`, `apk` or `rpm`."""

    @abstractmethod
    def wants(self, path: str) -> bool:
        """Tells whether the content of the file at a real path is needed by `survey`."""

    @abstractmethod
    def survey(self, tree: Tree) -> Survey | None:
        """Reads the image's package database and sources; None where the image has no such database.

        Raises:
            FixFailure: DATABASE_CORRUPT, DISTRIBUTION_UNSUPPORTED, END_OF_LIFE.
        """

    @abstractmethod
    async def available(
        self, survey: Survey, repositories: Sequence[RepositoryRef], depot: Depot
    ) -> tuple[Candidate, ...]:
        """Reads the signed indexes of the repositories, verified with our own keyrings.

        Returns what they offer for the image's architecture of the packages that it has, of those that were built
        from the same sources, and what else planning needs; every version that is offered.

        Raises:
            FixFailure: one of those about repositories and indexes.
        """

    @abstractmethod
    def plan(self, survey: Survey, candidates: Sequence[Candidate], findings: Sequence[FindingRef]) -> SystemPlan:
        """Decides which packages go to which versions, and why the other findings stay. Pure; nothing is asked."""

    @abstractmethod
    def check(self, survey: Survey, plan: SystemPlan, files: Mapping[str, Path]) -> SystemPlan:
        """Looks into the packages themselves, in a worker process: what their scripts do, and who signed them.

        Returns the plan without those that files alone cannot mend, and without what depends on them.

        Args:
            survey: from `survey`.
            plan: from `plan`.
            files: package files by the candidate's URL; their bytes are those that the index named.

        Raises:
            FixFailure: PACKAGE_INVALID, PACKAGE_TAMPERED.
        """

    @abstractmethod
    def reads(self, path: str, plan: SystemPlan) -> bool:
        """Tells whether `build` needs the content of the image's file at a real path."""

    @abstractmethod
    def build(self, tree: Tree, plan: SystemPlan, files: Mapping[str, Path], layer: Layer) -> Built:
        """Writes what the native tool would have changed: files, links, removals, and the package database.

        Args:
            tree: with the content that `reads` wanted.
            plan: from `plan`.
            files: verified package files by the candidate's URL.
            layer: takes the changes; what is not written stays as the image has it.

        Raises:
            FixFailure: PACKAGE_INVALID, DATABASE_CORRUPT, DISK_FULL.
        """


def system_named(systems: Collection[PackageSystem], name: str) -> PackageSystem:
    """Returns the package system of a survey."""
    return next(system for system in systems if system.name == name)
