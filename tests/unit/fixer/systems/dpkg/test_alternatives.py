"""Alternatives, which scripts register once more on every upgrade."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.fixer.systems.dpkg.alternatives import why_unsettled
from tests.builders.debs import MadeDeb
from tests.builders.dpkg_images import RecordingLayer, build, install, plan_of, system
from tests.fakes.folders import FolderTree

REGISTERS = {
    "postinst": "#!/bin/sh\nset -e\nupdate-alternatives --install /usr/bin/pager pager /usr/bin/less 77\n"
}
MANUAL = "usr/share/man/man1/less.1.gz"
PAGER = """{state}
/usr/bin/pager
pager.1.gz
/usr/share/man/man1/pager.1.gz

/usr/bin/less
77
/usr/share/man/man1/less.1.gz
/usr/bin/more
50

"""
LINKS = {
    "etc/alternatives/pager": "/usr/bin/less",
    "etc/alternatives/pager.1.gz": f"/{MANUAL}",
    "usr/bin/pager": "/etc/alternatives/pager",
    "usr/share/man/man1/pager.1.gz": "/etc/alternatives/pager.1.gz",
}
FURTHER = {"etc/alternatives/pager.1.gz", "usr/share/man/man1/pager.1.gz"}


def image(
    root: Path, *, state: str = "auto", without: tuple[str, ...] = (), control: dict[str, str] = REGISTERS
) -> Path:
    files = {"usr/bin/less": "1", MANUAL: "1"}
    install(
        root, MadeDeb(name="less", files=files, control=control), MadeDeb(name="more", files={"usr/bin/more": "1"})
    )
    folder = root / "var/lib/dpkg/alternatives"
    folder.mkdir(parents=True)
    (folder / "pager").write_text(PAGER.format(state=state))
    for path, target in LINKS.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).symlink_to(target)
    for path in without:
        (root / path).unlink()
    return root


def fixed(root: Path, *, manual: bool = True, control: dict[str, str] = REGISTERS) -> RecordingLayer:
    files = {"usr/bin/less": "2"} | ({MANUAL: "2"} if manual else {})
    return build(FolderTree(root), MadeDeb(name="less", version="1.1", files=files, control=control))


def changed(layer: RecordingLayer) -> tuple[dict[str, str], set[str]]:
    return layer.links, {path for path in layer.removed if path != MANUAL}


def test_links_that_are_right_stay(tmp_path: Path) -> None:
    assert changed(fixed(image(tmp_path / "root"))) == ({}, set())


@pytest.mark.parametrize("state", ["auto", "manual"])
def test_links_to_manual_pages_that_are_not_there_go(tmp_path: Path, state: str) -> None:
    root = image(tmp_path / "root", state=state, without=(MANUAL,))
    assert changed(fixed(root, manual=False)) == ({}, FURTHER)


def test_pages_that_the_image_leaves_out_are_not_there(tmp_path: Path) -> None:
    root = image(tmp_path / "root", without=(MANUAL,))
    (root / "etc/dpkg/dpkg.cfg.d").mkdir(parents=True)
    (root / "etc/dpkg/dpkg.cfg.d/docker").write_text("path-exclude=/usr/share/man/*\n")
    assert changed(fixed(root)) == ({}, FURTHER)


def test_links_that_somebody_took_away_come_back(tmp_path: Path) -> None:
    root = image(tmp_path / "root", without=(MANUAL, *FURTHER))
    assert changed(fixed(root)) == ({path: LINKS[path] for path in FURTHER}, set())


def test_what_somebody_chose_stays(tmp_path: Path) -> None:
    root = image(tmp_path / "root", state="manual")
    (root / "etc/alternatives/pager").unlink()
    (root / "etc/alternatives/pager").symlink_to("/usr/bin/more")
    assert changed(fixed(root)) == ({}, FURTHER)


def test_a_file_in_a_links_place_stays(tmp_path: Path) -> None:
    root = image(tmp_path / "root", without=(MANUAL, "usr/share/man/man1/pager.1.gz"))
    (root / "usr/share/man/man1/pager.1.gz").write_text("mine")
    assert changed(fixed(root, manual=False)) == ({}, {"etc/alternatives/pager.1.gz"})


def test_a_script_that_registers_nothing_changes_no_link(tmp_path: Path) -> None:
    root = image(tmp_path / "root", without=(MANUAL,), control={})
    assert changed(fixed(root, manual=False, control={})) == ({}, set())


@pytest.mark.parametrize(
    "text", ["", "auto", "auto\n/usr/bin/pager\nodd\n\n/usr/bin/less\n77\n", "auto\n/x\n../x\n/y\n\n"]
)
def test_an_alternative_that_cannot_be_read_stays(tmp_path: Path, text: str) -> None:
    root = image(tmp_path / "root", without=(MANUAL,))
    (root / "var/lib/dpkg/alternatives/pager").write_text(text)
    assert changed(fixed(root, manual=False)) == ({}, set())


@pytest.mark.parametrize(
    ("whole", "damaged"),
    [
        ("77", "²"),
        ("77", "--7"),
        ("77", "9" * 5_000),
        ("pager.1.gz\n", "pager\n"),
        ("/usr/bin/pager\n", "\n"),
        ("auto\n/usr/bin/pager", "auto"),
    ],
    ids=["no digit", "two signs", "endless", "a name twice", "no link", "no further line"],
)
def test_an_alternative_that_update_alternatives_would_not_read_is_left(
    tmp_path: Path, whole: str, damaged: str
) -> None:
    root = image(tmp_path / "root", without=(MANUAL,), control=SECTION)
    file = root / "var/lib/dpkg/alternatives/pager"
    file.write_text(file.read_text().replace(whole, damaged, 1))
    layer = fixed(root, manual=False)
    assert not layer.links
    assert refused(root)


def refused(root: Path) -> bool:
    """Whether less needs its image to be built anew on account of its alternatives."""
    files = {"usr/bin/less": "2", MANUAL: "2"}
    plan, fetched, survey = plan_of(
        FolderTree(root), MadeDeb(name="less", version="1.1", files=files, control=SECTION)
    )
    return any("alternative" in each.message for each in system().check(survey, plan, fetched).refusals)


SECTION = {
    "postinst": """#!/bin/sh
set -e
# Automatically added by dh_installalternatives/13.11.4
if [ "$1" = "configure" ]; then
\tupdate-alternatives --install /usr/bin/pager pager /usr/bin/less 77 \\
            --slave /usr/share/man/man1/pager.1.gz pager.1.gz /usr/share/man/man1/less.1.gz
fi
# End automatically added section
"""
}


def test_what_is_as_it_was_registered_may_be_registered_again(tmp_path: Path) -> None:
    assert not refused(image(tmp_path / "root", control=SECTION))
    assert not refused(image(tmp_path / "other", control=SECTION, without=(MANUAL, *FURTHER)))


def test_a_package_whose_registration_would_choose_anew_needs_a_new_image(tmp_path: Path) -> None:
    """Dpkg drops choices that are gone, and takes what a person linked for a choice."""
    assert refused(image(tmp_path / "gone", control=SECTION, without=("usr/bin/more",)))
    assert refused(
        image(tmp_path / "unchosen", state="manual", control=SECTION, without=("etc/alternatives/pager",))
    )
    own = image(tmp_path / "own", control=SECTION)
    (own / "etc/alternatives/pager").unlink()
    (own / "etc/alternatives/pager").symlink_to("/opt/mypager")
    assert refused(own)
    assert changed(fixed(own, control=SECTION)) == ({}, set())
    none = image(tmp_path / "none", control=SECTION, without=("var/lib/dpkg/alternatives/pager",))
    assert refused(none)


def test_a_script_whose_words_are_not_plain_is_held_against_the_files() -> None:
    loop = b"for each in less; do update-alternatives --install /usr/bin/pager pager /usr/bin/$each 77; done"
    facts = ("unsettled /usr/bin/less",)
    assert why_unsettled(loop, {"/usr/bin/less"}, facts) is not None
    assert why_unsettled(loop, {"/usr/bin/other"}, facts) is None


def test_two_packages_of_one_alternative_make_its_links_once(tmp_path: Path) -> None:
    root = image(tmp_path / "root", without=tuple(FURTHER))
    less, more = (
        MadeDeb(name=name, version="1.1", files=files, control=REGISTERS)
        for name, files in (("less", {"usr/bin/less": "2", MANUAL: "2"}), ("more", {"usr/bin/more": "2"}))
    )
    assert changed(build(FolderTree(root), less, more)) == ({path: LINKS[path] for path in FURTHER}, set())
