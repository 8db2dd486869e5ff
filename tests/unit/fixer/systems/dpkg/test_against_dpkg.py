"""The layer and the database held against what the machine's own dpkg makes of the same packages."""

from __future__ import annotations

import dataclasses
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from services.fixer.plan.packages import SystemPlan, Upgrade
from tests.builders.debs import Entry, MadeDeb, directory, hard, link
from tests.builders.dpkg_images import OS_RELEASE, survey_of, system, write
from tests.fakes.folders import FolderLayer, FolderTree

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("dpkg") is None, reason="needs root and dpkg"),
]
_OWN = {"var/lib/dpkg/status-old", "var/lib/dpkg/lock", "var/lib/dpkg/lock-frontend"}
CONFIGURATION = [
    f"etc/tool.d/{name}" for name in ("kept", "changed", "deleted", "same", "dropped", "last", "gone")
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """Packages as they are installed, what is done to the image then, and the packages that come."""

    old: Sequence[MadeDeb]
    new: Sequence[MadeDeb]
    change: Callable[[Path], object] = lambda _: None
    options: str = ""
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)


def tool(version: str, files: Mapping[str, Entry | str], *, name: str = "tool", **more: object) -> MadeDeb:
    made = MadeDeb(name=name, version=version, files=files)
    return dataclasses.replace(made, **more)  # type: ignore[arg-type]  # of a test's choosing


def conffiles(*paths: str) -> dict[str, str]:
    return {"conffiles": "".join(f"/{path}\n" for path in paths)}


def edit(root: Path) -> None:
    for name in ("kept", "changed", "last"):
        (root / f"etc/tool.d/{name}").write_text("mine\n")
        (root / f"etc/tool.d/{name}").chmod(0o600)
    for name in ("deleted", "gone"):
        (root / f"etc/tool.d/{name}").unlink()
    (root / "etc/tool.d/mode").chmod(0o640)
    (root / "etc/tool.d/mode.dpkg-dist").write_text("of another time\n")
    for name in ("changed", "mode", "kept", "deleted"):
        (root / f"etc/tool.d/{name}.dpkg-old").write_text("of another time\n")
    (root / "etc/tool.d/brought").write_text("was there\n")


def divert(root: Path) -> None:
    for name in ("tool", "dropped"):
        _dpkg("divert", root, "--local", "--rename", "--divert", f"/usr/bin/{name}.real", f"/usr/bin/{name}")


def merge_usr(root: Path) -> None:
    (root / "usr/lib").mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")


SAME = {"Multi-Arch": "same"}
CASES = {
    "files of every kind": Case(
        old=[
            tool(
                "1",
                {"usr/bin/tool": "1", "usr/lib/gone/deep/file": "1", "usr/lib/kept/x": "1", "usr/x": link("y")},
            )
        ],
        new=[
            tool(
                "2",
                {
                    "usr/bin/tool": Entry(b"2", mode=0o4755),
                    "usr/bin/alias": hard("usr/bin/tool", 0o4755),
                    "usr/x": link("z"),
                    "usr/lib/kept/y": "2",
                    "usr/empty": directory(0o1777),
                },
                fields={
                    "Section": "misc",
                    "Priority": "optional",
                    "Homepage": "https://x.invalid",
                    "Depends": "a(>=1)|b",
                },
                control={"shlibs": "libtool 1 tool\n", "triggers": "activate-noawait ldconfig\n"},
            )
        ],
        change=lambda root: write(root, {"usr/lib/gone/deep/made-by-hand": "1"}),
    ),
    "configuration files": Case(
        old=[
            tool(
                "1",
                dict.fromkeys((*CONFIGURATION, "etc/tool.d/mode"), "1"),
                control=conffiles(*CONFIGURATION, "etc/tool.d/mode"),
            )
        ],
        new=[
            tool(
                "2",
                {
                    "etc/tool.d/kept": "1",
                    "etc/tool.d/changed": "2",
                    "etc/tool.d/deleted": "2",
                    "etc/tool.d/same": "1",
                    "etc/tool.d/mode": "2",
                    "etc/tool.d/fresh": "2",
                    "etc/tool.d/brought": "2",
                },
                control=conffiles(
                    *(
                        f"etc/tool.d/{name}"
                        for name in ("kept", "changed", "deleted", "same", "mode", "fresh", "brought")
                    )
                ),
            )
        ],
        change=edit,
    ),
    "obsolete configuration files once more": Case(
        old=[tool("1", {"etc/a": "1", "etc/b": "1"}, control=conffiles("etc/a", "etc/b"))],
        new=[tool("2", {"usr/bin/x": "2"}), tool("3", {"usr/bin/y": "3"}, name="other")],
        change=lambda root: _install(
            root, tool("1.5", {"etc/a": "1"}, control=conffiles("etc/a")), tool("1", {}, name="other")
        ),
    ),
    "merged usr": Case(
        old=[tool("1", {"lib/libtool.so": "1", "lib/dropped": "1", "lib/moved": "1"})],
        new=[tool("2", {"lib/libtool.so": "2", "usr/lib/moved": "2"})],
        change=lambda root: None,
        files={"": "merge"},
    ),
    "diversions": Case(
        old=[tool("1", {"usr/bin/tool": "1", "usr/bin/dropped": "1"})],
        new=[tool("2", {"usr/bin/tool": "2"})],
        change=divert,
    ),
    "overrides": Case(
        old=[tool("1", {"usr/bin/tool": "1"})],
        new=[tool("2", {"usr/bin/tool": "2"})],
        change=lambda root: _dpkg("statoverride", root, "--update", "--add", "#7", "#8", "4711", "/usr/bin/tool"),
    ),
    "excluded paths": Case(
        old=[tool("1", {"usr/share/doc/tool/changelog": "1", "usr/share/doc/tool/copyright": "1"})],
        new=[
            tool(
                "2",
                {
                    "usr/share/doc/tool/changelog": "2",
                    "usr/share/doc/tool/copyright": "2",
                    "usr/share/doc/tool/more/x": "2",
                    "usr/share/man/man1/tool.1": "2",
                    "usr/share/doc/tool/link": link("x"),
                    "usr/bin/tool": "2",
                },
            )
        ],
        options="path-exclude=/usr/share/doc/*\npath-include=/usr/share/doc/*/copyright\npath-exclude=/usr/share/man/*\n",
    ),
    "several architectures": Case(
        old=[
            tool("1", {"usr/share/x": "1", f"usr/lib/{each}": "1"}, fields=SAME, architecture=each)
            for each in ("amd64", "i386")
        ],
        new=[
            tool("2", {"usr/share/x": "2", f"usr/lib/{each}": "2"}, fields=SAME, architecture=each)
            for each in ("amd64", "i386")
        ],
    ),
    "a file that is taken over": Case(
        old=[tool("1", {"usr/a": "1"}), tool("1", {"usr/b": "1", "usr/c": "1"}, name="other")],
        new=[tool("2", {"usr/a": "2", "usr/b": "2"}, fields={"Replaces": "other (<< 9), nothing"})],
    ),
    "a file that moves to a sibling": Case(
        old=[tool("1", {"usr/a": "1", "usr/b": "1"}), tool("1", {"usr/c": "1"}, name="other")],
        new=[
            tool("2", {"usr/a": "2"}),
            tool("2", {"usr/b": "2", "usr/c": "2"}, name="other", fields={"Replaces": "tool"}),
        ],
    ),
    "a directory in a link's place": Case(
        old=[tool("1", {"usr/share/doc/tool/readme": "1"})],
        new=[tool("2", {"usr/share/doc/tool": link("other"), "usr/share/doc/other/readme": "2"})],
        change=lambda root: write(root, {"usr/share/doc/tool/by-hand": "1"}),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_same_is_left_as_by_dpkg(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    _prepare(theirs, case)
    subprocess.run(["cp", "-a", theirs, ours], check=True)
    tree = FolderTree(ours)
    survey = survey_of(tree)
    files: dict[str, Path] = {}
    upgrades = []
    for each in sorted(case.new, key=lambda made: (made.name, made.architecture)):
        candidate = each.candidate()
        files[candidate.url] = _file(tmp_path, each)
        (installed,) = [
            package
            for package in survey.packages
            if (package.name, package.architecture) == (each.name, each.architecture)
        ]
        upgrades.append(Upgrade(installed=installed, candidate=candidate, because=()))
    # Read from a copy: what is written must not be read again.
    subprocess.run(["cp", "-a", ours, tmp_path / "read"], check=True)
    system().build(
        FolderTree(tmp_path / "read"), SystemPlan(upgrades=tuple(upgrades), refusals=()), files, FolderLayer(ours)
    )
    _dpkg("", theirs, *_options(case), "--install", *(str(_file(tmp_path, each)) for each in case.new))
    assert list(_differences(theirs, ours)) == []


def _prepare(root: Path, case: Case) -> None:
    write(root, {"etc/os-release": OS_RELEASE, "var/lib/dpkg/status": "", "var/lib/dpkg/arch": "amd64\ni386\n"})
    for folder in ("info", "updates", "triggers"):
        (root / "var/lib/dpkg" / folder).mkdir()
    write(
        root, {"etc/passwd": "root:x:0:0\nlp:x:7:7\n", "etc/group": "root:x:0\nmail:x:8\n"}
    )  # as this machine has them
    if case.files:
        merge_usr(root)
    if case.options:
        write(root, {"etc/dpkg/dpkg.cfg.d/docker": case.options})
    _install(root, *case.old, options=_options(case))
    case.change(root)


def _install(root: Path, *debs: MadeDeb, options: Sequence[str] = ()) -> None:
    _dpkg("", root, *options, "--install", *(str(_file(root.parent, each)) for each in debs))


def _file(folder: Path, made: MadeDeb) -> Path:
    path = folder / f"{made.name}_{made.version}_{made.architecture}.deb"
    path.write_bytes(made.build())
    return path


def _options(case: Case) -> list[str]:
    return [f"--{line}" for line in case.options.splitlines()]


def _dpkg(which: str, root: Path, *arguments: str) -> None:
    if which:
        command = [f"dpkg-{which}", f"--root={root}", *arguments]
    else:
        command = ["dpkg", f"--root={root}", "--force-confold,depends", *arguments]
    run = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert run.returncode == 0, run.stdout + run.stderr


def _differences(theirs: Path, ours: Path) -> Iterator[str]:
    for path in sorted({*_paths(theirs), *_paths(ours)} - _OWN):
        one, other = theirs / path, ours / path
        if not os.path.lexists(one) or not os.path.lexists(other):
            yield f"{path}: only {'ours' if os.path.lexists(other) else 'theirs'}"
        elif _facts(one) != _facts(other):
            yield f"{path}: {_facts(other)} instead of {_facts(one)}"


def _facts(path: Path) -> tuple[object, ...]:
    found = path.lstat()
    content: object = None
    if stat.S_ISLNK(found.st_mode):
        content = path.readlink()
    elif stat.S_ISREG(found.st_mode):
        content = path.read_bytes()
    links = found.st_nlink if stat.S_ISREG(found.st_mode) else 0
    return stat.filemode(found.st_mode), found.st_uid, found.st_gid, links, content


def _paths(root: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            yield str((Path(folder) / name).relative_to(root))
