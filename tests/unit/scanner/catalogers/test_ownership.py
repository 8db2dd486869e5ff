"""A language package that a package of the system brought is judged with that one, if that one is judged."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.lab.layer import LayerBuilder
from services.scanner.catalogers.interface import OwnedFile
from services.scanner.catalogers.systems.apk import ApkCataloger
from services.scanner.catalogers.systems.ownership import DpkgFilesCataloger
from services.scanner.pipeline.match import Matched, match
from tests.builders.advisories import NOW, affected, before, compiled, record
from tests.builders.jars import jar, properties
from tests.builders.records import ALPINE, APK, DEBIAN, STATUS, coalesced, dpkg_status, metadata
from tests.builders.rpmdb import header, sqlite_form

LIST = "var/lib/dpkg/info/python3-requests.list"
REQUESTS = "usr/lib/python3/dist-packages/requests-2.28.1.egg-info/PKG-INFO"
LISTED = f"/.\n/usr\n/usr/lib/python3\n/usr/lib/python3/dist-packages/requests/api.py\n/{REQUESTS}\n/usr/bin/x\n"
IN_REQUESTS = record("CVE-1-1", affected("PyPI", "requests", *before("2.31")))
IN_BASH = record("CVE-2-2", affected("Debian:12", "bash", *before("9")))
IN_DEBIAN = record(
    "CVE-2-2",
    affected("Debian:12", "bash", *before("9")),
    affected("Debian:11", "python3-requests", *before("2")),
)


def an_image(listed: str = LISTED, release: str = DEBIAN, **packages: str) -> LayerBuilder:
    packages = packages or {"bash": "5.2", "python3-requests": "2.28.1+dfsg-1"}
    return (
        LayerBuilder()
        .file("etc/os-release", release)
        .file(STATUS, dpkg_status(**packages))
        .file(LIST, listed)
        .file(REQUESTS, metadata("requests", "2.28.1"))
    )


def owners(layer: LayerBuilder, folder: Path) -> dict[str, str]:
    return {each.name: each.owner for each in coalesced([layer], folder)[0].packages}


def judged(layer: LayerBuilder, folder: Path, *records: dict[str, object]) -> Matched:
    result, _ = coalesced([layer], folder)
    with compiled(folder, *records) as database:
        return match(
            result.distribution,
            result.packages,
            database,
            unread=result.warnings,
            now=NOW,
            max_age=timedelta(days=1),
        )


def test_package_is_listed_with_the_system_s_package_that_brought_it(tmp_path: Path) -> None:
    assert owners(an_image(), tmp_path) == {"bash": "", "python3-requests": "", "requests": "python3-requests"}


def test_list_of_a_foreign_architecture_names_the_package_alone() -> None:
    told = DpkgFilesCataloger().read("var/lib/dpkg/info/libx:arm64.list", f"/{REQUESTS}\n".encode())

    assert told.owned == (OwnedFile(REQUESTS, "libx"),)


def test_checksums_take_the_place_of_the_list_where_there_is_no_dpkg() -> None:
    path = "var/lib/dpkg/status.d/python3-requests.md5sums"
    content = f"{'0' * 32}  {REQUESTS}\n{'1' * 32}  usr/lib/python3/x.py\n".encode()

    assert DpkgFilesCataloger().read(path, content).owned == (OwnedFile(REQUESTS, "python3-requests"),)


@pytest.mark.parametrize(
    "path",
    [
        "usr/lib/python3/dist-packages/x-1.egg-info",
        "usr/lib/python3/dist-packages/x-1.dist-info/METADATA",
        "usr/share/nodejs/lodash/package.json",
        "usr/lib/x86_64-linux-gnu/nodejs/x/package.json",
        "usr/share/rubygems-integration/all/specifications/rack-2.2.6.gemspec",
        "usr/lib/ruby/gems/3.1.0/specifications/default/json-2.6.1.gemspec",
        "usr/share/java/commons-io.jar",
    ],
)
def test_records_at_the_distribution_s_own_places_are_kept(path: str) -> None:
    assert DpkgFilesCataloger().read(LIST, f"/{path}\n".encode()).owned == (OwnedFile(path, "python3-requests"),)


@pytest.mark.parametrize(
    "path",
    [
        "opt/agent/lib/python3.11/site-packages/x-1.dist-info/METADATA",
        "usr/local/lib/python3.11/site-packages/x-1.dist-info/METADATA",
        "usr/lib/node_modules/npm/package.json",
        "usr/lib/agent/vendor/composer/installed.json",
        "usr/bin/docker",
        "usr/lib/python3/dist-packages/x/__init__.py",
    ],
)
def test_what_other_vendors_bring_is_nobody_s_but_its_own(path: str) -> None:
    assert DpkgFilesCataloger().read(LIST, f"/{path}\n".encode()).owned == ()


def test_alpine_s_database_tells_of_files_too(tmp_path: Path) -> None:
    folder = "usr/lib/python3.11/site-packages/requests-2.31.0-py3.11.egg-info"
    database = (
        f"P:py3-requests\nV:2.31.0-r1\nF:usr/lib/python3.11/site-packages\nR:six.py\nF:{folder}\nR:PKG-INFO\n"
        "a:0:0:644\nR:top_level.txt\n\nP:npm\nV:9.6.6-r0\nF:usr/lib/node_modules/npm\nR:package.json\nM:0:0:755\n"
    )

    assert ApkCataloger().read(APK, database.encode()).owned == (
        OwnedFile(f"{folder}/PKG-INFO", "py3-requests"),
        OwnedFile("usr/lib/node_modules/npm/package.json", "npm"),
    )
    layer = LayerBuilder().file("etc/os-release", ALPINE).file(APK, database)
    layer.file(f"{folder}/PKG-INFO", metadata("requests", "2.31.0"))
    assert owners(layer, tmp_path)["requests"] == "py3-requests"


def an_rpm_image(vendor: str) -> LayerBuilder:
    path = "usr/lib/python3.9/site-packages/requests-2.25.1-py3.9.egg-info/PKG-INFO"
    made = header("python3-requests", "2.25.1", "6.el9", vendor=vendor, files=[f"/{path}", "/usr/bin/x"])
    return (
        LayerBuilder()
        .file("etc/os-release", 'ID=almalinux\nVERSION_ID="9.4"\n')
        .file("var/lib/rpm/rpmdb.sqlite", sqlite_form([made]))
        .file(path, metadata("requests", "2.25.1"))
    )


def test_rpm_s_database_tells_of_files_too(tmp_path: Path) -> None:
    assert owners(an_rpm_image("AlmaLinux"), tmp_path)["requests"] == "python3-requests"


def test_what_others_built_for_a_system_its_advisories_do_not_speak_for(tmp_path: Path) -> None:
    in_alma = record("CVE-2-2", affected("AlmaLinux:9", "bash", *before("9")))
    layer = an_rpm_image("Fedora Project")

    assert owners(layer, tmp_path)["requests"] == ""
    assert [each.id for each in judged(layer, tmp_path, IN_REQUESTS, in_alma).findings] == ["CVE-1-1"]


def test_debian_s_advisories_speak_for_its_archives_of_java(tmp_path: Path) -> None:
    nested = jar(properties("org.nested", "inner", "1.0"))
    archive = jar({**properties("commons-io", "commons-io", "2.11.0"), "lib/inner-1.0.jar": nested})
    path, link = "usr/share/java/commons-io-2.11.0.jar", "usr/share/java/commons-io.jar"
    layer = (
        LayerBuilder()
        .file("etc/os-release", DEBIAN)
        .file(STATUS, dpkg_status(**{"libcommons-io-java": "2.11.0-2"}))
        .file("var/lib/dpkg/info/libcommons-io-java.list", f"/.\n/usr/share/java\n/{path}\n/{link}\n")
        .file(path, archive)
        .symlink(link, "commons-io-2.11.0.jar")
        .file("opt/app/commons-io-2.11.0.jar", archive)
    )
    in_maven = record("CVE-1-1", affected("Maven", "commons-io:commons-io", *before("2.14")))
    in_nested = record("CVE-3-3", affected("Maven", "org.nested:inner", *before("2")))

    spoken = (affected("Debian:12", each, *before("1")) for each in ("bash", "libcommons-io-java"))
    result = judged(layer, tmp_path, in_maven, in_nested, record("CVE-2-2", *spoken))

    assert [(each.id, each.path) for each in result.findings] == [
        ("CVE-1-1", "/opt/app/commons-io-2.11.0.jar"),
        ("CVE-3-3", "/opt/app/commons-io-2.11.0.jar:lib/inner-1.0.jar"),
    ]


def test_the_distribution_s_advisories_speak_for_its_own(tmp_path: Path) -> None:
    result = judged(an_image(), tmp_path, IN_REQUESTS, IN_DEBIAN)

    assert [each.id for each in result.findings] == ["CVE-2-2"]
    assert result.warnings == ()


@pytest.mark.parametrize(
    ("layer", "records"),
    [
        (an_image(), [IN_REQUESTS]),
        (an_image(release='ID=mint\nVERSION_ID="21"\n'), [IN_REQUESTS, IN_DEBIAN]),
        (an_image(bash="5.2"), [IN_REQUESTS, IN_DEBIAN]),
        (an_image(listed="/.\n"), [IN_REQUESTS, IN_DEBIAN]),
        (an_image(), [IN_REQUESTS, IN_BASH]),
    ],
    ids=[
        "no advisories for it",
        "another distribution",
        "owner is not installed",
        "not listed",
        "owner is not of the distribution",
    ],
)
def test_a_package_that_nobody_else_judges_is_judged(
    layer: LayerBuilder, records: list[dict[str, object]], tmp_path: Path
) -> None:
    assert "CVE-1-1" in {each.id for each in judged(layer, tmp_path, *records).findings}


def test_upgraded_by_pip_it_is_no_longer_the_distribution_s(tmp_path: Path) -> None:
    site = "usr/local/lib/python3.11/dist-packages/requests-2.30.0.dist-info/METADATA"
    layer = an_image().file(site, metadata("requests", "2.30.0"))

    result = judged(layer, tmp_path, IN_REQUESTS, IN_DEBIAN)

    assert [each.path for each in result.findings if each.id == "CVE-1-1"] == [f"/{site}"]


@given(st.binary(max_size=300) | st.lists(st.sampled_from(LISTED.encode().split(b"/"))).map(b"/".join))
def test_any_bytes_are_a_list_of_some_files(content: bytes) -> None:
    assert len(DpkgFilesCataloger().read(LIST, content).owned) <= content.count(b"\n") + 1
