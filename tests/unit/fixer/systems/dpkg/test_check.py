"""Scripts and triggers: what may be left out, and what keeps a package from being replaced."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from services.fixer.plan.outcome import NotFixable
from services.fixer.plan.packages import SystemPlan
from services.fixer.systems.dpkg.reviewed import REVIEWED
from services.fixer.systems.dpkg.reviews.review import Review
from services.fixer.systems.dpkg.scripts import Scripts, fingerprint, kept_by, residual, why_matters
from tests.builders.debs import MadeDeb
from tests.builders.dpkg_images import install, plan_of, system

SYSTEMD = """# Automatically added by dh_installsystemd/13.11.4
if [ "$1" = "configure" ]; then
\tdeb-systemd-helper unmask 'tool.service' >/dev/null || true
fi
# End automatically added section
"""
RM_CONFFILE = """# Automatically added by dh_installdeb/13.11.4
dpkg-maintscript-helper rm_conffile /etc/tool.conf 0.9\\~ -- "$@"
# End automatically added section
"""
APT_POSTRM = """#! /bin/sh
set -e
# a comment that does not matter
case "$1" in
       remove)
\t\t;;
       purge)
\t\trm -rf /var/cache/apt
\t\trm -rf /var/lib/apt
esac
"""


def script(text: str) -> str:
    return f"#!/bin/sh\nset -e\n\n{text}\nexit 0\n"


def judged(old: dict[str, str], new: dict[str, str], *, installed: str = "1.0") -> str | None:
    def scripts(version: str, texts: dict[str, str]) -> Scripts:
        return Scripts(
            package="tool", version=version, texts={name: each.encode() for name, each in texts.items()}
        )

    return why_matters(scripts(installed, old), scripts("1.1", new))


def test_a_package_without_scripts_needs_none() -> None:
    assert judged({}, {}) is None
    assert judged({"prerm": script("# nothing")}, {"postinst": script("")}) is None


def test_what_nobody_has_read_matters() -> None:
    assert "postinst" in (judged({}, {"postinst": script("useradd tool")}) or "")
    assert "prerm" in (judged({"prerm": script("useradd tool")}, {}) or "")


def test_scripts_that_do_not_run_on_an_upgrade_do_not_matter() -> None:
    assert (
        judged({"preinst": script("x"), "postinst": script("x")}, {"prerm": script("x"), "postrm": script("x")})
        is None
    )


def test_what_was_set_up_at_installation_need_not_be_set_up_again() -> None:
    new = {"postinst": script(SYSTEMD)}
    assert judged({"postinst": script(SYSTEMD)}, new) is None
    assert "dh_installsystemd" in (judged({}, new) or "")
    other = SYSTEMD.replace("tool.service", "new.service")
    assert judged({"postinst": script(other)}, new) is not None


def test_a_configuration_file_is_moved_only_for_versions_before() -> None:
    new = {"preinst": script(RM_CONFFILE)}
    assert judged({}, new) is None
    assert "/etc/tool.conf" in (judged({}, new, installed="0.8") or "")
    assert judged({}, {"preinst": script(RM_CONFFILE.replace(" 0.9\\~", ""))}) is not None


def test_a_part_of_an_unknown_kind_matters() -> None:
    assert judged({}, {"postinst": script(SYSTEMD.replace("dh_installsystemd", "dh_somethingelse"))}) is not None


def test_a_part_that_calls_a_program_matters_where_the_image_has_it() -> None:
    part = SYSTEMD.replace("dh_installsystemd", "dh_icons")
    scripts = Scripts(package="tool", version="1.0", texts={"postinst": script(part).encode()})
    assert why_matters(scripts, scripts) is None
    assert "dh_icons" in (why_matters(scripts, scripts, {"file /usr/sbin/update-icon-caches"}) or "")


def test_a_script_that_is_a_program_matters() -> None:
    assert judged({}, {"preinst": "\x7fELF program"}) is not None
    assert judged({}, {"preinst": "#!/usr/bin/perl\nexit 0\n"}) is not None


def test_a_script_that_was_read_is_known_by_what_its_maintainer_wrote() -> None:
    assert judged({"postrm": APT_POSTRM}, {}) is None
    assert judged({"postrm": APT_POSTRM.replace("rm -rf /var/lib/apt", "rm -rf /")}, {}) is not None


def test_the_packages_own_version_is_no_part_of_a_script() -> None:
    one, other = (
        residual(script(f"if [ $x = {version} ]; then y; fi").encode(), version)[0]
        for version in ("2.36-9", "2.36-10")
    )
    assert one == other


def test_reviews_say_why_and_have_room_for_no_doubt() -> None:
    assert all(len(key) == 64 and each.reason and each.script for key, each in REVIEWED.items())
    assert any(each.matters and each.script.startswith("ca-certificates") for each in REVIEWED.values())


def test_a_file_whose_owner_a_script_sets_keeps_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    (ssh,) = [(key, each) for key, each in REVIEWED.items() if each.script == "openssh-client.postinst"]
    text = "chgrp _ssh /usr/bin/ssh-agent"
    monkeypatch.setattr("services.fixer.systems.dpkg.scripts.REVIEWED", {fingerprint(text): ssh[1]})
    new = Scripts(package="openssh-client", version="1:9.2", texts={"postinst": script(text).encode()})
    assert kept_by(new) == {"usr/bin/ssh-agent"}


def checked(tmp_path: Path, installed: list[MadeDeb], new: list[MadeDeb], **files: str) -> SystemPlan:
    tree = install(
        tmp_path / "root", *installed, files={key.replace("__", "/"): text for key, text in files.items()}
    )
    plan, paths, survey = plan_of(tree, *new)
    return system().check(survey, plan, paths)


def made(name: str, version: str, fields: Mapping[str, str] = MappingProxyType({}), **control: str) -> MadeDeb:
    return MadeDeb(name=name, version=version, fields=fields, control=control, files={f"usr/bin/{name}": version})


def test_a_package_that_needs_its_scripts_takes_only_what_needs_it_along(tmp_path: Path) -> None:
    old = [made(name, "1.0") for name in ("certs", "curl", "vim")]
    new = [
        made("certs", "1.1", postinst=script("update-certs")),
        made("curl", "1.1", {"Depends": "certs (>= 1.1)"}),
        made("vim", "1.1"),
    ]
    found = checked(tmp_path, old, new)
    assert [each.installed.name for each in found.upgrades] == ["vim"]
    assert {each.finding.package: each.why for each in found.refusals} == {
        "certs": NotFixable.NEEDS_REBUILD,
        "curl": NotFixable.NEEDS_REBUILD,
    }
    assert all("postinst" in each.message and each.message.endswith(".") for each in found.refusals)


def test_what_a_package_that_stays_needs_stays_for_the_same_reason(tmp_path: Path) -> None:
    old = [made("pam", "1.0", {"Depends": "pam-bin (= 1.0)"}), made("pam-bin", "1.0")]
    new = [made("pam", "1.1", {"Depends": "pam-bin (= 1.1)"}, postinst=script("x")), made("pam-bin", "1.1")]
    found = checked(tmp_path, old, new)
    assert not found.upgrades
    assert [each.why for each in found.refusals] == [NotFixable.NEEDS_REBUILD] * 2
    assert found.refusals[1].message.startswith(
        "pam 1.0 needs pam-bin (= 1.0), and stays as it is: pam 1.1 needs "
    )


NEEDS = Review("tool.postinst", "makes /etc/tool.allow where it is missing", needs=("file /etc/hosts.allow",))
UNLESS = Review("tool.postinst", "takes away what versions of old left", unless=("name /etc/psdatabase",))


@pytest.mark.parametrize(
    ("review", "there", "moves"),
    [
        (NEEDS, "etc/hosts.allow", True),
        (NEEDS, "x", False),
        (UNLESS, "x", True),
        (UNLESS, "etc/psdatabase", False),
    ],
)
def test_a_script_may_be_idle_only_in_an_image_that_has_what_it_would_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, review: Review, there: str, moves: bool
) -> None:
    monkeypatch.setattr("services.fixer.systems.dpkg.scripts.REVIEWED", {fingerprint("make"): review})
    new = made("tool", "1.1", postinst=script("make"))
    found = checked(tmp_path, [made("tool", "1.0")], [new], **{there.replace("/", "__"): ""})
    assert bool(found.upgrades) is moves
    assert all("its postinst script matters in an image with" in each.message for each in found.refusals)


def test_the_installed_versions_scripts_count_too(tmp_path: Path) -> None:
    found = checked(tmp_path, [made("tool", "1.0", prerm=script("undo"))], [made("tool", "1.1")])
    assert not found.upgrades


@pytest.mark.parametrize(
    ("old", "new", "moves"),
    [
        ({"shlibs": "libtool 1 tool (>= 1)\n"}, {"shlibs": "libtool 1 tool (>= 1.1)\n"}, True),
        ({"shlibs": "libtool 1 tool (>= 1)\n"}, {"shlibs": "libtool 2 tool (>= 1.1)\n"}, False),
        ({"shlibs": "libtool 1 tool\nlibold 1 tool\n"}, {"shlibs": "libtool 1 tool\n"}, False),
        ({}, {"triggers": "# why\nactivate-noawait ldconfig\n"}, True),
        ({}, {"triggers": "activate-noawait update-certs\n"}, False),
        ({}, {"triggers": "activate-noawait nobody-listens\n"}, True),
        ({}, {"triggers": "interest-noawait /usr/share/icons\n"}, False),
    ],
)
def test_libraries_and_triggers_decide_too(
    tmp_path: Path, old: dict[str, str], new: dict[str, str], moves: bool
) -> None:
    listening = {
        "var__lib__dpkg__triggers__update-certs": "certs\n",
        "var__lib__dpkg__triggers__ldconfig": "libc-bin\n",
    }
    found = checked(tmp_path, [made("tool", "1.0", {}, **old)], [made("tool", "1.1", {}, **new)], **listening)
    assert bool(found.upgrades) is moves


@pytest.mark.parametrize(("listener", "moves"), [("man-db", True), ("libglib2.0-0:amd64", False)])
def test_who_wants_to_know_of_files_has_to_be_told(tmp_path: Path, listener: str, moves: bool) -> None:
    file = {"var__lib__dpkg__triggers__File": f"/usr/bin {listener}/noawait\n"}
    found = checked(tmp_path, [made("tool", "1.0")], [made("tool", "1.1")], **file)
    assert bool(found.upgrades) is moves


def test_configuration_files_are_among_the_files_that_somebody_wants_to_know_of(tmp_path: Path) -> None:
    file = {"var__lib__dpkg__triggers__File": "/etc/tool.d watcher\n"}
    old, new = (
        MadeDeb(
            name="tool",
            version=version,
            files={"etc/tool.d/tool.conf": version},
            control={"conffiles": "/etc/tool.d/tool.conf\n", "md5sums": ""},
        )
        for version in ("1.0", "1.1")
    )
    found = checked(tmp_path, [old], [new], **file)
    assert [each.message for each in found.refusals] == [
        "tool 1.1 needs its image to be built anew: watcher has to know of its files in /etc/tool.d."
    ]
