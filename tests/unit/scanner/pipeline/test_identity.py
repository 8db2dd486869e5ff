"""Ecosystems in OSV's words, and package URLs."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from packageurl import PackageURL

from services.scanner.catalogers.interface import Distribution, FoundPackage, PackageFormat
from services.scanner.pipeline.identity import ecosystem_of, purl_of
from services.scanner.reading.complaints import is_scoped, is_word

WORDS = st.text(st.characters(exclude_categories=("Z", "C")), min_size=1).filter(is_word)
NAMES = WORDS | st.tuples(WORDS, WORDS).map("/".join)


@pytest.mark.parametrize(
    ("kind", "identifier", "version", "expected"),
    [
        (PackageFormat.DEB, "debian", "12", "Debian:12"),
        (PackageFormat.DEB, "debian", "12.4", "Debian:12"),
        (PackageFormat.DEB, "debian", "", ""),
        (PackageFormat.DEB, "ubuntu", "22.04", "Ubuntu:22.04:LTS"),
        (PackageFormat.DEB, "ubuntu", "23.10", "Ubuntu:23.10"),
        (PackageFormat.DEB, "ubuntu", "23.04", "Ubuntu:23.04"),
        (PackageFormat.DEB, "kali", "2024.1", ""),
        (PackageFormat.DEB, "alpine", "3.18.4", ""),
        (PackageFormat.APK, "alpine", "3.18.4", "Alpine:v3.18"),
        (PackageFormat.APK, "alpine", "3.18", "Alpine:v3.18"),
        (PackageFormat.APK, "alpine", "3.21.0_alpha20240923", ""),
        (PackageFormat.APK, "wolfi", "20230201", "Wolfi"),
        (PackageFormat.APK, "chainguard", "20230214", "Chainguard"),
        (PackageFormat.APK, "postmarketos", "23.12", ""),
        (PackageFormat.PYPI, "kali", "2024.1", "PyPI"),
        (PackageFormat.RPM, "almalinux", "9.4", "AlmaLinux:9"),
        (PackageFormat.RPM, "rocky", "8.9", "Rocky Linux:8"),
        (PackageFormat.RPM, "rhel", "9.4", "Red Hat:enterprise_linux:9"),
        (PackageFormat.RPM, "centos", "7", "Red Hat:enterprise_linux:7"),
        (PackageFormat.RPM, "photon", "5.0", "Photon OS:5.0"),
        (PackageFormat.RPM, "azurelinux", "3.0", "Azure Linux:3"),
        (PackageFormat.RPM, "mariner", "2.0", "Azure Linux:2"),
        (PackageFormat.RPM, "mageia", "9", "Mageia:9"),
        (PackageFormat.RPM, "rhel", "", ""),
        (PackageFormat.RPM, "rhel", "rawhide", ""),
        *((PackageFormat.RPM, name, "9", "") for name in ("amzn", "ol", "fedora", "debian", "kali")),
    ],
)
def test_ecosystem_is_osv_s_word(kind: PackageFormat, identifier: str, version: str, expected: str) -> None:
    assert ecosystem_of(kind, Distribution(id=identifier, version_id=version)) == expected


@pytest.mark.parametrize(
    ("identifier", "version", "pretty_name", "expected"),
    [
        ("sles", "15.5", "SUSE Linux Enterprise Server 15 SP5", "SUSE:Linux Enterprise Server 15 SP5"),
        ("opensuse-leap", "15.6", "openSUSE Leap 15.6", "openSUSE:Leap 15.6"),
        ("opensuse-tumbleweed", "20240214", "openSUSE Tumbleweed", "openSUSE:Tumbleweed"),
        ("sles", "15.5", "", ""),
        ("openeuler", "22.03", "openEuler 22.03 (LTS-SP3)", "openEuler:22.03-LTS-SP3"),
        ("openeuler", "23.09", "openEuler 23.09", ""),
        ("centos", "9", "CentOS Stream 9", ""),
    ],
)
def test_ecosystem_of_what_is_named_by_its_marketing_name(
    identifier: str, version: str, pretty_name: str, expected: str
) -> None:
    distribution = Distribution(id=identifier, version_id=version, pretty_name=pretty_name)

    assert ecosystem_of(PackageFormat.RPM, distribution) == expected


@pytest.mark.parametrize(
    ("kind", "identifier", "version", "channel", "expected"),
    [
        (PackageFormat.DEB, "ubuntu", "22.04", "esm-infra", "Ubuntu:Pro:22.04:LTS"),
        (PackageFormat.DEB, "ubuntu", "23.10", "esm-infra", "Ubuntu:23.10"),
        (PackageFormat.DEB, "ubuntu", "22.04", "fips", "Ubuntu:22.04:LTS"),
        (PackageFormat.RPM, "rhel", "9.2", "rhel-9-for-x86_64-baseos-eus-rpms", "Red Hat:rhel_eus:9.2"),
        (PackageFormat.RPM, "rhel", "8.6", "rhel-8-for-x86_64-appstream-tus-rpms", "Red Hat:rhel_tus:8.6"),
        (PackageFormat.RPM, "rhel", "9.2", "rhel-9-for-x86_64-baseos-rpms", "Red Hat:enterprise_linux:9"),
        (PackageFormat.RPM, "rhel", "9.2", "rhel-8-for-x86_64-baseos-eus-rpms", "Red Hat:enterprise_linux:9"),
    ],
)
def test_ecosystem_follows_the_channels_that_packages_come_from(
    kind: PackageFormat, identifier: str, version: str, channel: str, expected: str
) -> None:
    distribution = Distribution(id=identifier, version_id=version, channels=("other", channel))

    assert ecosystem_of(kind, distribution) == expected


@pytest.mark.parametrize(
    ("kind", "expected"), [(PackageFormat.DEB, ""), (PackageFormat.APK, ""), (PackageFormat.PYPI, "PyPI")]
)
def test_ecosystem_without_a_distribution(kind: PackageFormat, expected: str) -> None:
    assert ecosystem_of(kind, None) == expected


@pytest.mark.parametrize(
    ("package", "distribution", "expected"),
    [
        (
            FoundPackage(format=PackageFormat.APK, name="musl", version="1.2.4-r2", arch="x86_64"),
            Distribution(id="alpine", version_id="3.18.4"),
            "pkg:apk/alpine/musl@1.2.4-r2?arch=x86_64&distro=alpine-3.18.4",
        ),
        (
            FoundPackage(format=PackageFormat.DEB, name="libstdc++6", version="12.2.0-14"),
            Distribution(id="debian", codename="sid"),
            "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14?distro=debian-sid",
        ),
        (
            FoundPackage(format=PackageFormat.RPM, name="openssl-libs", version="1:3.0.7-27.el9", arch="x86_64"),
            Distribution(id="rhel", version_id="9.4"),
            "pkg:rpm/redhat/openssl-libs@3.0.7-27.el9?arch=x86_64&distro=rhel-9.4&epoch=1",
        ),
        (
            FoundPackage(format=PackageFormat.PYPI, name="Zope.Interface_x", version="1.0+local"),
            Distribution(id="alpine", version_id="3.18.4"),
            "pkg:pypi/zope-interface-x@1.0%2Blocal",
        ),
        *(
            (FoundPackage(format=kind, name=name, version="1.2"), None, expected)
            for kind, name, expected in (
                (PackageFormat.NPM, "@babel/core", "pkg:npm/%40babel/core@1.2"),
                (PackageFormat.NPM, "lodash", "pkg:npm/lodash@1.2"),
                (PackageFormat.MAVEN, "org.apache:commons", "pkg:maven/org.apache/commons@1.2"),
                (PackageFormat.GO, "github.com/a/b/v2", "pkg:golang/github.com/a/b/v2@1.2"),
                (PackageFormat.GO, "stdlib", "pkg:golang/stdlib@1.2"),
                (PackageFormat.COMPOSER, "monolog/monolog", "pkg:composer/monolog/monolog@1.2"),
                (PackageFormat.CARGO, "serde", "pkg:cargo/serde@1.2"),
                (PackageFormat.GEM, "rails", "pkg:gem/rails@1.2"),
                (PackageFormat.NUGET, "Newtonsoft.Json", "pkg:nuget/Newtonsoft.Json@1.2"),
            )
        ),
    ],
)
def test_package_url(package: FoundPackage, distribution: Distribution | None, expected: str) -> None:
    assert purl_of(package, distribution) == expected


@pytest.mark.parametrize(
    ("name", "expected"), [("@a/b", True), ("a", True), ("a/", False), ("/", False), ("", False)]
)
def test_a_name_with_slashes_has_a_word_on_each_side(name: str, expected: bool) -> None:
    assert is_scoped(name) is expected


@given(st.sampled_from(PackageFormat), NAMES, WORDS, WORDS | st.just(""))
@example(PackageFormat.MAVEN, "a:", "1", "")
def test_every_package_that_a_cataloger_lets_through_has_a_url(
    kind: PackageFormat, name: str, version: str, arch: str
) -> None:
    package = FoundPackage(format=kind, name=name, version=version, arch=arch)

    for distribution in (None, Distribution(id="debian", version_id="12")):
        url = PackageURL.from_string(purl_of(package, distribution))
        assert isinstance(url.qualifiers, dict)
        epoch = url.qualifiers.get("epoch")
        assert (url.version if epoch is None else f"{epoch}:{url.version}") == version
