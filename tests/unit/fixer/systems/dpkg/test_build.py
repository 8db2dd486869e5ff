"""The layer: files as dpkg would leave them, and the database byte for byte."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from pysequoia import Cert

from services.fixer.failure import FixFailure, FixReason
from services.fixer.plan.packages import Release
from services.fixer.repositories.keyrings import Keyrings
from tests.builders.debs import Entry, MadeDeb, directory, hard, link
from tests.builders.dpkg_images import (
    RecordingLayer,
    build,
    finding,
    install,
    md5,
    plan_of,
    status,
    survey_of,
    system,
    write,
)
from tests.fakes.folders import FolderTree

INFO = "var/lib/dpkg/info"


def old(**more: object) -> MadeDeb:
    return dataclasses.replace(MadeDeb(name="tool"), **more)  # type: ignore[arg-type]  # of a test's choosing


def new(**more: object) -> MadeDeb:
    return dataclasses.replace(MadeDeb(name="tool", version="1.1"), **more)  # type: ignore[arg-type]  # the same


def test_files_and_record_are_the_new_versions(tmp_path: Path) -> None:
    root = tmp_path / "root"
    tree = install(root, MadeDeb(name="above"), old(files={"usr/bin/tool": "1"}), MadeDeb(name="zlib"))
    made = new(
        files={
            "usr/bin/tool": Entry(b"2", mode=0o755),
            "usr/bin/alias": hard("usr/bin/tool"),
            "usr/bin/name": link("tool"),
            "usr/lib/tool": directory(0o750),
        },
        fields={"Depends": "libc6(>=2.36)|libc, zlib", "Essential": "no", "Homepage": "https://example.invalid"},
        control={"triggers": "activate-noawait ldconfig\n"},
    )
    layer = build(tree, made)
    assert layer.files["usr/bin/tool"] == b"2"
    assert layer.attributes["usr/bin/tool"].mode == 0o755
    assert layer.hard_links == {"usr/bin/alias": "usr/bin/tool"}
    assert layer.links == {"usr/bin/name": "tool"}
    assert layer.directories == {"usr/lib", "usr/lib/tool"}
    assert layer.text(f"{INFO}/tool.list") == (
        "/.\n/usr\n/usr/bin\n/usr/bin/tool\n/usr/bin/alias\n/usr/lib\n/usr/lib/tool\n/usr/bin/name\n"
    )
    assert layer.text(f"{INFO}/tool.md5sums") == made.md5sums
    assert layer.text(f"{INFO}/tool.triggers") == "activate-noawait ldconfig\n"
    before, after = status(root).split("\n\n"), layer.text("var/lib/dpkg/status").split("\n\n")
    assert (after[0], after[2:]) == (before[0], before[2:])
    assert after[1] == (
        "Package: tool\nStatus: install ok installed\nMaintainer: Nobody <nobody@example.invalid>\n"
        "Architecture: amd64\nVersion: 1.1\nDepends: libc6 (>= 2.36) | libc, zlib\n"
        "Description: the package tool\n It is made for tests.\nHomepage: https://example.invalid"
    )
    assert layer.text("var/lib/dpkg/status-old") == status(root)
    assert not layer.removed


def test_a_layer_is_the_same_every_time(tmp_path: Path) -> None:
    layers = [
        build(install(tmp_path / name / "root", old(files={"usr/a": "1"})), new(files={"usr/b": "2"}))
        for name in "ab"
    ]
    assert layers[0].__dict__ == layers[1].__dict__
    assert list(layers[0].attributes) == list(layers[1].attributes)


def test_dropped_files_go_but_for_those_of_others(tmp_path: Path) -> None:
    shared = {"usr/share/common/file": "same"}
    tree = install(
        tmp_path / "root",
        old(
            files={"usr/lib/tool/plugin/a.so": "1", "usr/lib/tool/keep": "1", "usr/share/tool/doc": "1", **shared}
        ),
        MadeDeb(name="other", files=shared),
        files={"usr/share/tool/made-by-hand": "1"},
    )
    layer = build(tree, new(files={"usr/lib/tool/keep": "2"}))
    assert layer.removed == {"usr/lib/tool/plugin/a.so", "usr/lib/tool/plugin", "usr/share/tool/doc"}


def test_a_file_that_moves_to_a_sibling_stays(tmp_path: Path) -> None:
    other = MadeDeb(name="tool-data")
    tree = install(tmp_path / "root", old(files={"usr/share/tool/x": "1"}), other)
    layer = build(
        tree,
        new(),
        dataclasses.replace(other, version="1.1", files={"usr/share/tool/x": "2"}, fields={"Replaces": "tool"}),
    )
    assert layer.files["usr/share/tool/x"] == b"2"
    assert not layer.removed


def test_a_file_that_is_taken_over_leaves_the_others_list(tmp_path: Path) -> None:
    other = MadeDeb(name="other", files={"usr/share/x": "1", "usr/share/y": "1"})
    tree = install(tmp_path / "root", old(), other)
    layer = build(tree, new(files={"usr/share/x": "2"}, fields={"Replaces": "other (<< 2)"}))
    assert layer.text(f"{INFO}/other.list") == "/.\n/usr\n/usr/share\n/usr/share/y\n"


def test_a_file_of_another_package_is_not_overwritten(tmp_path: Path) -> None:
    tree = install(tmp_path / "root", old(), MadeDeb(name="other", files={"usr/share/x": "1"}))
    with pytest.raises(FixFailure) as caught:
        build(tree, new(files={"usr/share/x": "2"}))
    assert caught.value.why is FixReason.PACKAGE_INVALID
    assert "/usr/share/x" in caught.value.message


def test_merged_usr_is_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "usr/lib").mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    tree = install(
        root,
        old(files={"lib/libtool.so.1.0": "1", "lib/dropped": "1", "lib/moved": "1", "lib/others": "1"}),
        MadeDeb(name="other", files={"usr/lib/others": "1"}),
    )
    layer = build(tree, new(files={"lib/libtool.so.1.1": "2", "usr/lib/moved": "2"}))
    assert set(layer.files) >= {"usr/lib/libtool.so.1.1", "usr/lib/moved"}
    assert not any(path.startswith("lib") for path in layer.attributes)
    assert layer.removed == {"usr/lib/libtool.so.1.0", "usr/lib/dropped"}


def test_a_directory_stays_where_the_package_has_a_link(tmp_path: Path) -> None:
    tree = install(tmp_path / "root", old(), files={"usr/share/doc/tool/readme": "1"})
    layer = build(tree, new(files={"usr/share/doc/tool": link("other")}))
    assert not layer.links


CONF = {"conffiles": "/etc/tool.conf\n"}


@pytest.mark.parametrize(
    ("present", "brings", "becomes"),
    [
        ("1", "1", {}),
        ("1", "2", {"etc/tool.conf": "2"}),
        ("mine", "1", {}),
        ("mine", "2", {"etc/tool.conf.dpkg-dist": "2"}),
        ("2", "2", {}),
        (None, "1", {}),
        (None, "2", {"etc/tool.conf.dpkg-dist": "2"}),
    ],
)
def test_a_configuration_file_is_as_somebody_made_it(
    tmp_path: Path, present: str | None, brings: str, becomes: dict[str, str]
) -> None:
    root = tmp_path / "root"
    tree = install(root, old(files={"etc/tool.conf": "1"}, control=CONF))
    (root / "etc/tool.conf").unlink()
    if present is not None:
        write(root, {"etc/tool.conf": present})
        (root / "etc/tool.conf").chmod(0o600)
    layer = build(tree, new(files={"etc/tool.conf": brings}, control=CONF))
    assert {path: layer.text(path) for path in layer.files if path.startswith("etc/")} == becomes
    assert f"\nConffiles:\n /etc/tool.conf {md5(brings)}\n" in layer.text("var/lib/dpkg/status")
    if present is not None:
        assert all(layer.attributes[path].mode == 0o600 for path in becomes)
    assert not layer.removed


def test_a_kept_configuration_file_is_told_of(tmp_path: Path) -> None:
    tree = install(tmp_path / "root", old(files={"etc/tool.conf": "1"}, control=CONF))
    write(tmp_path / "root", {"etc/tool.conf": "mine"})
    plan, files, _ = plan_of(tree, new(files={"etc/tool.conf": "2"}, control=CONF))
    (note,) = system().build(tree, plan, files, RecordingLayer()).notes
    assert "/etc/tool.conf" in note
    assert ".dpkg-dist" in note


def test_an_obsolete_configuration_file_stays_and_is_said_to_be_obsolete(tmp_path: Path) -> None:
    tree = install(tmp_path / "root", old(files={"etc/tool.conf": "1", "etc/tool.d/b": "1"}, control=CONF))
    layer = build(tree, new(files={"usr/bin/tool": "2"}))
    assert layer.removed == {"etc/tool.d/b", "etc/tool.d", f"{INFO}/tool.conffiles"}
    assert f"\n /etc/tool.conf {md5('1')} obsolete\n" in layer.text("var/lib/dpkg/status")
    assert layer.text(f"{INFO}/tool.list").endswith("/usr/bin/tool\n/etc/tool.conf\n")


def test_the_slim_images_leave_out_what_they_left_out_before(tmp_path: Path) -> None:
    slim = "path-exclude=/usr/share/doc/*\npath-include=/usr/share/doc/*/copyright\n# path-exclude=/usr/bin/*\n"
    tree = install(tmp_path / "root", old(), files={"etc/dpkg/dpkg.cfg.d/docker": slim})
    files = {"usr/share/doc/tool/changelog.gz": "2", "usr/share/doc/tool/copyright": "2", "usr/bin/tool": "2"}
    layer = build(tree, new(files=files))
    assert set(layer.files) & set(files) == {"usr/share/doc/tool/copyright", "usr/bin/tool"}
    assert "/usr/share/doc/tool/changelog.gz\n" in layer.text(f"{INFO}/tool.list")


def test_diversions_and_overrides_are_heeded(tmp_path: Path) -> None:
    tree = install(
        tmp_path / "root",
        old(files={"usr/bin/tool": "1", "usr/bin/own": "1"}),
        files={
            "var/lib/dpkg/diversions": (
                "/usr/bin/tool\n/usr/bin/tool.real\nother\n/usr/bin/own\n/usr/bin/own.x\ntool\n"
            ),
            "var/lib/dpkg/statoverride": "daemon #7 4711 /usr/bin/own\n",
            "etc/passwd": "root:x:0:0::/:/bin/sh\ndaemon:x:1:1::/:/bin/sh\nwww:x:33:33::/:/bin/sh\n",
            "etc/group": "root:x:0:\nadm:x:4:\n",
        },
    )
    layer = build(
        tree,
        new(files={"usr/bin/tool": "2", "usr/bin/own": "2", "var/log/tool": Entry(user="www", group="adm")}),
    )
    assert {"usr/bin/tool.real", "usr/bin/own"} < set(layer.files)
    assert "usr/bin/tool" not in layer.attributes
    own = layer.attributes["usr/bin/own"]
    assert (own.uid, own.gid, own.mode) == (1, 7, 0o4711)
    log = layer.attributes["var/log/tool"]
    assert (log.uid, log.gid) == (33, 4)


def test_packages_for_several_architectures_have_records_of_their_own(tmp_path: Path) -> None:
    same = {"Multi-Arch": "same"}
    both = [old(fields=same, files={"usr/share/doc": "1"}, architecture=each) for each in ("amd64", "i386")]
    tree = install(tmp_path / "root", *both)
    layer = build(tree, *(dataclasses.replace(each, version="1.1", files={"usr/share/doc": "2"}) for each in both))
    assert {f"{INFO}/tool:amd64.list", f"{INFO}/tool:i386.list"} < set(layer.files)
    assert layer.text("var/lib/dpkg/status").count("Version: 1.1") == 2


def test_files_of_a_record_that_the_new_version_has_not_go(tmp_path: Path) -> None:
    tree = install(tmp_path / "root", old(control={"shlibs": "libtool 1 tool\n", "postinst": "#!/bin/sh\n"}))
    layer = build(tree, new(control={"postinst": "#!/bin/sh\n"}))
    assert layer.removed == {f"{INFO}/tool.shlibs"}
    assert layer.attributes[f"{INFO}/tool.postinst"].mode == 0o755


def test_a_package_that_is_another_than_the_index_said_is_invalid(tmp_path: Path) -> None:
    tree = install(tmp_path / "root", old())
    plan, files, _ = plan_of(tree, new())
    next(iter(files.values())).write_bytes(new(name="evil").build())
    with pytest.raises(FixFailure) as caught:
        system().build(tree, plan, files, RecordingLayer())
    assert caught.value.why is FixReason.PACKAGE_INVALID


@pytest.mark.parametrize("broken", [f"{INFO}/tool.list", "var/lib/dpkg/diversions", "var/lib/dpkg/statoverride"])
def test_a_database_that_contradicts_itself_is_corrupt(tmp_path: Path, broken: str) -> None:
    root = tmp_path / "root"
    tree = install(
        root, old(files={"usr/bin/tool": "1"}), files={broken: "broken\n"} if "info" not in broken else {}
    )
    if "info" in broken:
        (root / broken).unlink()
    with pytest.raises(FixFailure) as caught:
        build(tree, new(files={"usr/bin/tool": "2"}))
    assert caught.value.why is FixReason.DATABASE_CORRUPT


def test_images_without_dpkg_get_the_packages_own_record(tmp_path: Path) -> None:
    root = tmp_path / "root"
    was = old(files={"usr/lib/tool.so": "1", "usr/lib/dropped": "1"})
    write(
        root,
        {
            "etc/os-release": 'ID=debian\nVERSION_ID="12"\n',
            "var/lib/dpkg/status.d/tool": was.stanza,
            "var/lib/dpkg/status.d/tool.md5sums": was.md5sums,
            "usr/lib/tool.so": "1",
            "usr/lib/dropped": "1",
            "usr/share/doc/tool/copyright": "1",
        },
    )
    (tmp_path / "made").mkdir()
    made = new(
        files={"usr/lib/tool.so": "2", "usr/share/doc/tool/copyright": "2", "usr/share/man/man1/tool.1.gz": "2"},
        control={"postinst": "#!/bin/sh\nrm -rf /\n"},
    )
    tree = FolderTree(root)
    layer = build(tree, made)
    assert layer.text("var/lib/dpkg/status.d/tool") == made.stanza
    assert layer.text("var/lib/dpkg/status.d/tool.md5sums") == made.md5sums
    assert {"usr/lib/tool.so", "usr/share/doc/tool/copyright"} < set(layer.files)
    assert not any("man1" in path or "info" in path for path in layer.files)
    assert layer.removed == {"usr/lib/dropped"}


def test_what_was_compiled_of_the_old_version_goes(tmp_path: Path) -> None:
    cache = "usr/lib/python3/dist-packages/tool/__pycache__"
    module = "usr/lib/python3/dist-packages/tool/a.py"
    clean = {"prerm": "#!/bin/sh\nset -e\npy3clean -p tool\n"}
    tree = install(
        tmp_path / "root",
        old(files={module: "1", "usr/lib/python3/dist-packages/gone/b.py": "1"}, control=clean),
        files={
            f"{cache}/a.cpython-311.pyc": "",
            f"{cache}/ab.cpython-311.pyc": "of another",
            "usr/lib/python3/dist-packages/gone/__pycache__/b.cpython-311.pyc": "",
        },
    )
    layer = build(tree, new(files={module: "2"}, control=clean))
    assert layer.removed == {
        f"{cache}/a.cpython-311.pyc",
        "usr/lib/python3/dist-packages/gone",
        "usr/lib/python3/dist-packages/gone/b.py",
        "usr/lib/python3/dist-packages/gone/__pycache__",
        "usr/lib/python3/dist-packages/gone/__pycache__/b.cpython-311.pyc",
    }


def test_a_file_keeps_the_owner_that_a_script_gave_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.fixer.systems.dpkg.build.kept_by", lambda _: frozenset({"usr/bin/agent"}))
    root = tmp_path / "root"
    tree = install(root, old(files={"usr/bin/agent": "1"}))
    (root / "usr/bin/agent").chmod(0o2755)
    layer = build(tree, new(files={"usr/bin/agent": Entry(b"2", mode=0o755)}))
    assert layer.files["usr/bin/agent"] == b"2"
    assert layer.attributes["usr/bin/agent"].mode == 0o2755


def test_only_what_the_plan_needs_of_the_image_is_read(tmp_path: Path) -> None:
    tree = install(tmp_path / "root", old(files={"etc/tool.conf": "1"}, control=CONF))
    candidate = new(files={"etc/tool.conf": "2"}, control=CONF).candidate()
    plan = system().plan(survey_of(tree), [candidate], [finding("tool")])
    wanted = [
        "etc/tool.conf",
        "etc/passwd",
        "etc/dpkg/dpkg.cfg.d/docker",
        "var/lib/dpkg/status",
        f"{INFO}/zlib.list",
    ]
    others = ["etc/ssl/certs/ca-certificates.crt", "usr/bin/tool", f"{INFO}/zlib.postinst", "etc/shadow"]
    assert [path for path in wanted + others if system().reads(path, plan)] == wanted


def test_a_status_file_of_any_form_changes_only_where_it_must(tmp_path: Path) -> None:
    root = tmp_path / "root"
    tree = install(root, MadeDeb(name="above"), old())
    write(root, {"var/lib/dpkg/status": status(root).rstrip("\n") + "\n"})
    text = build(tree, new()).text("var/lib/dpkg/status")
    assert text.startswith(status(root).partition("\n\n")[0])
    assert text.endswith("It is made for tests.\n")


def test_the_keys_that_are_shipped_can_be_read() -> None:
    for name, number in (("debian", 9), ("ubuntu", 2)):
        keys = Keyrings().of(Release(id=name, version=""))
        assert len([cert for content in keys.values() for cert in Cert.split_bytes(content)]) == number
