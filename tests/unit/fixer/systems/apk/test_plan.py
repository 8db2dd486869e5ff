"""Planning: what goes to which version, and why the rest stays."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from services.fixer.systems.apk.dependencies import Dependency, parse
from services.fixer.systems.apk.system import ApkSystem
from tests.builders.apk_fixes import candidate_of, plan_of, survey_of
from tests.builders.apks import Apk, finding, install

SSL = Apk(
    name="libssl3", version="3.3.0-r0", origin="openssl", provides="so:libssl.so.3=3", depends="so:libcrypto.so.3"
)
CRYPTO = Apk(name="libcrypto3", version="3.3.0-r0", origin="openssl", provides="so:libcrypto.so.3=3")
CURL = Apk(name="curl", version="8.8.0-r0", depends="so:libssl.so.3 ca-certificates-bundle")
CERTS = Apk(name="ca-certificates-bundle", version="20240226-r0")


def newer(package: Apk, version: str, **changes: Any) -> Apk:
    return dataclasses.replace(package, version=version, **changes)


def test_what_was_built_together_moves_together() -> None:
    new = [newer(SSL, "3.3.1-r0"), newer(CRYPTO, "3.3.1-r0")]
    fix = plan_of(install(SSL, CRYPTO, CURL, CERTS), new, [finding(SSL, "3.3.1-r0")])
    assert fix.upgraded() == {"libcrypto3": "3.3.1-r0", "libssl3": "3.3.1-r0"}
    assert [len(each.because) for each in fix.plan.upgrades] == [0, 1]


def test_the_newest_version_is_taken() -> None:
    offered = [newer(CERTS, version) for version in ("20240705-r0", "20250101-r1", "20250101-r0", "20230101-r0")]
    fix = plan_of(install(CERTS), offered, [finding(CERTS, "20240705-r0")])
    assert fix.upgraded() == {"ca-certificates-bundle": "20250101-r1"}


def test_findings_of_one_package_are_judged_each_by_its_version() -> None:
    findings = [
        finding(CERTS, "20240705-r0", "CVE-1"),
        finding(CERTS, "20990101-r0", "CVE-2"),
        finding(CERTS, "", "CVE-3"),
        dataclasses.replace(finding(CERTS, "2-r0", "CVE-4"), version="1-r0"),
        dataclasses.replace(finding(CERTS, "2-r0", "CVE-5"), package="gone"),
    ]
    fix = plan_of(install(CERTS), [newer(CERTS, "20250101-r0")], findings)
    assert fix.upgraded() == {"ca-certificates-bundle": "20250101-r0"}
    assert fix.refused() == {
        "CVE-2": "NOT_IN_REPOSITORY",
        "CVE-3": "NO_FIXED_VERSION",
        "CVE-4": "NOT_INSTALLED",
        "CVE-5": "NOT_INSTALLED",
    }


def test_a_package_that_only_one_finding_is_of_stays_where_that_cannot_be_fixed() -> None:
    fix = plan_of(install(CERTS), [newer(CERTS, "20250101-r0")], [finding(CERTS, "20990101-r0")])
    assert fix.upgraded() == {}


def test_dependents_that_want_the_new_name_go_along() -> None:
    new_ssl = newer(SSL, "3.4.0-r0", provides="so:libssl.so.4=4")
    new_curl = newer(CURL, "8.9.0-r0", depends="so:libssl.so.4")
    fix = plan_of(
        install(SSL, CRYPTO, CURL, CERTS),
        [new_ssl, newer(CRYPTO, "3.4.0-r0"), new_curl],
        [finding(SSL, "3.4.0-r0")],
    )
    assert fix.upgraded() == {"curl": "8.9.0-r0", "libcrypto3": "3.4.0-r0", "libssl3": "3.4.0-r0"}


def test_a_new_name_that_a_dependent_cannot_follow_is_refused() -> None:
    new_ssl = newer(SSL, "3.4.0-r0", provides="so:libssl.so.4=4")
    fix = plan_of(install(SSL, CRYPTO, CURL, CERTS), [new_ssl], [finding(SSL, "3.4.0-r0")])
    assert fix.refused() == {"CVE-2026-0001": "NEEDS_NEW_DEPENDENCY"}
    assert fix.plan.refusals[0].message == "curl 8.8.0-r0 wants so:libssl.so.3, which the image does not have."
    assert fix.upgraded() == {}


def test_packages_that_a_new_version_wants_newer_go_along() -> None:
    new = newer(CURL, "8.9.0-r0", depends="so:libssl.so.3 ca-certificates-bundle>=20250101")
    fix = plan_of(
        install(SSL, CRYPTO, CURL, CERTS),
        [new, newer(CERTS, "20250101-r0"), newer(CERTS, "20240705-r0")],
        [finding(CURL, "8.9.0-r0")],
    )
    assert fix.upgraded() == {"ca-certificates-bundle": "20250101-r0", "curl": "8.9.0-r0"}


@pytest.mark.parametrize(
    ("depends", "why"),
    [
        ("so:libpsl.so.5", "NEEDS_NEW_DEPENDENCY"),
        ("cmd:sh", "NEEDS_NEW_DEPENDENCY"),
        ("pc:zlib>=1.3", "NEEDS_NEW_DEPENDENCY"),
        ("libssl3>9", "NEEDS_NEW_DEPENDENCY"),
        ("!libssl3", "NEEDS_REMOVAL"),
        ("!libssl3<3.4", "NEEDS_REMOVAL"),
        ("!so:libssl.so.3", "NEEDS_REMOVAL"),
        ("!libssl3>3.4", ""),
        ("so:libssl.so.3", ""),
        ("so:libssl.so.3=3", ""),
        ("libssl3~3.3", ""),
        ("", ""),
    ],
)
def test_what_a_new_version_wants_is_weighed(depends: str, why: str) -> None:
    new = newer(CURL, "8.9.0-r0", depends=depends)
    fix = plan_of(install(SSL, CRYPTO, CURL, CERTS), [new], [finding(CURL, "8.9.0-r0")])
    assert list(fix.refused().values()) == ([why] if why else [])
    assert fix.upgraded() == ({} if why else {"curl": "8.9.0-r0"})


def test_a_package_that_another_one_cannot_bear_in_its_new_version_is_refused() -> None:
    picky = Apk(name="picky", version="1-r0", depends="!curl>8.8.5")
    fix = plan_of(install(SSL, CRYPTO, CURL, CERTS, picky), [newer(CURL, "8.9.0-r0")], [finding(CURL, "8.9.0-r0")])
    assert fix.refused() == {"CVE-2026-0001": "NEEDS_REMOVAL"}
    assert fix.plan.refusals[0].message == "picky 1-r0 cannot be together with curl 8.9.0-r0 (!curl>8.8.5)."


def test_a_name_with_a_version_has_one_provider() -> None:
    new = newer(CURL, "8.9.0-r0", depends="", provides="so:libssl.so.3=3")
    fix = plan_of(install(SSL, CRYPTO, CURL, CERTS), [new], [finding(CURL, "8.9.0-r0")])
    assert fix.refused() == {"CVE-2026-0001": "NEEDS_REMOVAL"}


@pytest.mark.parametrize("world", ["curl=8.8.0-r0", "curl<8.9", "curl~8.8"])
def test_what_world_pins_stays(world: str) -> None:
    fix = plan_of(
        install(SSL, CRYPTO, CURL, CERTS, world=world), [newer(CURL, "8.9.0-r0")], [finding(CURL, "8.9.0-r0")]
    )
    assert fix.refused() == {"CVE-2026-0001": "HELD"}
    assert world in fix.plan.refusals[0].message


def test_within_a_pin_the_newest_is_taken() -> None:
    offered = [newer(CURL, "8.8.1-r0"), newer(CURL, "8.9.0-r0")]
    tree = install(SSL, CRYPTO, CURL, CERTS, world="curl~8.8")
    fix = plan_of(tree, offered, [finding(CURL, "8.8.1-r0", "CVE-1"), finding(CURL, "8.9.0-r0", "CVE-2")])
    assert fix.upgraded() == {"curl": "8.8.1-r0"}
    assert fix.refused() == {"CVE-2": "HELD"}


def test_a_pin_of_what_has_to_go_along_holds_too() -> None:
    new = newer(CURL, "8.9.0-r0", depends="ca-certificates-bundle>=20250101")
    tree = install(SSL, CRYPTO, CURL, CERTS, world="curl ca-certificates-bundle<2025")
    fix = plan_of(tree, [new, newer(CERTS, "20250101-r0")], [finding(CURL, "8.9.0-r0")])
    assert fix.upgraded() == {}
    assert list(fix.refused()) == ["CVE-2026-0001"]


def test_a_tagged_repository_serves_only_what_asks_for_its_tag() -> None:
    tagged = candidate_of(newer(CERTS, "20250101-r0"), tag="edge")
    for world, upgraded in (("ca-certificates-bundle@edge", 1), ("ca-certificates-bundle", 0)):
        survey = survey_of(install(CERTS, world=world))
        assert len(ApkSystem().plan(survey, [tagged], [finding(CERTS, "20250101-r0")]).upgrades) == upgraded


def test_what_came_by_install_if_is_not_left_without_its_reason() -> None:
    shell = Apk(name="busybox", version="1-r0")
    client = Apk(name="ssl_client", version="1-r0", install_if="busybox=1-r0")
    found = finding(shell, "2-r0")
    fix = plan_of(install(shell, client, world="busybox"), [newer(shell, "2-r0")], [found])
    assert fix.refused() == {found.id: "NEEDS_REMOVAL"}
    new_client = newer(client, "2-r0", install_if="busybox=2-r0")
    fix = plan_of(install(shell, client, world="busybox"), [newer(shell, "2-r0"), new_client], [found])
    assert fix.upgraded() == {"busybox": "2-r0", "ssl_client": "2-r0"}
    fix = plan_of(install(shell, client), [newer(shell, "2-r0")], [found])
    assert fix.upgraded() == {"busybox": "2-r0"}


def test_what_was_amiss_before_stands_in_nobodys_way() -> None:
    broken = newer(CURL, "8.8.0-r0", depends="so:libgone.so.1 !libssl3")
    new = newer(CURL, "8.9.0-r0", depends="so:libgone.so.1 !libssl3")
    fix = plan_of(install(SSL, CRYPTO, broken, CERTS), [new], [finding(CURL, "8.9.0-r0")])
    assert fix.upgraded() == {"curl": "8.9.0-r0"}


def test_other_architectures_are_not_offered() -> None:
    fix = plan_of(
        install(CERTS), [newer(CERTS, "20250101-r0", architecture="aarch64")], [finding(CERTS, "20250101-r0")]
    )
    assert fix.refused() == {"CVE-2026-0001": "NOT_IN_REPOSITORY"}


def test_one_package_that_cannot_go_does_not_keep_others() -> None:
    new = [newer(CURL, "8.9.0-r0", depends="so:new.so.1"), newer(CERTS, "20250101-r0")]
    findings = [finding(CURL, "8.9.0-r0", "CVE-1"), finding(CERTS, "20250101-r0", "CVE-2")]
    fix = plan_of(install(SSL, CRYPTO, CURL, CERTS), new, findings)
    assert fix.upgraded() == {"ca-certificates-bundle": "20250101-r0"}
    assert fix.refused() == {"CVE-1": "NEEDS_NEW_DEPENDENCY"}


@pytest.mark.parametrize(
    ("text", "version", "met"),
    [
        ("a", None, True),
        ("a>=1.2", None, False),
        ("a=1.2-r0", "1.2-r0", True),
        ("a=1.2", "1.2-r0", False),
        ("a~1.2", "1.2-r4", True),
        ("a~=1.2", "1.2.7", True),
        ("a~1.2", "1.20", False),
        ("a<1.2", "1.2_rc1", True),
        ("a>=1.2-r1", "1.2-r0", False),
        ("a<=1.2-r0", "1.2-r0", True),
        ("a><Q1abc=", "1", False),
        ("a=", "1", False),
    ],
)
def test_versions_are_compared_as_apk_does(text: str, version: str | None, met: bool) -> None:
    (wanted,) = parse(text)
    assert wanted.admits(version) is met


def test_one_build_alone_can_be_asked_for() -> None:
    assert parse("a><Q1abc=")[0].admits("1", "Q1abc=")
    assert parse("!a@edge<2") == (Dependency("a", "<", "2", conflict=True, tag="edge"),)
    assert str(parse("!a@edge<2")[0]) == "!a@edge<2"
