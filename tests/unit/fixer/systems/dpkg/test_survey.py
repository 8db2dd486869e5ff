"""The survey: packages, states, sources and distribution of an image, and databases that cannot be believed."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from services.fixer.failure import FixFailure, FixReason
from services.fixer.plan.packages import RepositoryRef
from services.fixer.systems.dpkg.survey import FACTS, INFO, TRIGGERS, parts_of
from tests.builders.debs import MadeDeb
from tests.builders.dpkg_images import install, status, survey_of, system, write
from tests.fakes.folders import FolderTree

CURL = MadeDeb(name="curl", version="7.88-1+b1", fields={"Source": "curl-src (7.88-1)"})
ZLIB = MadeDeb(name="zlib1g", version="1:1.2", fields={"Multi-Arch": "same"})


def test_packages_have_their_source_and_its_version(tmp_path: Path) -> None:
    survey = survey_of(install(tmp_path / "root", ZLIB, CURL))
    assert [(each.name, each.version, each.source, each.source_version) for each in survey.packages] == [
        ("curl", "7.88-1+b1", "curl-src", "7.88-1"),
        ("zlib1g", "1:1.2", "zlib1g", "1:1.2"),
    ]
    assert (survey.system, survey.architecture) == ("dpkg", "amd64")
    assert (survey.release.id, survey.release.version, survey.release.codename) == ("debian", "12", "bookworm")
    assert pickle.loads(pickle.dumps(survey)) == survey  # noqa: S301  # it travels so from the worker process


def test_the_hold_of_a_package_is_seen_and_what_was_removed_is_not_there(tmp_path: Path) -> None:
    tree = install(tmp_path / "root", CURL, ZLIB)
    text = status(tmp_path / "root").replace("install ok installed", "hold ok installed", 1)
    text = text.replace("install ok installed", "deinstall ok config-files", 1)
    write(tmp_path / "root", {"var/lib/dpkg/status": text})
    assert [(each.name, each.held) for each in survey_of(tree).packages] == [("curl", True)]


def test_an_image_without_the_database_is_another_systems(tmp_path: Path) -> None:
    write(tmp_path, {"etc/os-release": "ID=alpine\n"})
    assert system().survey(FolderTree(tmp_path)) is None


def test_packages_of_images_without_dpkg_have_a_file_each(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "usr/lib/os-release": 'ID=debian\nVERSION_ID="12"\n',
            "var/lib/dpkg/status.d/curl": CURL.stanza,
            "var/lib/dpkg/status.d/curl.md5sums": "0  usr/bin/curl\n",
        },
    )
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").symlink_to("../usr/lib/os-release")
    (found,) = survey_of(FolderTree(tmp_path)).packages
    assert (found.name, found.path) == ("curl", "var/lib/dpkg/status.d/curl")


@pytest.mark.parametrize(
    "text",
    [
        "Package: curl\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n" * 2,
        "Package: curl\nStatus: fine\nVersion: 1\nArchitecture: amd64\n",
        "Package: ../../etc/passwd\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n",
        "Package: curl\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\nDepends: (((\n",
        "Package: curl\nStatus: install ok installed\nVersion:\nArchitecture: amd64\n",
        "Package: curl\nStatus: install ok installed\nVersion: 1\nArchitecture: ../x\n",
        "no field at all\n",
        "\0\0\0\n",
    ],
)
def test_a_database_that_cannot_be_read_is_corrupt(tmp_path: Path, text: str) -> None:
    tree = install(tmp_path / "root")
    write(tmp_path / "root", {"var/lib/dpkg/status": text})
    with pytest.raises(FixFailure) as caught:
        survey_of(tree)
    assert caught.value.why is FixReason.DATABASE_CORRUPT


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ID=kali\nID_LIKE=debian\n", FixReason.DISTRIBUTION_UNSUPPORTED),
        ("", FixReason.DISTRIBUTION_UNSUPPORTED),
        ('ID=debian\nVERSION_ID="9"\n', FixReason.END_OF_LIFE),
    ],
)
def test_distributions_that_nobody_fixes_are_told_apart(tmp_path: Path, text: str, why: FixReason) -> None:
    tree = install(tmp_path / "root", CURL)
    write(tmp_path / "root", {"etc/os-release": text})
    with pytest.raises(FixFailure) as caught:
        survey_of(tree)
    assert caught.value.why is why


LINES = """
# deb http://commented.example/debian bookworm main
deb http://deb.example/debian/ bookworm main contrib # why
deb-src http://deb.example/debian bookworm main
deb [arch=amd64 signed-by=/evil.gpg trusted=yes] https://user:secret@deb.example/security bookworm-security main
deb [ arch=arm64,i386 ] http://other.example/debian bookworm main
deb cdrom:[Debian]/ bookworm main
deb http://flat.example/ ./
"""
STANZAS = """
# comment
Types: deb deb-src
URIs: http://a.example/debian http://b.example/debian
Suites: trixie
 trixie-updates
Components: main
Signed-By: /usr/share/keyrings/whatever.gpg

Types: deb
URIs: http://off.example/debian
Suites: trixie
Components: main
Enabled: no

Types: deb
URIs: http://arm.example/debian
Suites: trixie
Components: main
Architectures: arm64
"""


def test_sources_are_those_that_are_switched_on_for_the_architecture(tmp_path: Path) -> None:
    tree = install(
        tmp_path / "root",
        CURL,
        files={"etc/apt/sources.list": LINES, "etc/apt/sources.list.d/debian.sources": STANZAS},
    )
    assert survey_of(tree).repositories == (
        RepositoryRef(address="http://deb.example/debian", suite="bookworm", components=("main", "contrib")),
        RepositoryRef(address="https://deb.example/security", suite="bookworm-security", components=("main",)),
        *(
            RepositoryRef(address=f"http://{host}.example/debian", suite=suite, components=("main",))
            for host in "ab"
            for suite in ("trixie", "trixie-updates")
        ),
    )


def test_only_what_the_survey_reads_is_asked_for() -> None:
    wanted = [
        "var/lib/dpkg/status",
        "var/lib/dpkg/status.d/tzdata",
        "var/lib/dpkg/info/tzdata.postinst",
        "var/lib/dpkg/triggers/File",
        "etc/apt/sources.list.d/debian.sources",
        "usr/lib/os-release",
        "etc/passwd",
    ]
    others = [
        "etc/shadow",
        "var/lib/dpkg/status.d/tzdata.md5sums",
        "var/lib/dpkg/info/tzdata.list",
        "etc/apt/key.gpg",
    ]
    assert [path for path in wanted + others if system().wants(path)] == wanted


def test_an_empty_file_of_the_database_hides_no_other(tmp_path: Path) -> None:
    root = tmp_path / "root"
    install(root, CURL, ZLIB)
    folder = root / "var/lib/dpkg/triggers"
    write(
        root, {"var/lib/dpkg/triggers/Lock": "", "var/lib/dpkg/triggers/Unincorp": "", f"{INFO}/curl.preinst": ""}
    )
    write(root, {"var/lib/dpkg/triggers/listened-to": "zlib1g\n", f"{INFO}/curl.prerm": "#!/bin/sh\n"})
    (folder / "zz").touch()
    parts = dict(parts_of(survey_of(FolderTree(root)).database))
    assert {f"{TRIGGERS}/listened-to", f"{INFO}/curl.prerm", FACTS} <= parts.keys()
    assert "" not in parts
