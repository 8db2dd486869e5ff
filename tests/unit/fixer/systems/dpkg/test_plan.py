"""The plan: what moves, what goes along, and the sentence for everything that stays."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.fixer.plan.outcome import FindingRef, NotFixable
from services.fixer.plan.packages import Candidate, SystemPlan
from services.fixer.systems.dpkg.index import PRIORITY
from tests.builders.debs import MadeDeb
from tests.builders.dpkg_images import finding, install, status, survey_of, system, write


def deb(name: str, version: str = "1.0", **fields: str) -> MadeDeb:
    return MadeDeb(
        name=name, version=version, fields={key.replace("_", "-"): value for key, value in fields.items()}
    )


def plan(
    tmp_path: Path, installed: Sequence[MadeDeb], offered: Sequence[MadeDeb | Candidate], *findings: FindingRef
) -> SystemPlan:
    survey = survey_of(install(tmp_path / "root", *installed))
    candidates = [each.candidate() if isinstance(each, MadeDeb) else each for each in offered]
    return system().plan(survey, candidates, findings)


def moved(plan: SystemPlan) -> dict[str, str]:
    return {each.installed.name: each.candidate.version for each in plan.upgrades}


def stays(plan: SystemPlan) -> dict[str, NotFixable]:
    return {each.finding.package: each.why for each in plan.refusals}


def test_a_package_goes_to_the_version_that_has_it_fixed(tmp_path: Path) -> None:
    found = plan(tmp_path, [deb("curl")], [deb("curl", "1.0"), deb("curl", "1.1")], finding("curl"))
    assert moved(found) == {"curl": "1.1"}
    assert found.upgrades[0].because == (finding("curl"),)
    assert found.upgrades[0].candidate.url == deb("curl", "1.1").candidate().url
    assert not found.refusals


def test_the_fixed_version_is_the_sources(tmp_path: Path) -> None:
    old = deb("dmsetup", "2:1.02-1", Source="lvm2 (2.03-1)")
    new = deb("dmsetup", "2:1.02-2", Source="lvm2 (2.03-2)")
    assert moved(plan(tmp_path / "a", [old], [new], finding("dmsetup", "2:1.02-1", "2.03-2")))
    assert stays(plan(tmp_path / "b", [old], [new], finding("dmsetup", "2:1.02-1", "2.03-3"))) == {
        "dmsetup": NotFixable.NOT_IN_REPOSITORY
    }


def test_packages_of_one_source_move_together(tmp_path: Path) -> None:
    old = [deb("apt", Depends="libapt (= 1.0)", Source="apt-src"), deb("libapt", Source="apt-src"), deb("vim")]
    new = [deb("apt", "1.1", Depends="libapt (= 1.1)", Source="apt-src"), deb("libapt", "1.1", Source="apt-src")]
    found = plan(tmp_path, old, [*new, deb("vim", "1.1")], finding("libapt"))
    assert moved(found) == {"apt": "1.1", "libapt": "1.1"}
    assert [bool(each.because) for each in found.upgrades] == [False, True]


def test_what_the_new_version_needs_goes_along(tmp_path: Path) -> None:
    new = [deb("curl", "1.1", Depends="libz (>= 1.1) | libzlib"), deb("libz", "1.1")]
    assert moved(plan(tmp_path, [deb("curl"), deb("libz")], new, finding("curl"))) == {
        "curl": "1.1",
        "libz": "1.1",
    }


def test_what_needed_the_old_version_goes_along(tmp_path: Path) -> None:
    old = [deb("libz"), deb("tool", Depends="libz (= 1.0)")]
    new = [deb("libz", "1.1"), deb("tool", "1.1", Depends="libz (= 1.1)")]
    assert moved(plan(tmp_path, old, new, finding("libz"))) == {"libz": "1.1", "tool": "1.1"}


def test_what_needed_the_old_version_and_has_no_new_one_keeps_it_back(tmp_path: Path) -> None:
    old = [deb("libz"), deb("tool", Depends="libz (= 1.0)"), deb("curl")]
    found = plan(tmp_path, old, [deb("libz", "1.1"), deb("curl", "1.1")], finding("libz"), finding("curl"))
    assert moved(found) == {"curl": "1.1"}
    assert stays(found) == {"libz": NotFixable.NEEDS_REMOVAL}
    assert "tool 1.0" in found.refusals[0].message


def test_a_new_dependency_is_refused_and_takes_only_what_needs_it_along(tmp_path: Path) -> None:
    old = [deb("curl"), deb("libcurl"), deb("vim")]
    new = [
        deb("curl", "1.1", Depends="libcurl (>= 1.1)"),
        deb("libcurl", "1.1", Depends="libnew"),
        deb("vim", "1.1"),
    ]
    found = plan(tmp_path, old, new, *(finding(each.name) for each in old))
    assert moved(found) == {"vim": "1.1"}
    assert stays(found) == {
        "curl": NotFixable.NEEDS_NEW_DEPENDENCY,
        "libcurl": NotFixable.NEEDS_NEW_DEPENDENCY,
    }
    assert all("libnew" in each.message for each in found.refusals)


def test_nothing_goes_along_with_what_stays(tmp_path: Path) -> None:
    old = [deb("curl", Source="s"), deb("libcurl", Source="s"), deb("vim")]
    new = [deb("curl", "1.1", Source="s", Depends="libnew"), deb("libcurl", "1.1", Source="s"), deb("vim", "1.1")]
    found = plan(tmp_path, old, new, finding("curl"), finding("vim"))
    assert moved(found) == {"vim": "1.1"}


def test_a_conflict_with_what_is_installed_is_refused(tmp_path: Path) -> None:
    new = deb("curl", "1.1", Conflicts="wget", Breaks="vim (<< 0.9)")
    found = plan(tmp_path, [deb("curl"), deb("wget"), deb("vim")], [new], finding("curl"))
    assert stays(found) == {"curl": NotFixable.NEEDS_REMOVAL}
    assert "wget 1.0" in found.refusals[0].message


def test_what_would_break_goes_along_to_a_version_that_does_not(tmp_path: Path) -> None:
    new = [deb("curl", "1.1", Breaks="wget (<< 1.1)"), deb("wget", "1.1")]
    assert moved(plan(tmp_path, [deb("curl"), deb("wget")], new, finding("curl"))) == {
        "curl": "1.1",
        "wget": "1.1",
    }


def test_what_the_image_has_lived_without_is_no_hindrance(tmp_path: Path) -> None:
    old = [deb("curl", Depends="ghost"), deb("broken", Depends="spirit", Breaks="curl (<< 5)")]
    assert moved(plan(tmp_path, old, [deb("curl", "1.1", Depends="ghost")], finding("curl"))) == {"curl": "1.1"}


def test_a_provided_name_counts_in_the_version_that_is_said(tmp_path: Path) -> None:
    old = [deb("curl"), deb("mta", Provides="mail-agent, smtp (= 3)")]
    good = deb("curl", "1.1", Depends="mail-agent, smtp (>= 2)")
    bad = deb("curl", "1.1", Depends="mail-agent (>= 1)")
    assert moved(plan(tmp_path / "a", old, [good], finding("curl"))) == {"curl": "1.1"}
    assert stays(plan(tmp_path / "b", old, [bad], finding("curl"))) == {"curl": NotFixable.NEEDS_NEW_DEPENDENCY}


def test_a_library_of_another_architecture_is_none(tmp_path: Path) -> None:
    new = deb("curl", "1.1", Depends="libz")
    strange = MadeDeb(name="libz", architecture="i386", fields={"Multi-Arch": "same"})
    foreign = MadeDeb(name="libz", architecture="i386", fields={"Multi-Arch": "foreign"})
    many = [deb(f"p{number}") for number in range(3)]
    assert stays(plan(tmp_path / "a", [deb("curl"), strange, *many], [new], finding("curl")))
    assert moved(plan(tmp_path / "b", [deb("curl"), foreign, *many], [new], finding("curl")))


def test_a_package_has_one_version_for_all_architectures(tmp_path: Path) -> None:
    same = {"Multi-Arch": "same"}
    old = [MadeDeb(name="libz", architecture=each, fields=same) for each in ("amd64", "i386")]
    new = [MadeDeb(name="libz", version="1.1", architecture=each, fields=same) for each in ("amd64", "i386")]
    both = plan(tmp_path / "a", old, new, finding("libz"))
    assert [each.candidate.architecture for each in both.upgrades] == ["amd64", "i386"]
    assert stays(plan(tmp_path / "b", old, new[:1], finding("libz"))) == {"libz": NotFixable.NEEDS_REMOVAL}


def test_backports_are_not_taken_by_themselves(tmp_path: Path) -> None:
    backport = deb("curl", "2.0~bpo").candidate(fields={PRIORITY: "100"})
    release = deb("curl", "1.0")
    assert stays(plan(tmp_path / "a", [release], [release, backport], finding("curl"))) == {
        "curl": NotFixable.NOT_IN_REPOSITORY
    }
    installed = deb("curl", "1.9~bpo")
    found = plan(tmp_path / "b", [installed], [release, backport], finding("curl", "1.9~bpo", "1.9.5"))
    assert moved(found) == {"curl": "2.0~bpo"}


def test_every_finding_that_stays_has_its_reason(tmp_path: Path) -> None:
    root = tmp_path / "root"
    tree = install(root, deb("curl"), deb("held"), deb("half"))
    text = status(root)
    for name, state in (("held", "hold ok installed"), ("half", "install ok half-configured")):
        head, tail = text.split(f"Package: {name}\n")
        text = f"{head}Package: {name}\n{tail.replace('install ok installed', state, 1)}"
    write(root, {"var/lib/dpkg/status": text})
    offered = [deb(name, "1.1").candidate() for name in ("held", "half")]
    findings = [
        finding("curl", fixed=""),
        finding("curl", fixed="3", id="CVE-2026-2"),
        finding("held"),
        finding("half"),
        finding("jinja2", path="/usr/lib/python3/dist-packages/jinja2/METADATA"),
        finding("gone"),
        finding("curl", "0.9", id="CVE-2026-3"),
    ]
    found = system().plan(survey_of(tree), offered, findings)
    assert [(each.finding.package, each.finding.id, each.why) for each in found.refusals] == [
        ("curl", "CVE-2026-1", NotFixable.NO_FIXED_VERSION),
        ("gone", "CVE-2026-1", NotFixable.NOT_INSTALLED),
        ("half", "CVE-2026-1", NotFixable.NEEDS_REBUILD),
        ("held", "CVE-2026-1", NotFixable.HELD),
        ("jinja2", "CVE-2026-1", NotFixable.NOT_A_SYSTEM_PACKAGE),
        ("curl", "CVE-2026-2", NotFixable.NOT_IN_REPOSITORY),
        ("curl", "CVE-2026-3", NotFixable.NOT_INSTALLED),
    ]
    assert all(each.message.endswith(".") and each.finding.package in each.message for each in found.refusals)


NAMES = ("a", "b", "c", "d")
RELATION = st.sampled_from(
    [
        f"{name} ({operator} 1.{number})"
        for name, operator, number in itertools.product(NAMES, ("=", ">=", "<<"), "01")
    ]
)
FIELDS = st.dictionaries(st.sampled_from(["Depends", "Breaks", "Conflicts"]), RELATION, max_size=2)


@given(st.tuples(*[FIELDS] * 8), st.sets(st.sampled_from(NAMES), min_size=1))
@settings(max_examples=60, deadline=None)
def test_whatever_they_say_the_plan_ends_and_tells_of_every_finding(
    tmp_path_factory: pytest.TempPathFactory, fields: tuple[dict[str, str], ...], wanted: set[str]
) -> None:
    old = [MadeDeb(name=name, fields=each) for name, each in zip(NAMES, fields[:4], strict=True)]
    new = [MadeDeb(name=name, version="1.1", fields=each) for name, each in zip(NAMES, fields[4:], strict=True)]
    found = plan(tmp_path_factory.mktemp("plan"), old, new, *(finding(name) for name in sorted(wanted)))
    told = [each.package for upgrade in found.upgrades for each in upgrade.because] + list(stays(found))
    assert sorted(told) == sorted(wanted)
