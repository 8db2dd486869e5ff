"""The survey of an image that apk made."""

from __future__ import annotations

import pytest

from services.fixer.failure import FixFailure, FixReason
from services.fixer.plan.packages import RepositoryRef
from services.fixer.systems.apk.survey import known
from services.fixer.systems.apk.system import ApkSystem
from tests.builders.apk_fixes import survey_of
from tests.builders.apks import Apk, install
from tests.fakes.trees import FakeTree

SSL = Apk(name="libssl3", version="3.3.0-r0", origin="openssl")
SHELL = Apk(
    name="busybox",
    version="1.36.1-r1",
    files={"bin/busybox": b"elf"},
    scripts={"trigger": "#!/bin/sh\n"},
    triggers="/bin /usr/bin",
)


def test_an_image_without_the_database_is_none_of_ours() -> None:
    assert ApkSystem().survey(FakeTree()) is None


def test_packages_distribution_and_architecture_are_told() -> None:
    survey = survey_of(install(SSL, SHELL))
    assert [(each.name, each.version, each.source, each.path) for each in survey.packages] == [
        ("busybox", "1.36.1-r1", "busybox", "lib/apk/db/installed"),
        ("libssl3", "3.3.0-r0", "openssl", "lib/apk/db/installed"),
    ]
    assert (survey.release.id, survey.release.version, survey.architecture) == ("alpine", "3.20.1", "x86_64")


def test_the_database_is_found_where_lib_is_a_link() -> None:
    tree = install(SSL, folder="usr/lib/apk/db")
    tree.add_link("lib", "usr/lib")
    assert survey_of(tree).packages[0].path == "usr/lib/apk/db/installed"


def test_two_databases_are_corrupt() -> None:
    tree = install(SSL, folder="usr/lib/apk/db")
    tree.add_file("lib/apk/db/installed", b"")
    with pytest.raises(FixFailure) as failure:
        survey_of(tree)
    assert failure.value.why is FixReason.DATABASE_CORRUPT


def test_repositories_are_read_with_their_tags() -> None:
    lines = b"""# http://commented.invalid/main
/media/cdrom/apks
https://dl.invalid/v3.20/main/
@edge https://dl.invalid/edge/main
http://user:secret@dl.invalid/main
ftp://dl.invalid/main
https://dl.invalid/v3.20/main
"""
    more = {
        "etc/apk/repositories.d/x.list": b"https://more.invalid/main\n",
        "etc/apk/repositories.d/x": b"https://no\n",
    }
    tree = install(SSL, etc={"etc/apk/repositories": lines, **more})
    assert survey_of(tree).repositories == (
        RepositoryRef(address="https://dl.invalid/v3.20/main"),
        RepositoryRef(address="https://dl.invalid/edge/main", name="edge"),
        RepositoryRef(address="https://more.invalid/main"),
    )


@pytest.mark.parametrize(
    ("world", "held"),
    [
        ("libssl3=3.3.0-r0", True),
        ("libssl3<3.4", True),
        ("libssl3~3.3", True),
        ("libssl3>3", False),
        ("libssl3", False),
    ],
)
def test_what_world_pins_is_held(world: str, held: bool) -> None:
    assert survey_of(install(SSL, world=world)).packages[0].held is held


def test_triggers_come_with_their_scripts() -> None:
    facts = known(survey_of(install(SSL, SHELL)))
    assert facts.triggers == {SHELL.checksum(): ("/bin", "/usr/bin")}
    assert facts.trigger_scripts == {"busybox": b"#!/bin/sh\n"}


def test_the_architecture_is_that_of_the_packages_where_nothing_else_says_it() -> None:
    tree = install(SSL, Apk(name="doc", version="1-r0", architecture="noarch"))
    tree.take("etc/apk/arch")
    assert survey_of(tree).architecture == "x86_64"


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("lib/apk/db/installed", b"P:a\nF:etc\n"),
        ("lib/apk/db/scripts.tar", b"no archive" * 100),
        ("lib/apk/db/scripts.tar", b"\x1f\x8bnot gzip"),
        ("lib/apk/db/triggers", b"what is this\n"),
        ("etc/apk/arch", b"../../x\n"),
    ],
)
def test_what_cannot_be_read_is_a_corrupt_database(path: str, content: bytes) -> None:
    tree = install(SSL)
    tree.add_file(path, content)
    with pytest.raises(FixFailure) as failure:
        survey_of(tree)
    assert failure.value.why is FixReason.DATABASE_CORRUPT


def test_only_what_is_read_is_wanted() -> None:
    wanted = {path for path in install(SSL, SHELL).contents if ApkSystem().wants(path)}
    assert wanted == {
        "lib/apk/db/installed",
        "lib/apk/db/scripts.tar",
        "lib/apk/db/triggers",
        "etc/apk/world",
        "etc/apk/arch",
        "etc/apk/repositories",
        "etc/os-release",
    }


def test_the_lock_of_apkos_build_holds_nothing() -> None:
    tree = install(SSL, SHELL, world="libssl3=3.3.0-r0 busybox<2", etc={"etc/apko.json": b"{}"})
    assert [each.held for each in survey_of(tree).packages] == [True, False]
