"""One fix of an image of Alpine's, from its survey to its layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from services.fixer.plan.outcome import FindingRef
from services.fixer.plan.packages import Candidate, Survey, SystemPlan
from services.fixer.repositories.apk_identity import ALGORITHM
from services.fixer.systems.apk.survey import sha1_of
from services.fixer.systems.apk.system import ApkSystem
from tests.builders.apks import Apk
from tests.fakes.trees import FakeLayer, FakeTree

WHERE = "http://repository.invalid/v3.20/main/x86_64"


def candidate_of(package: Apk, tag: str = "") -> Candidate:
    """What a verified index says of a package."""
    header = package.header()
    return Candidate(
        name=package.name,
        version=package.version,
        architecture=package.architecture,
        source=package.origin or package.name,
        source_version=package.version,
        url=f"{WHERE}/{package.file_name}",
        size=int(header["S"]),
        sha256="",
        checksum=f"{ALGORITHM}:{sha1_of(header['C'])}",
        fields={**header, "tag": tag},
    )


@dataclasses.dataclass
class Fix:
    """How far a fix came."""

    survey: Survey
    plan: SystemPlan
    layer: FakeLayer
    notes: tuple[str, ...] = ()

    @property
    def after(self) -> FakeTree:
        """The fixed image."""
        return self.layer.applied()

    def upgraded(self) -> dict[str, str]:
        """Which packages went to which versions."""
        return {each.installed.name: each.candidate.version for each in self.plan.upgrades}

    def refused(self) -> dict[str, str]:
        """Why findings stay, by their ids."""
        return {each.finding.id: each.why.value for each in self.plan.refusals}


def survey_of(tree: FakeTree) -> Survey:
    """The survey of an image that has apk's database."""
    survey = ApkSystem().survey(tree)
    assert survey is not None
    return survey


def plan_of(tree: FakeTree, offered: Sequence[Apk], findings: Sequence[FindingRef]) -> Fix:
    """A plan, nothing fetched."""
    survey = survey_of(tree)
    plan = ApkSystem().plan(survey, [candidate_of(each) for each in offered], findings)
    return Fix(survey, plan, FakeLayer(tree))


def fetch(folder: Path, offered: Sequence[Apk]) -> dict[str, Path]:
    """The packages as files, by their addresses."""
    files = {}
    for package in offered:
        path = folder / package.file_name
        path.write_bytes(package.build())
        files[candidate_of(package).url] = path
    return files


def fix(folder: Path, tree: FakeTree, offered: Sequence[Apk], findings: Sequence[FindingRef]) -> Fix:
    """The whole way, as a fix goes it."""
    done = plan_of(tree, offered, findings)
    files = fetch(folder, offered)
    done.plan = ApkSystem().check(done.survey, done.plan, files)
    readable = ReadableTree(tree, done.plan)
    done.notes = ApkSystem().build(readable, done.plan, files, done.layer).notes
    return done


class ReadableTree(FakeTree):
    """A tree that gives content only of what building asked for."""

    def __init__(self, tree: FakeTree, plan: SystemPlan) -> None:
        super().__init__()
        self.nodes, self.contents, self._links = tree.nodes, dict(tree.contents), tree._links
        system = ApkSystem()
        self.contents = {path: content for path, content in tree.contents.items() if system.reads(path, plan)}
