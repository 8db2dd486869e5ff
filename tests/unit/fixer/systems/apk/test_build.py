"""Building: files, removals and the database as apk would leave them."""

from __future__ import annotations

import dataclasses
import io
import tarfile
from pathlib import Path

import pytest

from services.fixer.failure import FixFailure, FixReason
from services.fixer.image.node import NodeKind
from services.fixer.systems.apk.system import ApkSystem
from tests.builders.apk_fixes import Fix, fetch, fix, plan_of
from tests.builders.apks import Apk, Content, Folder, Hard, Link, Special, finding, install, record_of
from tests.fakes.trees import FakeTree

OLD = Apk(
    name="tool",
    version="1-r0",
    files={
        "usr/bin/tool": Special(b"old", mode=0o755),
        "usr/lib/tool/gone": b"gone",
        "usr/lib/tool/sub/gone": b"gone",
        "etc/tool.conf": b"old\n",
    },
    scripts={"post-install": "old\n"},
)
STAYS = Apk(
    name="stays", version="1-r0", files={"usr/bin/stays": b"s"}, scripts={"trigger": "t\n"}, triggers="/nowhere"
)
FILES: dict[str, Content] = {"usr/bin/tool": Special(b"new", mode=0o755), "etc/tool.conf": b"new\n"}


def upgraded(folder: Path, new: Apk, tree: FakeTree | None = None) -> Fix:
    return fix(folder, tree or install(OLD, STAYS), [new], [finding(OLD, new.version)])


def new_with(files: dict[str, Content] | None = None) -> Apk:
    return Apk(name="tool", version="2-r0", files=files if files is not None else FILES)


def test_the_image_is_what_a_fresh_installation_would_be(tmp_path: Path) -> None:
    new = dataclasses.replace(
        new_with(), scripts={"post-install": "new\n", "pre-deinstall": "d\n"}, provides="cmd:t=2"
    )
    done = upgraded(tmp_path, new)
    fresh = install(new, STAYS)
    after = done.after
    assert after.contents == {**fresh.contents, "lib/apk/db/scripts.tar": after.contents["lib/apk/db/scripts.tar"]}
    assert {path: node.kind for path, node in after.nodes.items()} == {
        path: node.kind for path, node in fresh.nodes.items()
    }
    assert done.notes == ()


def test_files_that_no_package_has_any_more_are_taken_away(tmp_path: Path) -> None:
    done = upgraded(tmp_path, new_with())
    assert done.layer.removed == ["usr/lib"]
    assert done.after.get("usr/lib") is None


def test_a_folder_with_somebodys_file_in_it_stays(tmp_path: Path) -> None:
    tree = install(OLD, STAYS)
    tree.add_file("usr/lib/tool/own", b"mine")
    done = upgraded(tmp_path, new_with(), tree)
    assert done.layer.removed == ["usr/lib/tool/gone", "usr/lib/tool/sub"]
    assert done.after.read("usr/lib/tool/own") == b"mine"


def test_a_folder_of_another_package_stays(tmp_path: Path) -> None:
    other = Apk(name="other", version="1-r0", files={"usr/lib/tool": Folder()})
    assert upgraded(tmp_path, new_with(), install(OLD, other)).layer.removed == [
        "usr/lib/tool/gone",
        "usr/lib/tool/sub",
    ]


def test_nothing_else_is_written(tmp_path: Path) -> None:
    done = upgraded(tmp_path, new_with())
    assert sorted(done.layer.entries) == [
        "etc/tool.conf",
        "lib/apk/db/installed",
        "lib/apk/db/scripts.tar",
        "usr/bin/tool",
    ]


def test_owners_modes_links_and_attributes_come_from_the_package(tmp_path: Path) -> None:
    files: dict[str, Content] = {
        "usr/bin/tool": Special(
            b"new",
            mode=0o4755,
            uid=9,
            gid=9,
            user="http",
            group="http",
            xattrs={"security.capability": "\x01\x02"},
        ),
        "usr/bin/same": Hard("usr/bin/tool"),
        "usr/bin/link": Link("tool"),
        "usr/bin/numbers": Special(b"n", uid=77, gid=78, user="nobody-here", group=""),
        "var/lib/tool": Folder(mode=0o1770, uid=5, gid=6),
        "var/lib/tool/file": b"f",
    }
    done = upgraded(tmp_path, new_with(files))
    entries = done.layer.entries
    tool = entries["usr/bin/tool"].attributes
    assert (tool.mode, tool.uid, tool.gid, tool.xattrs) == (0o4755, 33, 34, {"security.capability": b"\x01\x02"})
    assert done.layer.links == {"usr/bin/same": "usr/bin/tool"}
    assert (entries["usr/bin/link"].kind, entries["usr/bin/link"].target) == (NodeKind.SYMBOLIC_LINK, "tool")
    assert (entries["usr/bin/numbers"].attributes.uid, entries["usr/bin/numbers"].attributes.gid) == (77, 78)
    folder = entries["var/lib/tool"].attributes
    assert (folder.mode, folder.uid, folder.gid) == (0o1770, 5, 6)
    database = done.after.read("lib/apk/db/installed").decode()
    assert "R:tool\na:33:34:4755:Q1" in database
    assert "F:var/lib/tool\nM:5:6:1770\n" in database
    assert "R:link\na:0:0:777\nZ:Q1" in database


def test_a_hard_link_has_the_hash_of_its_file(tmp_path: Path) -> None:
    new = new_with({"usr/bin/tool": b"new", "usr/bin/same": Hard("usr/bin/tool")})
    database = upgraded(tmp_path, new).after.read("lib/apk/db/installed").decode()
    assert record_of(new) in database


@pytest.mark.parametrize(
    ("image", "package", "after", "beside"),
    [
        (b"old\n", b"new\n", b"new\n", None),
        (b"mine\n", b"new\n", b"mine\n", b"new\n"),
        (b"mine\n", b"old\n", b"mine\n", b"old\n"),
        (b"new\n", b"new\n", b"new\n", None),
        (None, b"new\n", b"new\n", None),
        (b"mine\n", None, b"mine\n", None),
        (b"old\n", None, None, None),
    ],
)
def test_what_was_changed_under_etc_is_the_administrators(
    tmp_path: Path, image: bytes | None, package: bytes | None, after: bytes | None, beside: bytes | None
) -> None:
    tree = install(OLD, STAYS)
    tree.take("etc/tool.conf")
    if image is not None:
        tree.add_file("etc/tool.conf", image)
    files: dict[str, Content] = {"usr/bin/tool": b"new", "etc": Folder()}
    done = upgraded(tmp_path, new_with(files if package is None else {**files, "etc/tool.conf": package}), tree)
    assert done.after.contents.get("etc/tool.conf") == after
    assert done.after.contents.get("etc/tool.conf.apk-new") == beside
    assert bool(done.notes) is (beside is not None)


def test_a_file_under_etc_that_no_package_had_stays(tmp_path: Path) -> None:
    tree = install(OLD, STAYS)
    tree.add_file("etc/tool.d/x", b"mine")
    done = upgraded(tmp_path, new_with({**FILES, "etc/tool.d/x": b"theirs"}), tree)
    assert (done.after.read("etc/tool.d/x"), done.after.read("etc/tool.d/x.apk-new")) == (b"mine", b"theirs")


@pytest.mark.parametrize(
    ("lines", "kept"),
    [("+usr/bin\n", True), ("usr/*\n", True), ("# +usr/bin\n", False), ("+usr\n-usr/bin\n", False), ("", False)],
)
def test_the_image_says_what_else_is_protected(tmp_path: Path, lines: str, kept: bool) -> None:
    tree = install(OLD, STAYS, etc={"etc/apk/protected_paths.d/own.list": lines.encode()})
    tree.add_file("usr/bin/tool", b"mine")
    done = upgraded(tmp_path, new_with(), tree)
    assert done.after.read("usr/bin/tool") == (b"mine" if kept else b"new")
    assert ("usr/bin/tool.apk-new" in done.after.contents) is kept


def test_what_is_protected_and_unchanged_is_replaced(tmp_path: Path) -> None:
    tree = install(OLD, STAYS, etc={"etc/apk/protected_paths.d/own.list": b"+usr/bin\n"})
    assert upgraded(tmp_path, new_with(), tree).after.read("usr/bin/tool") == b"new"


def test_links_in_the_place_of_folders_stay_links(tmp_path: Path) -> None:
    tree = FakeTree()
    tree.add_folder("usr/lib")
    tree.add_link("lib", "usr/lib")
    old = Apk(name="musl", version="1-r0", files={"lib/ld.so": b"old", "lib/gone.so": b"old"})
    image = install(old, folder="usr/lib/apk/db")
    for path, node in image.nodes.items():
        if path != "lib" and node.kind is not NodeKind.DIRECTORY:
            tree.put(path, node, image.contents.get(path, b""))
    new = dataclasses.replace(old, version="2-r0", files={"lib/ld.so": b"new"})
    done = fix(tmp_path, tree, [new], [finding(old, "2-r0")])
    assert "lib" not in done.layer.entries
    assert done.after.read("usr/lib/ld.so") == b"new"
    assert done.layer.removed == ["usr/lib/gone.so"]


def test_a_file_goes_over_to_the_package_that_replaces_it(tmp_path: Path) -> None:
    other = Apk(name="other", version="1-r0", files={"usr/bin/moved": b"theirs", "usr/bin/other": b"o"})
    new = dataclasses.replace(new_with({**FILES, "usr/bin/moved": b"ours"}), replaces="other")
    done = upgraded(tmp_path, new, install(OLD, other))
    database = done.after.read("lib/apk/db/installed").decode()
    assert database.count("R:moved\n") == 1
    assert record_of(new) in database
    assert done.after.read("usr/bin/moved") == b"ours"


def test_a_file_of_a_package_with_more_say_stays_with_it(tmp_path: Path) -> None:
    other = Apk(
        name="other", version="1-r0", files={"usr/bin/moved": b"theirs"}, replaces="tool", replaces_priority=9
    )
    new = dataclasses.replace(new_with({**FILES, "usr/bin/moved": b"ours"}), replaces="other", replaces_priority=2)
    done = upgraded(tmp_path, new, install(OLD, other))
    assert done.after.read("usr/bin/moved") == b"theirs"
    assert done.after.read("lib/apk/db/installed").decode().count("R:moved\n") == 1


def test_a_file_that_moves_between_packages_of_one_plan_stays(tmp_path: Path) -> None:
    first = Apk(name="a", version="1-r0", files={"usr/share/x": b"1"}, origin="both")
    second = Apk(name="b", version="1-r0", files={"usr/share/y": b"1"}, origin="both")
    new = [
        dataclasses.replace(first, version="2-r0", files={"usr/share/y": b"2"}),
        dataclasses.replace(second, version="2-r0", files={"usr/share/x": b"2"}),
    ]
    done = fix(tmp_path, install(first, second), new, [finding(first, "2-r0")])
    assert done.layer.removed == []
    assert (done.after.read("usr/share/x"), done.after.read("usr/share/y")) == (b"2", b"2")
    assert done.after.read("lib/apk/db/installed").decode() == "".join(map(record_of, new))


def scripts_of(tree: FakeTree) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(tree.read("lib/apk/db/scripts.tar"))) as archive:
        return {entry.name: file.read() for entry in archive if (file := archive.extractfile(entry)) is not None}


def test_scripts_are_exchanged_in_their_place(tmp_path: Path) -> None:
    new = dataclasses.replace(new_with(), scripts={"post-upgrade": "exit 0\n", "pre-install": "x\n"})
    done = upgraded(tmp_path, new)
    assert scripts_of(done.after) == {
        f"tool-2-r0.{new.checksum()}.pre-install": b"x\n",
        f"tool-2-r0.{new.checksum()}.post-upgrade": b"exit 0\n",
        f"stays-1-r0.{STAYS.checksum()}.trigger": b"t\n",
    }


def test_a_long_name_of_a_script_is_written_whole(tmp_path: Path) -> None:
    old = dataclasses.replace(OLD, name="t" * 90)
    new = dataclasses.replace(new_with(), name="t" * 90, scripts={"post-install": "x\n"})
    done = fix(tmp_path, install(old), [new], [finding(old, "2-r0")])
    assert list(scripts_of(done.after)) == [f"{new.name}-2-r0.{new.checksum()}.post-install"]


def test_triggers_are_exchanged_in_their_place(tmp_path: Path) -> None:
    old = dataclasses.replace(OLD, triggers="/old", scripts={"trigger": "exit 0\n"})
    new = dataclasses.replace(new_with(), triggers="/new /newer", scripts={"trigger": "exit 0\n"})
    done = fix(tmp_path, install(old, STAYS), [new], [finding(old, "2-r0")])
    assert done.after.read("lib/apk/db/triggers").decode() == (
        f"{new.checksum()} /new /newer\n{STAYS.checksum()} /nowhere\n"
    )


def test_the_layer_is_the_same_each_time(tmp_path: Path) -> None:
    first, second = upgraded(tmp_path, new_with()).layer, upgraded(tmp_path, new_with()).layer
    assert list(first.entries.items()) == list(second.entries.items())
    assert first.contents == second.contents


def test_world_stays_as_it_is(tmp_path: Path) -> None:
    assert "etc/apk/world" not in upgraded(tmp_path, new_with()).layer.entries


@pytest.mark.parametrize(
    "files",
    [
        {"lib/apk/db/installed": b"x"},
        {"usr": b"a file where a folder is"},
        {"usr/bin/tool/deeper": b"a folder where a file is"},
        {"usr/bin/x": Hard("usr/bin/nothing")},
    ],
)
def test_a_package_that_cannot_be_unpacked_here_is_invalid(tmp_path: Path, files: dict[str, Content]) -> None:
    with pytest.raises(FixFailure) as failure:
        upgraded(tmp_path, new_with(files))
    assert failure.value.why is FixReason.PACKAGE_INVALID


def test_a_package_that_changed_since_it_was_looked_at_is_refused(tmp_path: Path) -> None:
    tree = install(OLD, STAYS)
    done = plan_of(tree, [new_with()], [finding(OLD, "2-r0")])
    files = fetch(tmp_path, [new_with()])
    (path,) = files.values()
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(FixFailure) as failure:
        ApkSystem().build(tree, done.plan, files, done.layer)
    assert failure.value.why is FixReason.PACKAGE_TAMPERED
    assert done.layer.entries == {}


def test_a_database_that_is_another_one_now_is_corrupt(tmp_path: Path) -> None:
    done = plan_of(install(OLD, STAYS), [new_with()], [finding(OLD, "2-r0")])
    with pytest.raises(FixFailure) as failure:
        ApkSystem().build(install(STAYS), done.plan, fetch(tmp_path, [new_with()]), done.layer)
    assert failure.value.why is FixReason.DATABASE_CORRUPT


def test_the_lock_of_apkos_build_is_no_wish_and_goes_along(tmp_path: Path) -> None:
    tree = install(OLD, STAYS, world="tool=1-r0 stays=1-r0", etc={"etc/apko.json": b"{}"})
    done = upgraded(tmp_path, new_with(), tree)
    assert done.after.read("etc/apk/world") == b"tool=2-r0\nstays=1-r0\n"


def test_a_file_that_another_record_has_too_stays(tmp_path: Path) -> None:
    other = Apk(name="other", version="1-r0", files={"usr/lib/tool/gone": b"gone"})
    done = upgraded(tmp_path, new_with(), install(OLD, other))
    assert done.layer.removed == ["usr/lib/tool/sub"]


def test_a_folder_that_gets_files_by_another_name_stays(tmp_path: Path) -> None:
    old = dataclasses.replace(OLD, files={"usr/lib/tool/old": b"old"})
    tree = install(old)
    tree.add_link("lib64", "usr/lib")
    done = fix(tmp_path, tree, [new_with({"lib64/tool/new": b"new"})], [finding(old, "2-r0")])
    assert done.layer.removed == ["usr/lib/tool/old"]
    assert done.after.read("usr/lib/tool/new") == b"new"
