"""What is installed in an image is what is left when its layers are unpacked over one another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from services.kernel.model.finding import SourcePackage
from services.lab.layer import LayerBuilder
from services.scanner.pipeline.coalesce import Coalesced, coalesce
from services.scanner.reading.complaints import PACKAGE_RECORD_BROKEN
from tests.builders.jars import jar, properties
from tests.builders.records import (
    ALPINE,
    APK,
    APK_MOVED,
    DEBIAN,
    STATUS,
    apk_installed,
    coalesced,
    dpkg_status,
    metadata,
)
from tests.builders.rpmdb import hash_form, header, ndb_form, sqlite_form

OPENSSL = apk_installed(openssl="3.1.4-r0")


def installed(result: Coalesced) -> list[tuple[str, str, str]]:
    return [(package.name, package.version, package.path) for package in result.packages]


def test_package_belongs_to_the_layer_that_gave_its_version_first(tmp_path: Path) -> None:
    base = LayerBuilder().file("etc/os-release", DEBIAN).file(STATUS, dpkg_status(bash="5.2", openssl="3.0.1"))
    upper = LayerBuilder().file(STATUS, dpkg_status(bash="5.2", openssl="3.0.2", curl="8"))

    result, digests = coalesced([base, upper], tmp_path)

    assert {package.name: package.layer for package in result.packages} == {
        "bash": digests[0],
        "openssl": digests[1],
        "curl": digests[1],
    }


def test_package_is_named_for_the_outside(tmp_path: Path) -> None:
    record = (
        "Package: libssl3\nStatus: install ok installed\nArchitecture: amd64\nSource: openssl (3.0.1)\n"
        "Version: 1:3.0.1+b1\n"
    )
    base = LayerBuilder().file("etc/os-release", DEBIAN).file(STATUS, record)

    (package,) = coalesced([base], tmp_path)[0].packages

    assert package.purl == "pkg:deb/debian/libssl3@1:3.0.1%2Bb1?arch=amd64&distro=debian-12"
    assert package.ecosystem == "Debian:12"
    assert package.path == "/var/lib/dpkg/status"
    assert package.source == SourcePackage(name="openssl", version="3.0.1")


def test_packages_are_sorted_by_path_name_and_version(tmp_path: Path) -> None:
    base = (
        LayerBuilder()
        .file(STATUS, dpkg_status(zlib="1", attr="2"))
        .file("opt/b/x-1.dist-info/METADATA", metadata("x", "1"))
        .file("opt/a/y-1.dist-info/METADATA", metadata("y", "1"))
    )

    result, _ = coalesced([base], tmp_path)

    assert [package.name for package in result.packages] == ["y", "x", "attr", "zlib"]


def test_without_os_release_packages_have_no_ecosystem(tmp_path: Path) -> None:
    result, _ = coalesced([LayerBuilder().file(STATUS, dpkg_status(bash="5.2"))], tmp_path)

    assert result.distribution is None
    assert [(package.ecosystem, package.purl) for package in result.packages] == [
        ("", "pkg:deb/bash@5.2?arch=amd64")
    ]


def test_status_and_status_parts_both_count(tmp_path: Path) -> None:
    part = "Package: tzdata\nVersion: 2024a\nArchitecture: all\n"
    base = (
        LayerBuilder()
        .file(STATUS, dpkg_status(bash="5.2"))
        .file("var/lib/dpkg/status.d/tzdata", part)
        .file("var/lib/dpkg/status.d/tzdata.md5sums", "d41d8cd98f00b204e9800998ecf8427e  usr/x\n")
    )

    result, _ = coalesced([base], tmp_path)

    assert [package.name for package in result.packages] == ["bash", "tzdata"]
    assert result.warnings == ()


def test_os_release_in_etc_wins_over_the_vendor_s(tmp_path: Path) -> None:
    base = LayerBuilder().file("usr/lib/os-release", DEBIAN)
    upper = LayerBuilder().file("etc/os-release", ALPINE)

    result, _ = coalesced([base, upper], tmp_path)

    assert result.distribution is not None
    assert result.distribution.id == "alpine"


def test_os_release_reached_by_a_link_is_read_at_its_real_path(tmp_path: Path) -> None:
    base = LayerBuilder().symlink("etc/os-release", "../usr/lib/os-release").file("usr/lib/os-release", DEBIAN)

    result, _ = coalesced([base], tmp_path)

    assert result.distribution is not None
    assert result.distribution.version_id == "12"
    assert result.warnings == ()


PRO = "var/lib/ubuntu-advantage/status.json"
BASH = header("bash", "5.1.8", "9.el9", source="bash-5.1.8-9.el9.src.rpm")


def test_what_several_databases_of_rpm_tell_of_is_told_once_by_the_one_that_rpm_prefers(tmp_path: Path) -> None:
    base = (
        LayerBuilder()
        .file("etc/os-release", 'ID=almalinux\nVERSION_ID="9.4"\n')
        .file("var/lib/rpm/Packages", hash_form([BASH, header("only-old", "1")]))
        .file("usr/lib/sysimage/rpm/Packages.db", ndb_form([BASH]))
    )
    upper = LayerBuilder().file(
        "var/lib/rpm/rpmdb.sqlite", sqlite_form([BASH, header("new", "1", module="new:1:2:3")])
    )

    result, digests = coalesced([base, upper], tmp_path)

    assert [(each.name, each.path, each.layer == digests[1], each.module) for each in result.packages] == [
        ("only-old", "/var/lib/rpm/Packages", False, ""),
        ("bash", "/var/lib/rpm/rpmdb.sqlite", True, ""),
        ("new", "/var/lib/rpm/rpmdb.sqlite", True, "new:1"),
    ]
    assert {each.ecosystem for each in result.packages} == {"AlmaLinux:9"}


@pytest.mark.parametrize(
    ("vendor", "release", "messages"),
    [
        ("AlmaLinux", "almalinux", []),
        ("", "almalinux", []),
        ("Fedora Project", "fedora", []),
        (
            "Fedora Project",
            "almalinux",
            ["Packages by others than almalinux: 1, by Fedora Project. No advisory that was used speaks of them."],
        ),
    ],
)
def test_packages_that_another_vendor_built_are_told(
    vendor: str, release: str, messages: list[str], tmp_path: Path
) -> None:
    layer = (
        LayerBuilder()
        .file("etc/os-release", f'ID={release}\nVERSION_ID="9"\n')
        .file("var/lib/rpm/rpmdb.sqlite", sqlite_form([header("htop", "3", vendor=vendor)]))
    )

    assert [each.message for each in coalesced([layer], tmp_path)[0].warnings] == messages


@pytest.mark.parametrize(
    ("version", "maintainer", "named"),
    [
        ("5:24.0.7-1~debian.12~bookworm", "Docker <support@docker.com>", "Docker <support@docker.com>"),
        ("2.40.1", "GitHub", "GitHub"),
        (
            "1.25.3-1~bookworm",
            "NGINX Packaging <nginx-packaging@f5.com>",
            "NGINX Packaging <nginx-packaging@f5.com>",
        ),
        (
            "16.1-1.pgdg120+1",
            "Debian PostgreSQL Maintainers <team+postgresql@tracker.debian.org>",
            "Debian PostgreSQL",
        ),
        ("18.19.0-1nodesource1", "", "somebody"),
        ("8.3.0-1+0~20231123.12+debian12~1.gbp2a3b", "Debian PHP Maintainers <x@debian.org>", "Debian PHP"),
        ("1.22.1-9", "Debian Nginx Maintainers <pkg-nginx-maintainers@alioth-lists.debian.net>", ""),
        ("1.0", "GitHub Fan <fan@debian.org>", ""),
        ("15.5-0+deb12u1", "Debian PostgreSQL Maintainers <team+postgresql@tracker.debian.org>", ""),
    ],
)
@pytest.mark.parametrize("release", ['ID=debian\nVERSION_ID="12"\n', 'ID=ubuntu\nVERSION_ID="22.04"\n'])
def test_debs_that_known_vendors_built_are_told(
    version: str, maintainer: str, named: str, release: str, tmp_path: Path
) -> None:
    status = dpkg_status(x=version) + f"Maintainer: {maintainer}\n"
    layer = LayerBuilder().file("etc/os-release", release).file(STATUS, status)

    told = [each for each in coalesced([layer], tmp_path)[0].warnings if each.code == "FOREIGN_PACKAGES"]

    assert [named in each.message for each in told] == ([True] if named else [])


def test_debian_s_own_packages_are_nobody_else_s(tmp_path: Path) -> None:
    status = (Path(__file__).parents[3] / "fixtures" / "packages" / "debian-12.status").read_bytes()
    layer = LayerBuilder().file("etc/os-release", 'ID=debian\nVERSION_ID="12"\n').file(STATUS, status)

    assert coalesced([layer], tmp_path)[0].warnings == ()


@pytest.mark.parametrize(
    "trace",
    [
        {PRO: '{"attached": true, "services": [{"name": "esm-apps", "status": "enabled"}]}'},
        {STATUS: dpkg_status(bash="5.2", openssl="1.0+esm2")},
    ],
    ids=["state", "package"],
)
def test_ubuntu_pro_is_seen_by_its_state_or_by_a_package_that_only_it_has(
    trace: dict[str, str], tmp_path: Path
) -> None:
    layer = LayerBuilder().file("etc/os-release", 'ID=ubuntu\nVERSION_ID="22.04"\n')
    for path, content in {STATUS: dpkg_status(bash="5.2"), **trace}.items():
        layer.file(path, content)

    assert {each.ecosystem for each in coalesced([layer], tmp_path)[0].packages} == {"Ubuntu:Pro:22.04:LTS"}


@pytest.mark.parametrize(
    "upper",
    [
        LayerBuilder().whiteout(APK),
        LayerBuilder().whiteout("lib/apk"),
        LayerBuilder().whiteout("lib"),
        LayerBuilder().opaque("lib/apk/db"),
        LayerBuilder().opaque("lib"),
        LayerBuilder().opaque(""),
        LayerBuilder().file(APK, b""),
        LayerBuilder().file("lib/apk", b"a file where the directory was"),
        LayerBuilder().symlink("lib/apk", "elsewhere"),
        LayerBuilder().directory(APK),
    ],
    ids=[
        "whiteout",
        "whiteout of parent",
        "whiteout of ancestor",
        "opaque parent",
        "opaque ancestor",
        "opaque root",
        "replaced",
        "parent became a file",
        "parent became a link",
        "became a directory",
    ],
)
def test_lower_file_is_hidden(upper: LayerBuilder, tmp_path: Path) -> None:
    result, _ = coalesced([LayerBuilder().file(APK, OPENSSL), upper], tmp_path)

    assert installed(result) == []


@pytest.mark.parametrize(
    "upper",
    [
        LayerBuilder().whiteout("lib/apk/db/installe"),
        LayerBuilder().whiteout("lib/ap"),
        LayerBuilder().opaque("lib/apk/db/installed"),
        LayerBuilder().directory("lib/apk"),
        LayerBuilder().file("lib/apk/db/triggers", b"x"),
        LayerBuilder().symlink("lib64", "lib"),
    ],
    ids=["other file", "prefix of a name", "opaque file", "same directory", "neighbour", "link beside"],
)
def test_lower_file_stays(upper: LayerBuilder, tmp_path: Path) -> None:
    result, digests = coalesced([LayerBuilder().file(APK, OPENSSL), upper], tmp_path)

    assert installed(result) == [("openssl", "3.1.4-r0", f"/{APK}")]
    assert result.packages[0].layer == digests[0]


def test_whiteout_spares_what_its_own_layer_brings(tmp_path: Path) -> None:
    base = LayerBuilder().file(APK, OPENSSL)
    upper = LayerBuilder().file(APK, apk_installed(musl="1.2.4-r2")).opaque("lib").whiteout(APK)

    result, _ = coalesced([base, upper], tmp_path)

    assert installed(result) == [("musl", "1.2.4-r2", f"/{APK}")]


def test_file_written_through_a_lower_link_replaces_the_file_it_leads_to(tmp_path: Path) -> None:
    base = LayerBuilder().symlink("lib", "usr/lib").file(APK_MOVED, OPENSSL)
    upper = LayerBuilder().file(APK, apk_installed(musl="1.2.4-r2"))

    result, _ = coalesced([base, upper], tmp_path)

    assert installed(result) == [("musl", "1.2.4-r2", f"/{APK_MOVED}")]


def test_explicit_directory_replaces_a_lower_link(tmp_path: Path) -> None:
    base = LayerBuilder().symlink("lib", "usr/lib").file(APK_MOVED, OPENSSL)
    upper = LayerBuilder().directory("lib").file(APK, apk_installed(musl="1.2.4-r2"))

    result, _ = coalesced([base, upper], tmp_path)

    assert installed(result) == [("musl", "1.2.4-r2", f"/{APK}"), ("openssl", "3.1.4-r0", f"/{APK_MOVED}")]


def test_opaque_directory_in_place_of_a_link_hides_nothing_where_the_link_led(tmp_path: Path) -> None:
    base = LayerBuilder().symlink("lib", "usr/lib").file(APK_MOVED, OPENSSL)
    upper = LayerBuilder().directory("lib").opaque("lib")

    result, _ = coalesced([base, upper], tmp_path)

    assert installed(result) == [("openssl", "3.1.4-r0", f"/{APK_MOVED}")]


@pytest.mark.parametrize(
    "upper",
    [
        LayerBuilder().whiteout(APK),
        LayerBuilder().opaque("lib/apk"),
        LayerBuilder().file("lib/apk/db", b"a file, known by its fingerprint only"),
        LayerBuilder().symlink("sbin", "usr/lib").file("sbin/apk", b"through a link of its own"),
    ],
    ids=["whiteout", "opaque", "parent became a file", "through a new link"],
)
def test_names_through_links_hide_too(upper: LayerBuilder, tmp_path: Path) -> None:
    base = LayerBuilder().symlink("lib", "/usr/lib").file(APK_MOVED, OPENSSL)

    result, _ = coalesced([base, upper], tmp_path)

    assert installed(result) == []


def test_deleted_link_no_longer_leads_anywhere(tmp_path: Path) -> None:
    base = LayerBuilder().symlink("lib", "usr/lib").file(APK_MOVED, OPENSSL)
    upper = LayerBuilder().whiteout("lib").file(APK, apk_installed(musl="1.2.4-r2"))

    result, _ = coalesced([base, upper], tmp_path)

    assert installed(result) == [("musl", "1.2.4-r2", f"/{APK}"), ("openssl", "3.1.4-r0", f"/{APK_MOVED}")]


def test_file_that_only_a_link_makes_a_record_counts_while_the_link_is_there(tmp_path: Path) -> None:
    base = LayerBuilder().symlink("var/lib/dpkg", "/data/dpkg")
    middle = LayerBuilder().file(STATUS, dpkg_status(bash="5.2"))
    upper = LayerBuilder().whiteout("var/lib/dpkg")

    assert installed(coalesced([base, middle], tmp_path)[0]) == [("bash", "5.2", "/data/dpkg/status")]
    assert installed(coalesced([base, middle, upper], tmp_path)[0]) == []


def test_hard_link_to_a_lower_record_is_a_record(tmp_path: Path) -> None:
    base = LayerBuilder().file(APK_MOVED, OPENSSL)
    upper = LayerBuilder().hard_link(APK, APK_MOVED)

    result, digests = coalesced([base, upper], tmp_path)

    assert [(package.path, package.layer) for package in result.packages] == [
        (f"/{APK}", digests[1]),
        (f"/{APK_MOVED}", digests[0]),
    ]


def test_hard_link_to_a_file_that_was_not_read_is_told(tmp_path: Path) -> None:
    base = LayerBuilder().file("opt/elsewhere", OPENSSL)
    upper = LayerBuilder().hard_link(APK, "opt/elsewhere")

    result, digests = coalesced([base, upper], tmp_path)

    assert installed(result) == []
    assert [(each.code, each.path, each.layer) for each in result.warnings] == [
        ("FILE_NOT_READ", f"/{APK}", digests[1])
    ]


def test_record_that_is_a_link_to_a_file_that_was_not_read_is_told(tmp_path: Path) -> None:
    base = LayerBuilder().file("opt/status", dpkg_status(bash="5.2")).symlink(STATUS, "/opt/status")

    result, digests = coalesced([base], tmp_path)

    assert installed(result) == []
    assert [(each.code, each.path, each.layer) for each in result.warnings] == [
        ("FILE_NOT_READ", f"/{STATUS}", digests[0])
    ]


def test_warnings_of_hidden_files_are_dropped(tmp_path: Path) -> None:
    base = LayerBuilder().file(STATUS, "Package: bash\nStatus: install ok installed\n")
    repaired = LayerBuilder().file(STATUS, dpkg_status(bash="5.2"))

    alone, digests = coalesced([base], tmp_path)

    assert [(each.code, each.path, each.layer) for each in alone.warnings] == [
        (PACKAGE_RECORD_BROKEN, f"/{STATUS}", digests[0])
    ]
    assert coalesced([base, repaired], tmp_path)[0].warnings == ()


def test_links_in_circles_come_to_an_end(tmp_path: Path) -> None:
    base = (
        LayerBuilder()
        .file(APK, OPENSSL)
        .symlink("lib/apk/self", ".")
        .symlink("a", "b")
        .symlink("b", "a")
        .symlink("root", "/")
    )
    upper = LayerBuilder().file("a/x", b"").whiteout("b/y").file("root/lib/apk/self/db", b"")

    assert installed(coalesced([base], tmp_path)[0]) == [("openssl", "3.1.4-r0", f"/{APK}")]
    assert installed(coalesced([base, upper], tmp_path)[0]) == []


def test_link_that_replaces_a_directory_is_followed_although_a_link_beneath_it_led_back(tmp_path: Path) -> None:
    wheel = "x-1.dist-info/METADATA"
    base = LayerBuilder().symlink(f"a/b/{wheel}", "..").symlink("a", "c")
    upper = LayerBuilder().file(f"a/b/{wheel}", metadata("x", "1"))

    assert installed(coalesced([base, upper], tmp_path)[0]) == [("x", "1", f"/c/b/{wheel}")]


def test_link_on_the_way_of_another_link_s_target_is_followed(tmp_path: Path) -> None:
    base = LayerBuilder().symlink("b", "a/deep").symlink("a", "c")
    upper = LayerBuilder().file("b/x-1.dist-info/METADATA", metadata("x", "1"))

    assert installed(coalesced([base, upper], tmp_path)[0]) == [("x", "1", "/c/deep/x-1.dist-info/METADATA")]


NPM = "app/part/deno.lock"
GO = b"\x7fELF" + bytes(100) + b"\xff Go buildinf:"
TOOL = "usr/bin/tool"


def unread(layers: Sequence[LayerBuilder], folder: Path) -> list[tuple[str, str, int]]:
    """Which ecosystems were not read, by which path, and in which layer."""
    result, digests = coalesced(layers, folder)
    assert all(each.code == "ECOSYSTEM_NOT_READ" for each in result.warnings)
    return [(each.message.split()[2], each.path, digests.index(each.layer)) for each in result.warnings]


def seen() -> LayerBuilder:
    return LayerBuilder().file(NPM, b"{}").file(TOOL, GO)


def test_a_system_of_which_nothing_else_is_known_is_told(tmp_path: Path) -> None:
    files = LayerBuilder().file("usr/bin/busybox").file("lib/x86_64-linux-gnu/libc.so.6")
    result, _ = coalesced([files], tmp_path)
    assert [warning.message for warning in result.warnings] == [
        "Packages of the operating system were seen and not read: 2 files tell of them "
        "(/lib/x86_64-linux-gnu/libc.so.6)."
    ]


def test_a_system_whose_packages_or_name_are_known_is_not_told_again(tmp_path: Path) -> None:
    files = LayerBuilder().file("usr/bin/busybox").file("etc/debian_version", b"12.5")
    named = LayerBuilder().file("etc/os-release", DEBIAN)
    read = LayerBuilder().file(STATUS, dpkg_status(bash="5.2"))
    for upper in (named, read):
        assert coalesced([files, upper], tmp_path)[0].warnings == ()


def test_ecosystem_that_is_not_read_gives_one_warning_for_the_image(tmp_path: Path) -> None:
    base = LayerBuilder().file("z/deno.lock", b"{}").file("usr/lib/tool", GO).file(TOOL, GO)
    upper = LayerBuilder().file("app/deno.lock").file("b/pubspec.lock")

    result, digests = coalesced([base, upper], tmp_path)

    assert [(each.code, each.message, each.path, each.layer) for each in result.warnings] == [
        (
            "ECOSYSTEM_NOT_READ",
            "Packages of Go were seen and not read: 2 files tell of them (/usr/bin/tool).",
            "/usr/bin/tool",
            digests[0],
        ),
        (
            "ECOSYSTEM_NOT_READ",
            "Packages of Pub were seen and not read: 1 file tells of them (/b/pubspec.lock).",
            "/b/pubspec.lock",
            digests[1],
        ),
        (
            "ECOSYSTEM_NOT_READ",
            "Packages of npm were seen and not read: 2 files tell of them (/app/deno.lock).",
            "/app/deno.lock",
            digests[1],
        ),
    ]


@pytest.mark.parametrize(
    "upper",
    [
        LayerBuilder().whiteout(NPM).whiteout(TOOL),
        LayerBuilder().whiteout("app").whiteout("usr"),
        LayerBuilder().opaque("app/part").opaque("usr/bin"),
        LayerBuilder().opaque(""),
        LayerBuilder().whiteout(NPM).file(TOOL, b"\x7fELF without a mark"),
        LayerBuilder().file("app", b"a file where the directory was").symlink("usr/bin", "/bin"),
    ],
    ids=["whiteout", "whiteout of ancestor", "opaque parent", "opaque root", "replaced", "in the way"],
)
def test_ecosystem_that_an_upper_layer_takes_away_gives_no_warning(upper: LayerBuilder, tmp_path: Path) -> None:
    assert unread([seen(), upper], tmp_path) == []


def test_ecosystem_belongs_to_the_layer_whose_file_is_left(tmp_path: Path) -> None:
    upper = LayerBuilder().file(NPM, b"{ }").file(TOOL, GO + b"2")

    assert unread([seen(), upper], tmp_path) == [("Go", f"/{TOOL}", 1), ("npm", f"/{NPM}", 1)]


def test_executable_keeps_its_ecosystem_under_another_name(tmp_path: Path) -> None:
    upper = LayerBuilder().hard_link("opt/other", TOOL).whiteout("app")
    top = LayerBuilder().whiteout(TOOL)

    assert unread([seen(), upper, top], tmp_path) == [("Go", "/opt/other", 1)]


PROGRAM = LayerBuilder().file("opt/x/app", GO).symlink("opt/l", "x")
MOVED = "usr/bin/app"


@pytest.mark.parametrize(
    "upper",
    [
        LayerBuilder().hard_link(MOVED, "opt/x/app").whiteout("opt/x/app"),
        LayerBuilder().whiteout("opt/x/app").hard_link(MOVED, "opt/x/app"),
        LayerBuilder().hard_link("opt/y", "opt/x/app").hard_link(MOVED, "opt/y").whiteout("opt"),
        LayerBuilder().hard_link(MOVED, "opt/x/app").opaque("opt/x"),
        LayerBuilder().hard_link(MOVED, "opt/x/app").opaque(""),
        LayerBuilder().hard_link(MOVED, "opt/l/app").whiteout("opt/x/app"),
        LayerBuilder().hard_link(MOVED, "opt/l/app").whiteout("opt/l").whiteout("opt/x"),
        LayerBuilder().symlink("way", "opt/x").hard_link(MOVED, "way/app").whiteout("opt/x/app"),
        LayerBuilder().hard_link(MOVED, "opt/x/app").whiteout("opt/x").file("opt/x/app", b"after the link"),
        LayerBuilder().file("opt/l/app", b"in a new folder").hard_link(MOVED, "opt/x/app").whiteout("opt/l"),
    ],
    ids=[
        "whiteout",
        "whiteout before",
        "whiteout of ancestor, in a chain",
        "opaque parent",
        "opaque root",
        "through a lower link",
        "through a lower link that goes too",
        "through a new link",
        "replaced afterwards",
        "beside a link that goes",
    ],
)
def test_hard_link_keeps_a_lower_program_that_its_own_layer_deletes(upper: LayerBuilder, tmp_path: Path) -> None:
    top = LayerBuilder().whiteout("opt")

    assert unread([PROGRAM, upper, top], tmp_path) == [("Go", f"/{MOVED}", 1)]


@pytest.mark.parametrize(
    "upper",
    [
        LayerBuilder().whiteout("opt/x/app").file("opt/x/app", b"new").hard_link(MOVED, "opt/x/app"),
        LayerBuilder().whiteout("opt").file("opt/x/app", b"new").hard_link(MOVED, "opt/x/app"),
        LayerBuilder().whiteout("opt/l").whiteout("opt/x").file("opt/l/app", b"").hard_link(MOVED, "opt/l/app"),
        LayerBuilder().whiteout("opt/x").file("opt/x", b"a file").hard_link(MOVED, "opt/x/app"),
    ],
    ids=["file", "folder", "through a link that goes", "folder that became a file"],
)
def test_hard_link_is_to_what_its_own_layer_put_in_place_of_the_deleted(
    upper: LayerBuilder, tmp_path: Path
) -> None:
    assert unread([PROGRAM, upper], tmp_path) == []


def test_hard_link_keeps_a_lower_record_that_its_own_layer_deletes(tmp_path: Path) -> None:
    base = LayerBuilder().file(STATUS, dpkg_status(bash="5.2"))
    upper = LayerBuilder().hard_link("opt/s", STATUS).whiteout(STATUS).hard_link(STATUS, "opt/s")

    result, _ = coalesced([base, upper], tmp_path)

    assert installed(result) == [("bash", "5.2", f"/{STATUS}")]
    assert result.warnings == ()


def test_link_that_a_hard_link_keeps_leads_on(tmp_path: Path) -> None:
    base = LayerBuilder().symlink("etc/os-release", "/usr/lib/os-release").file("usr/lib/os-release", DEBIAN)
    upper = LayerBuilder().hard_link("etc/kept", "etc/os-release").whiteout("etc/os-release")
    top = LayerBuilder().hard_link("etc/os-release", "etc/kept").whiteout("etc/kept")

    result, _ = coalesced([base, upper, top], tmp_path)

    assert result.distribution is not None
    assert result.warnings == ()


def test_hard_link_to_a_file_of_another_name_tells_of_the_ecosystem(tmp_path: Path) -> None:
    store = LayerBuilder().file("store/ab/cdef", b"{}")
    upper = LayerBuilder().hard_link(NPM, "store/ab/cdef").hard_link("app/deno.lock", "store/ab/cdef")

    assert unread([store, upper], tmp_path) == [("npm", "/app/deno.lock", 1)]


def test_hard_link_from_one_kind_of_record_to_another_counts_as_both(tmp_path: Path) -> None:
    base = LayerBuilder().file("x-1.dist-info/METADATA", metadata("x", "1"))
    upper = LayerBuilder().hard_link("app/pubspec.lock", "x-1.dist-info/METADATA")

    result, digests = coalesced([base, upper], tmp_path)

    assert installed(result) == [("x", "1", "/x-1.dist-info/METADATA")]
    assert [(each.path, each.layer) for each in result.warnings] == [("/app/pubspec.lock", digests[1])]


@pytest.mark.parametrize(
    "link",
    [
        LayerBuilder().file("data/blob").symlink("srv/pubspec.lock", "../data/blob"),
        LayerBuilder().file("data/modules/x/index.js").symlink("srv/.nuget/packages", "/data/modules"),
    ],
    ids=["record", "directory"],
)
def test_symbolic_link_with_the_name_of_a_record_tells_of_the_ecosystem(
    link: LayerBuilder, tmp_path: Path
) -> None:
    assert [(path[:5], layer) for _, path, layer in unread([link], tmp_path)] == [("/srv/", 0)]


RACK = "opt/x/rack-2.gemspec"


@pytest.mark.parametrize(
    ("record", "link"),
    [
        ("opt/x/METADATA", "usr/lib/python3/dist-packages/django-1.0.dist-info"),
        ("opt/x/PKG-INFO", "usr/lib/python3/dist-packages/django.egg-info"),
        ("opt/x/status", "var/lib/dpkg"),
        ("opt/x/openssl", "var/lib/dpkg/status.d"),
        ("opt/x/dpkg/status", "var/lib"),
        ("opt/x/lib/dpkg/status", "var"),
        ("opt/x/db/installed", "lib/apk"),
        ("opt/x/installed", "usr/lib/apk/db"),
        ("opt/x/index.js", "app/node_modules/lodash"),
        ("opt/x/core/index.js", "app/node_modules/@babel"),
        (RACK, "usr/lib/ruby/specifications"),
        (RACK, "usr/lib/ruby/specifications/default"),
        ("opt/x/installed.json", "app/vendor/composer"),
        ("opt/x/numpy-1.json", "opt/conda/conda-meta"),
    ],
)
def test_link_in_place_of_a_folder_of_records_that_nobody_read_is_told(
    record: str, link: str, tmp_path: Path
) -> None:
    base = LayerBuilder().file(record, metadata("django", "1.0"))
    upper = LayerBuilder().symlink(link, "/opt/x")

    result, digests = coalesced([base, upper], tmp_path)

    assert [(each.code, each.path, each.layer) for each in result.warnings] == [
        ("FILE_NOT_READ", f"/{link}", digests[1])
    ]


@pytest.mark.parametrize(
    ("ecosystem", "record", "link"),
    [
        ("pacman", "opt/x/acl-2/desc", "var/lib/pacman/local"),
        ("Portage", "opt/x/sys-libs/glibc-2/CONTENTS", "var/db/pkg"),
        ("Nix", "opt/x/0c1d-bash-5.2/bin/bash", "nix/store"),
    ],
)
def test_link_in_place_of_a_folder_of_records_tells_of_the_ecosystem(
    ecosystem: str, record: str, link: str, tmp_path: Path
) -> None:
    layer = LayerBuilder().file(record, b"{}").symlink(link, "/opt/x")

    assert unread([layer], tmp_path) == [(ecosystem, f"/{link}", 0)]


def test_link_to_a_folder_is_told_although_something_else_in_there_was_seen(tmp_path: Path) -> None:
    base = LayerBuilder().file("opt/x/METADATA", metadata("x", "1")).file("opt/x/y.egg-info", metadata("y", "1"))
    upper = LayerBuilder().symlink("srv/x-1.dist-info", "/opt/x")

    result, _ = coalesced([base, upper], tmp_path)

    assert [(each.code, each.path) for each in result.warnings] == [("FILE_NOT_READ", "/srv/x-1.dist-info")]


@pytest.mark.parametrize(
    "layer",
    [
        LayerBuilder().symlink("lib", "usr/lib").file(APK_MOVED, OPENSSL),
        LayerBuilder().symlink("lib/apk", "../usr/lib/apk").file(APK_MOVED, OPENSSL),
        LayerBuilder().symlink("lib", "usr/lib").symlink("bin", "usr/bin").file("usr/bin/x"),
        LayerBuilder()
        .file("a/x-1.dist-info/METADATA", metadata("x", "1"))
        .symlink("b/x-1.dist-info", "/a/x-1.dist-info"),
        LayerBuilder()
        .file("a/x.egg-info/PKG-INFO", metadata("x", "1"))
        .symlink("way", "a")
        .symlink("b/x.egg-info", "../way/x.egg-info"),
    ],
    ids=["merged", "database", "merged without a database", "dist-info", "through another link"],
)
def test_link_to_a_folder_whose_records_were_read_gives_no_warning(layer: LayerBuilder, tmp_path: Path) -> None:
    assert coalesced([layer], tmp_path)[0].warnings == ()


def test_link_to_a_package_of_npm_is_no_other_package(tmp_path: Path) -> None:
    layer = (
        LayerBuilder()
        .file("app/node_modules/.pnpm/a@1/node_modules/a/package.json", '{"name": "a", "version": "1.0.0"}')
        .symlink("app/node_modules/a", ".pnpm/a@1/node_modules/a")
        .symlink("srv/node_modules", "/app/node_modules")
        .symlink("app/node_modules/.bin", "/nowhere")
    )

    result, _ = coalesced([layer], tmp_path)

    assert installed(result) == [("a", "1.0.0", "/app/node_modules/.pnpm/a@1/node_modules/a/package.json")]
    assert result.warnings == ()


@pytest.mark.parametrize(
    ("place", "link"),
    [
        ("opt/x", "app/node_modules/lodash"),
        ("opt/x", "app/node_modules/@babel/core"),
        ("opt/x/core", "app/node_modules/@babel"),
        ("opt/x/lodash", "app/node_modules"),
    ],
)
def test_package_that_a_link_puts_among_the_installed_is_one(place: str, link: str, tmp_path: Path) -> None:
    base = LayerBuilder().file(f"{place}/package.json", '{"name": "a", "version": "1.0.0"}')

    assert installed(coalesced([base], tmp_path)[0]) == []
    assert installed(coalesced([base, LayerBuilder().symlink(link, "/opt/x")], tmp_path)[0]) == [
        ("a", "1.0.0", f"/{place}/package.json")
    ]


def test_of_very_many_records_that_are_not_known_the_first_are_named(tmp_path: Path) -> None:
    layer = LayerBuilder()
    for number in range(100, 160):
        layer.symlink(f"srv/x{number}-1.dist-info", "/opt/x")

    told = coalesced([layer], tmp_path)[0].warnings

    assert [each.path for each in told] == [*(f"/srv/x{number}-1.dist-info" for number in range(100, 150)), ""]
    assert told[-1].message == "What 10 more records say is not known."


def test_link_to_a_folder_that_an_upper_layer_deletes_gives_no_warning(tmp_path: Path) -> None:
    base = LayerBuilder().file("opt/x/METADATA", metadata("x", "1")).symlink("srv/x-1.dist-info", "/opt/x")

    assert coalesced([base, LayerBuilder().whiteout("srv")], tmp_path)[0].warnings == ()


def test_installed_wheel_without_its_metadata_is_told(tmp_path: Path) -> None:
    base = LayerBuilder().file("a/x-1.dist-info/METADATA", metadata("x", "1")).file("a/x-1.dist-info/RECORD")
    upper = LayerBuilder().whiteout("a/x-1.dist-info/METADATA")

    linked = LayerBuilder().file("store/ab").hard_link("a/x-1.dist-info/RECORD", "store/ab")

    assert unread([base], tmp_path) == []
    assert unread([base, linked], tmp_path) == []
    assert unread([base, upper], tmp_path) == [("PyPI", "/a/x-1.dist-info/RECORD", 0)]
    assert unread([base, upper, linked], tmp_path) == [("PyPI", "/a/x-1.dist-info/RECORD", 2)]


def test_symbolic_link_to_what_was_seen_is_not_counted_again(tmp_path: Path) -> None:
    base = LayerBuilder().file("lib/x-1.pex").symlink("lib/x.pex", "x-1.pex").symlink("usr/share/pexes", "/lib")

    assert "1 file tells" in coalesced([base], tmp_path)[0].warnings[0].message


def test_no_layers_give_no_packages() -> None:
    assert coalesce([]) == Coalesced(distribution=None, packages=(), seen=(), warnings=())


def test_a_package_in_an_archive_says_where_it_lies_in_it(tmp_path: Path) -> None:
    war = jar({"WEB-INF/lib/x.jar": jar(properties("a.b", "x", "1.0")), **properties("a.b", "app", "2.0")})
    upper = LayerBuilder().file("srv/other").file("etc/z")

    result, digests = coalesced([LayerBuilder().file("srv/app.war", war), upper], tmp_path)

    assert [(each.name, each.path, each.layer) for each in result.packages] == [
        ("a.b:app", "/srv/app.war", digests[0]),
        ("a.b:x", "/srv/app.war:WEB-INF/lib/x.jar", digests[0]),
    ]


def test_packages_whose_names_are_guesses_give_one_warning(tmp_path: Path) -> None:
    layer = LayerBuilder().file("z/known.jar", jar(properties("a.b", "x", "1.0")))
    for number in range(5):
        layer.file(f"lib/name{number}-1.0.jar", jar())

    result, _ = coalesced([layer], tmp_path)

    assert [(each.code, each.path) for each in result.warnings] == [
        ("PACKAGE_NOT_IDENTIFIED", "/lib/name0-1.0.jar")
    ]
    assert "name0 (/lib/name0-1.0.jar), name1" in result.warnings[0].message
    assert "and 2 more" in result.warnings[0].message


@pytest.mark.parametrize(
    "links",
    [LayerBuilder().symlink("rootfs", "/"), LayerBuilder().symlink("opt/here", "../..")],
    ids=["absolute", "relative"],
)
def test_another_name_of_a_database_that_was_read_tells_of_no_other_system(
    tmp_path: Path, links: LayerBuilder
) -> None:
    base = LayerBuilder().file("etc/os-release", DEBIAN).file(STATUS, dpkg_status(bash="5.2"))

    result, _ = coalesced([base, links], tmp_path)

    assert [each.name for each in result.packages] == ["bash"]
    assert result.warnings == ()


def test_a_database_below_a_folder_is_told(tmp_path: Path) -> None:
    base = LayerBuilder().file("etc/os-release", DEBIAN).file(STATUS, dpkg_status(bash="5.2"))

    result, _ = coalesced([base, LayerBuilder().file(f"opt/chroot/{STATUS}", "x")], tmp_path)

    assert [each.code for each in result.warnings] == ["ECOSYSTEM_NOT_READ"]
