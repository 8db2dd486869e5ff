"""Our inventories against those of an independent program; `docs/inventory.md` explains what differs."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from packageurl import PackageURL

from services.kernel.model.finding import Package
from services.lab.image import BuiltImage, build_image, write_layout
from services.lab.layer import Compression, LayerBuilder
from tests.builders.catalog import inventory_of
from tests.builders.rpmdb import ndb_form, recorded

pytestmark = pytest.mark.slow

RECORDS = Path(__file__).parent.parent / "fixtures" / "packages"
LOCKS = RECORDS.parent / "locks"
GEMSPEC = """Gem::Specification.new do |s|
  s.name = "rack".freeze
  s.version = "2.2.6"
end
"""
INSTALLED = '{"packages": [{"name": "monolog/monolog", "version": "2.0.0"}], "dev": false}'
DEBIAN_STATUS = (RECORDS / "debian-12.status").read_text()
ALPINE_INSTALLED = (RECORDS / "alpine-made.installed").read_text()
ALPINE_UPGRADED = ALPINE_INSTALLED.replace("V:1.36.1-r2", "V:1.36.1-r5")
DEBIAN_RELEASE = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n'
ALPINE_RELEASE = 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.18.4\n'
TYPES = {
    "deb": "deb",
    "apk": "apk",
    "rpm": "rpm",
    "python": "pypi",
    "npm": "npm",
    "gem": "gem",
    "php-composer": "composer",
}
OTHER_SYSTEM_STATUS = Path("/var/lib/dpkg/status")


class Listed(NamedTuple):
    """What both programs say of a package."""

    type: str
    name: str
    version: str
    arch: str
    path: str


def test_a_debian_image_that_was_upgraded_in_an_upper_layer(tmp_path: Path) -> None:
    upgraded = re.sub(r"(Package: openssl\n(?:.+\n)*?Version: ).+", r"\g<1>9.9.9-1", DEBIAN_STATUS)
    without_git = re.sub(r"Package: git\n(?:.+\n)*\n", "", upgraded)
    held = without_git.replace("Package: tar\nStatus: install ok", "Package: tar\nStatus: hold ok")
    image = build_image(
        [
            a_debian_base(DEBIAN_STATUS).build(),
            LayerBuilder().file("var/lib/dpkg/status", held).build(Compression.ZSTD),
        ]
    )

    ours = assert_equal_to_syft(image, tmp_path)

    assert ("deb", "openssl", "9.9.9-1") in {each[:3] for each in ours}
    assert "git" not in {each.name for each in ours}


@pytest.mark.parametrize(
    ("status", "ours", "theirs"),
    [
        ("hold ok installed", True, True),
        ("install ok triggers-pending", True, True),
        ("install ok unpacked", True, True),
        ("deinstall ok installed", True, True),
        ("deinstall ok config-files", False, True),
        ("purge ok not-installed", False, True),
    ],
)
def test_which_states_of_a_debian_package_count(status: str, ours: bool, theirs: bool, tmp_path: Path) -> None:
    records = "Package: bash\nStatus: install ok installed\nVersion: 5.2\n\n"
    records += f"Package: doubtful\nStatus: {status}\nArchitecture: amd64\nVersion: 1.0\n\n"

    found = both(build_image([a_debian_base(records).build()]), tmp_path)

    assert tuple("doubtful" in {each.name for each in side} for side in found) == (ours, theirs)


def test_a_debian_image_without_dpkg(tmp_path: Path) -> None:
    layer = (
        LayerBuilder()
        .file("usr/lib/os-release", DEBIAN_RELEASE)
        .symlink("etc/os-release", "../usr/lib/os-release")
        .directory("var/lib/dpkg/status.d")
    )
    for record in DEBIAN_STATUS.strip().split("\n\n")[:5]:
        name = re.search("^Package: (.+)$", record, re.MULTILINE)
        assert name is not None
        without_status = re.sub("^Status: .+\n", "", record, flags=re.MULTILINE)
        layer.file(f"var/lib/dpkg/status.d/{name[1]}", without_status + "\n")
        layer.file(f"var/lib/dpkg/status.d/{name[1]}.md5sums", "0" * 32 + "  usr/bin/true\n")

    assert len(assert_equal_to_syft(build_image([layer.build()]), tmp_path)) == 5


def test_a_python_image_with_the_wheels_of_this_environment(tmp_path: Path) -> None:
    python = LayerBuilder()
    for metadata in sorted(Path(sysconfig.get_path("purelib")).glob("*.dist-info/METADATA")):
        folder = f"usr/lib/python3.11/site-packages/{metadata.parent.name}"
        for file in (metadata, metadata.with_name("RECORD"), metadata.with_name("WHEEL")):
            python.file(f"{folder}/{file.name}", file.read_bytes())
    eggs = (
        LayerBuilder()
        .file("opt/app/Old_Tool-1.5.egg-info/PKG-INFO", "Metadata-Version: 1.1\nName: Old_Tool\nVersion: 1.5\n")
        .file("opt/app/single-2.0.egg-info", "Metadata-Version: 1.1\nName: single\nVersion: 2.0\n")
        .file("opt/app/zipped-3.0-py3.egg/EGG-INFO/PKG-INFO", "Name: zipped\nVersion: 3.0\n")
        .whiteout("usr/lib/python3.11/site-packages/" + next(iter(dist_info("pip", "packaging"))))
    )
    image = build_image([a_debian_base(DEBIAN_STATUS).build(), python.build(), eggs.build()])

    ours = assert_equal_to_syft(image, tmp_path)

    assert sum(each.type == "pypi" for each in ours) > 50


def test_an_image_of_several_languages(tmp_path: Path) -> None:
    modules = "app/node_modules"
    layer = (
        a_debian_base(DEBIAN_STATUS)
        .file(f"{modules}/lodash/package.json", '{"name": "lodash", "version": "4.17.15"}')
        .file(f"{modules}/@babel/core/package.json", '{"name": "@babel/core", "version": "7.0.0"}')
        .file(f"{modules}/a/package.json", '{"name": "a", "version": "1.0.0"}')
        .file(f"{modules}/a/node_modules/lodash/package.json", '{"name": "lodash", "version": "3.10.1"}')
        .file(f"{modules}/a/esm/package.json", '{"type": "module"}')
        .file("app/package-lock.json", (LOCKS / "npm-3" / "package-lock.json").read_bytes())
        .file("srv/gems/specifications/rack-2.2.6.gemspec", GEMSPEC)
        .file("srv/web/vendor/composer/installed.json", INSTALLED)
    )

    ours = assert_equal_to_syft(build_image([layer.build()]), tmp_path)

    assert {"npm", "gem", "composer"} < {each.type for each in ours}


@pytest.mark.parametrize("lock", ["yarn-1/yarn.lock", "npm-3/package-lock.json"])
def test_a_lock_without_its_packages_is_read_by_us_alone(lock: str, tmp_path: Path) -> None:
    layer = a_debian_base(DEBIAN_STATUS).file(f"app/{Path(lock).name}", (LOCKS / lock).read_bytes())

    ours, theirs = both(build_image([layer.build()]), tmp_path)

    assert ("npm", "left-pad", "1.3.0") in {each[:3] for each in ours - theirs}
    assert {each.type for each in theirs} == {"deb"}


def test_an_alpine_image_that_was_upgraded_in_an_upper_layer(tmp_path: Path) -> None:
    upgrade = LayerBuilder().file("lib/apk/db/installed", ALPINE_UPGRADED)

    ours = assert_equal_to_syft(build_image([an_alpine_base("lib").build(), upgrade.build()]), tmp_path)

    assert ("apk", "busybox", "1.36.1-r5") in {each[:3] for each in ours}


def test_a_database_written_through_a_link_is_one_for_us_and_two_for_syft(tmp_path: Path) -> None:
    base = an_alpine_base("usr/lib").symlink("lib", "usr/lib")
    upgrade = LayerBuilder().file("lib/apk/db/installed", ALPINE_UPGRADED)

    ours, theirs = both(build_image([base.build(), upgrade.build()]), tmp_path)

    assert {each.path for each in ours} == {"/usr/lib/apk/db/installed"}
    assert {each.version for each in ours if each.name == "busybox"} == {"1.36.1-r5"}
    assert {each.path for each in theirs} == {"/usr/lib/apk/db/installed", "/lib/apk/db/installed"}
    assert {each.version for each in theirs if each.name == "busybox"} == {"1.36.1-r2", "1.36.1-r5"}


@pytest.mark.parametrize("form", ["sqlite", "hash", "ndb"])
def test_an_rpm_image_in_each_form_of_database(form: str, tmp_path: Path) -> None:
    path, content = {
        "sqlite": ("var/lib/rpm/rpmdb.sqlite", recorded("rpmdb.sqlite")),
        "hash": ("var/lib/rpm/Packages", recorded("Packages")),
        "ndb": ("usr/lib/sysimage/rpm/Packages.db", ndb_form(recorded_headers())),
    }[form]
    image = build_image([an_rpm_base().file(path, content).build()])

    ours, theirs = both(image, tmp_path)

    assert {each.name for each in theirs} - {each.name for each in ours} == {"gpg-pubkey"}
    assert {each for each in theirs if each.name != "gpg-pubkey"} == ours
    assert len(ours) == 10
    assert ("rpm", "openssl-libs", "1:3.0.7-27.el9", "x86_64") in {each[:4] for each in ours}


def test_an_azure_linux_image_without_rpm(tmp_path: Path) -> None:
    columns = ("openssl-libs", "3.3.0-1.azl3", "17", "17", "Microsoft Corporation", "(none)", "99", "x86_64", "0")
    line = "\t".join((*columns, "openssl-3.3.0-1.azl3.src.rpm")) + "\n"
    layer = (
        LayerBuilder()
        .file("etc/os-release", 'ID=azurelinux\nVERSION_ID="3.0"\n')
        .file("var/lib/rpmmanifest/container-manifest-2", line)
    )

    assert {each.version for each in assert_equal_to_syft(build_image([layer.build()]), tmp_path)} == {
        "3.3.0-1.azl3"
    }


@pytest.mark.skipif(not OTHER_SYSTEM_STATUS.exists(), reason="this machine has no dpkg database to compare with")
def test_this_machines_own_package_database(tmp_path: Path) -> None:
    image = build_image([a_debian_base(OTHER_SYSTEM_STATUS.read_bytes()).build()])

    assert_equal_to_syft(image, tmp_path)


def a_debian_base(status: str | bytes) -> LayerBuilder:
    return (
        LayerBuilder()
        .directory("usr")
        .directory("usr/lib")
        .symlink("lib", "usr/lib")
        .file("usr/lib/os-release", DEBIAN_RELEASE)
        .symlink("etc/os-release", "../usr/lib/os-release")
        .file("var/lib/dpkg/status", status)
    )


def an_rpm_base() -> LayerBuilder:
    return LayerBuilder().file("etc/os-release", 'NAME="AlmaLinux"\nID="almalinux"\nVERSION_ID="9.4"\n')


def recorded_headers() -> list[bytes]:
    connection = sqlite3.connect(":memory:")
    connection.deserialize(recorded("rpmdb.sqlite").replace(b"\2\2\0@  ", b"\1\1\0@  ", 1))
    return [blob for (blob,) in connection.execute("SELECT blob FROM Packages")]


def an_alpine_base(lib: str) -> LayerBuilder:
    return (
        LayerBuilder()
        .directory(lib)
        .file("etc/os-release", ALPINE_RELEASE)
        .file(f"{lib}/apk/db/installed", ALPINE_INSTALLED)
    )


def dist_info(*names: str) -> Iterable[str]:
    for name in names:
        for folder in Path(sysconfig.get_path("purelib")).glob(f"{name}-*.dist-info"):
            yield folder.name


def assert_equal_to_syft(image: BuiltImage, tmp_path: Path) -> set[Listed]:
    """Compares, and returns what both found."""
    ours, theirs = both(image, tmp_path)
    assert (sorted(ours - theirs), sorted(theirs - ours)) == ([], [])
    return ours


def both(image: BuiltImage, tmp_path: Path) -> tuple[set[Listed], set[Listed]]:
    """Returns what we find in the image, and what Syft finds. Only who built a package may be wrong with it."""
    layout = tmp_path / "layout"
    write_layout(layout, {"test": image})
    inventory = inventory_of(image, tmp_path)
    assert {each.code for each in inventory.warnings} <= {"FOREIGN_PACKAGES"}
    ours = [from_drydock(package) for package in inventory.packages]
    theirs = list(from_syft(run_syft(layout, tmp_path)))
    assert len(ours) == len(set(ours))
    return set(ours), set(theirs)


def from_drydock(package: Package) -> Listed:
    kind = PackageURL.from_string(package.purl).type
    return Listed(kind, plain(kind, package.name), package.version, package.arch, package.path)


def plain(kind: str, name: str) -> str:
    """Syft writes Python names as PEP 503 normalises them, we write them as their metadata does."""
    return re.sub(r"[-_.]+", "-", name).lower() if kind == "pypi" else name


def from_syft(document: Document) -> Iterable[Listed]:
    for artifact in document.artifacts:
        if artifact.type in TYPES:
            kind = TYPES[artifact.type]
            arch = re.search("[?&]arch=([^&]+)", artifact.purl)
            name = plain(kind, artifact.name)
            # An epoch of 0 is written out where the package says so; it is none all the same.
            version = artifact.version.removeprefix("0:") if kind == "rpm" else artifact.version
            yield Listed(kind, name, version, arch[1] if arch else "", artifact.evidence())


class Location(msgspec.Struct):
    path: str
    annotations: dict[str, str] = {}


class Artifact(msgspec.Struct):
    name: str
    version: str
    type: str
    purl: str
    locations: list[Location]

    def evidence(self) -> str:
        """The file that the package was read from; the others only support it."""
        (path,) = {each.path for each in self.locations if each.annotations.get("evidence") == "primary"}
        return path


class Document(msgspec.Struct):
    artifacts: list[Artifact]


def run_syft(layout: Path, home: Path, *options: str) -> Document:
    program = Path(sys.executable).with_name("syft")
    ran = subprocess.run(
        [program, "scan", "-q", f"oci-dir:{layout}", "-o", "json", *options],
        check=True,
        capture_output=True,
        timeout=100,
        env={**os.environ, "SYFT_CHECK_FOR_APP_UPDATE": "false", "HOME": str(home), "TMPDIR": str(home)},
    )
    return msgspec.json.decode(ran.stdout, type=Document)
