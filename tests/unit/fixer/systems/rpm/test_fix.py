"""A fix from the image to its layer: what is decided, what is checked, what is written."""

from __future__ import annotations

import dataclasses
import random
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from services.fixer.failure import FixFailure, FixReason
from services.fixer.image.layer import write_layer
from services.fixer.plan.outcome import FindingRef, NotFixable
from services.fixer.plan.packages import SystemPlan
from services.fixer.systems.rpm import tags
from services.fixer.systems.rpm.database import read_database
from services.fixer.systems.rpm.header import CHAR, Header
from services.fixer.systems.rpm.relations import version_of
from tests.builders.rpms import ADDRESS, DATABASE, F, RpmImage, config, folder, link, repository, rpm
from tests.builders.signing import SigningKey, signing_key
from tests.fakes.folder_depot import FolderDepot

OURS, THEIRS = signing_key("archive"), signing_key("stranger")
CAPABILITY = bytes.fromhex("0100000200300000000000000000000000000000")


def finding(package: str, version: str = "1-1", fixed: str = "2-1") -> FindingRef:
    return FindingRef(
        id=f"CVE-{package}",
        package=package,
        version=version,
        fixed_version=fixed,
        path=f"/{DATABASE}",
        severity="HIGH",
    )


@dataclasses.dataclass
class Fix:
    """One fix, as far as it came."""

    image: RpmImage
    plan: SystemPlan
    files: dict[str, Path]

    @property
    def changed(self) -> dict[str, str]:
        return {each.candidate.name: each.candidate.version for each in self.plan.upgrades}

    @property
    def refused(self) -> dict[str, NotFixable]:
        return {each.finding.package: each.why for each in self.plan.refusals}

    def layer(self, name: str = "layer") -> dict[str, tarfile.TarInfo]:
        path = self.image.place / name
        tree = self.image.tree()
        with write_layer(path, tree) as writer:
            self.notes = self.image.system.build(tree, self.plan, self.files, writer).notes
            self.digest = writer.finish().digest
        self.path = path
        with tarfile.open(path) as archive:
            return {member.name.rstrip("/"): member for member in archive}

    def content(self, name: str) -> bytes:
        with tarfile.open(self.path) as archive:
            file = archive.extractfile(name)
            assert file is not None
            return file.read()


async def fix(
    place: Path,
    old: Sequence[bytes],
    new: Sequence[bytes],
    *findings: FindingRef,
    texts: dict[str, bytes | None] | None = None,
    key: SigningKey | None = OURS,
    states: dict[str, list[int]] | None = None,
) -> Fix:
    place.mkdir(exist_ok=True)
    image = RpmImage(place, *old, texts=texts, states=states)
    depot = FolderDepot(ADDRESS, repository(place / "r", *new, key=key), OURS.public)
    survey = image.system.survey(image.tree())
    assert survey is not None
    candidates = await image.system.available(survey, survey.repositories, depot)
    plan = image.system.plan(survey, candidates, findings)
    files = {each.candidate.url: place / "r" / each.candidate.url.rpartition("/")[2] for each in plan.upgrades}
    return Fix(image, image.system.check(survey, plan, files), files)


async def test_a_package_goes_to_the_newest_version_and_its_source_goes_along(tmp_path: Path) -> None:
    old = [rpm("a", "1-1"), rpm("a-libs", "1-1", source="a"), rpm("b", "1-1")]
    new = [rpm("a", "2-1"), rpm("a", "3-1"), rpm("a-libs", "3-1", source="a"), rpm("b", "2-1")]
    done = await fix(tmp_path, old, new, finding("a"))
    assert done.changed == {"a": "3-1", "a-libs": "3-1"}
    assert [len(each.because) for each in done.plan.upgrades] == [1, 0]


async def test_what_a_new_version_wants_newer_goes_along(tmp_path: Path) -> None:
    old = [rpm("a", "1-1"), rpm("b", "1-1"), rpm("c", "1-1", requires=["b = 1-1"])]
    new = [rpm("a", "2-1", requires=["b >= 2"]), rpm("b", "2-1"), rpm("c", "2-1", requires=["b = 2-1"])]
    done = await fix(tmp_path, old, new, finding("a"))
    assert done.changed == {"a": "2-1", "b": "2-1", "c": "2-1"}


async def test_each_reason_to_stay_is_told(tmp_path: Path) -> None:
    old = [
        rpm("lacks", "1-1"), rpm("held", "1-1"), rpm("pinned", "1-1"),
        rpm("user", "1-1", requires=["pinned = 1-1"]),
        rpm("scripted", "1-1"), rpm("unfixed", "1-1"), rpm("late", "1-1"), rpm("mod", "1-1", module="m:1:2:3"),
        rpm("eats", "1-1"), rpm("good", "1-1"), rpm("erased", "1-1", scripts={"%postun": "rm -rf /x"}),
    ]  # fmt: skip
    new = [
        rpm("lacks", "2-1", requires=["brand-new"]), rpm("held", "2-1"), rpm("pinned", "2-1"), rpm("late", "1-2"),
        rpm("scripted", "2-1", scripts={"%post": "touch /x"}), rpm("mod", "2-1"), rpm("good", "2-1"),
        rpm("eats", "2-1", obsoletes=["user"]), rpm("erased", "2-1"),
    ]  # fmt: skip
    names = ["lacks", "held", "pinned", "scripted", "late", "mod", "eats", "good", "erased"]
    done = await fix(
        tmp_path, old, new, *map(finding, names), finding("unfixed", fixed=""), finding("gone"),
        dataclasses.replace(finding("good"), id="CVE-x", path="/srv/requirements.txt"),
        texts={"etc/dnf/dnf.conf": b"[main]\nexclude=he*\n"},
    )  # fmt: skip
    assert done.changed == {"good": "2-1"}
    assert done.refused == {
        "lacks": NotFixable.NEEDS_NEW_DEPENDENCY,
        "held": NotFixable.HELD,
        "pinned": NotFixable.NEEDS_REMOVAL,
        "scripted": NotFixable.NEEDS_REBUILD,
        "erased": NotFixable.NEEDS_REBUILD,
        "late": NotFixable.NOT_IN_REPOSITORY,
        "mod": NotFixable.NEEDS_REBUILD,
        "eats": NotFixable.NEEDS_REMOVAL,
        "unfixed": NotFixable.NO_FIXED_VERSION,
        "gone": NotFixable.NOT_INSTALLED,
        "good": NotFixable.NOT_A_SYSTEM_PACKAGE,
    }
    assert len(done.plan.refusals) == 11


async def test_what_depends_on_a_package_whose_scripts_matter_stays_with_it(tmp_path: Path) -> None:
    old = [rpm("a", "1-1"), rpm("b", "1-1")]
    new = [rpm("a", "2-1", scripts={"%post": "touch /x"}), rpm("b", "2-1", requires=["a = 2-1"])]
    done = await fix(tmp_path, old, new, finding("a"), finding("b"))
    assert done.changed == {}
    assert done.refused == {"a": NotFixable.NEEDS_REBUILD, "b": NotFixable.NEEDS_REBUILD}


async def test_a_finding_in_a_package_for_two_machines_is_told_once(tmp_path: Path) -> None:
    both = ("x86_64", "i686")
    old, new = ([rpm("a", version, arch=arch) for arch in both] for version in ("1-1", "2-1"))
    done = await fix(tmp_path, [*old, rpm("b", "1-1")], new, finding("a"))
    assert [(each.candidate.architecture, len(each.because)) for each in done.plan.upgrades] == [
        ("i686", 1),
        ("x86_64", 0),
    ]


async def test_a_trigger_of_another_package_is_a_script_too(tmp_path: Path) -> None:
    more = [
        (tags.TRANS_FILE_TRIGGER_NAMES, 8, 1, b"/usr/share/icons\0"),
        (tags.TRANS_FILE_TRIGGER_INDEXES, 4, 1, bytes(4)),
        (tags.TRANS_FILE_TRIGGER_SCRIPTS, 8, 1, b"make-a-cache\0"),
        (tags.TRANS_FILE_TRIGGER_PROGRAMS, 8, 1, b"/bin/sh\0"),
    ]
    old = [
        rpm("cache", "1-1", more=more),
        rpm("icons", "1-1", F("usr/share/icons/a")),
        rpm("b", "1-1", F("usr/b")),
    ]
    new = [rpm("icons", "2-1", F("usr/share/icons/a")), rpm("b", "2-1", F("usr/b"))]
    done = await fix(tmp_path, old, new, finding("icons"), finding("b"))
    assert (done.changed, done.refused) == ({"b": "2-1"}, {"icons": NotFixable.NEEDS_REBUILD})


async def test_files_come_as_rpm_writes_them(tmp_path: Path) -> None:
    old = rpm("a", "1-1", F("usr/bin/a", b"1"), F("usr/share/a/dropped", b"x"), folder("usr/share/a"),
              F("usr/share/a/README", b"1", flags=tags.DOC))  # fmt: skip
    new = rpm(
        "a", "2-1",
        F("usr/bin/a", b"two", mode=0o104755, user="daemon", caps="cap_net_raw,cap_net_admin=ep"),
        F("usr/bin/b", b"same", inode=7), F("usr/bin/c", b"same", inode=7), link("usr/bin/d", "a"),
        F("lib64/liba.so", b"lib"), folder("usr/new", 0o750, "daemon"),
        F("usr/bin/stranger", b"", mode=0o104755, user="nobody-knows"),
        F("usr/share/doc/a", b"2", flags=tags.DOC), F("usr/share/licenses/a", b"L", flags=tags.DOC | tags.LICENSE),
        F("var/log/a", b"", flags=tags.GHOST),
    )  # fmt: skip
    texts: dict[str, bytes | None] = {"usr/bin/a": b"1", "usr/share/a/dropped": b"x"}
    done = await fix(
        tmp_path, [old], [new], finding("a"), texts=texts, states={"a": [0, 0, 0, tags.NOT_INSTALLED]}
    )
    layer = done.layer()
    first = layer["usr/bin/a"]
    assert (first.mode, first.uid, first.mtime, done.content("usr/bin/a")) == (0o4755, 2, 1_600_000_000, b"two")
    told = first.pax_headers["SCHILY.xattr.security.capability"].encode("utf-8", "surrogateescape")
    assert told == CAPABILITY
    assert layer["usr/bin/c"].islnk()
    assert layer["usr/bin/c"].linkname == "usr/bin/b"
    assert layer["usr/bin/d"].linkname == "a"
    assert "usr/lib64/liba.so" in layer
    assert "lib64" not in layer
    assert (layer["usr/new"].mode, layer["usr/new"].uid) == (0o750, 2)
    assert (layer["usr/bin/stranger"].mode, layer["usr/bin/stranger"].uid) == (0o755, 0)
    assert "usr/share/.wh.a" in layer
    assert "usr/share/licenses/a" in layer
    assert not {"usr/share/doc/a", "var/log/a"} & layer.keys()


async def test_the_database_has_the_new_header_as_rpm_installs_it(tmp_path: Path) -> None:
    new = rpm("a", "2-1", F("usr/a", b"2"), F("usr/doc", b"2", flags=tags.DOC), epoch=1)
    texts: dict[str, bytes | None] = {"etc/dnf/dnf.conf": b"[main]\ntsflags=nodocs\n", f"{DATABASE}-shm": b"s"}
    done = await fix(tmp_path, [rpm("a", "1-1", F("usr/a", b"1"))], [new], finding("a"), texts=texts)
    layer = done.layer()
    assert "var/lib/rpm/.wh.rpmdb.sqlite-shm" in layer
    headers = read_database(done.content(DATABASE)).headers
    assert sorted(headers) == [1, 3]
    header = Header(headers[3])
    assert version_of(header) == "1:2-1"
    assert header.numbers(tags.FILE_STATES) == (tags.NORMAL, tags.NOT_INSTALLED)
    assert header.kind(tags.FILE_STATES) == CHAR
    assert header.number(tags.INSTALL_TIME) == header.number(tags.INSTALL_TID) == 1_700_000_000
    assert header.number(tags.INSTALL_COLOR) == 3
    done.layer("again")
    assert done.path.read_bytes() == (tmp_path / "layer").read_bytes()


@pytest.mark.parametrize(
    ("there", "noreplace", "expected"),
    [
        (b"1", True, {"etc/c": b"2"}),
        (b"2", True, {"etc/c": b"2"}),
        (b"mine", True, {"etc/c.rpmnew": b"2"}),
        (b"mine", False, {"etc/c": b"2", "etc/c.rpmsave": b"mine"}),
        (None, True, {"etc/c": b"2"}),
    ],
)
async def test_configuration_is_kept_as_rpm_keeps_it(
    tmp_path: Path, there: bytes | None, noreplace: bool, expected: dict[str, bytes]
) -> None:
    old = rpm("a", "1-1", config("etc/c", b"1", noreplace=noreplace))
    new = rpm("a", "2-1", config("etc/c", b"2", noreplace=noreplace))
    done = await fix(tmp_path, [old], [new], finding("a"), texts={"etc/c": there})
    names = {name for name in done.layer() if name.startswith("etc/")}
    assert {name: done.content(name) for name in names} == expected


async def test_configuration_that_nobody_changed_between_versions_stays_as_the_image_has_it(
    tmp_path: Path,
) -> None:
    old, new = (rpm("a", version, config("etc/c", b"1", noreplace=False)) for version in ("1-1", "2-1"))
    done = await fix(tmp_path, [old], [new], finding("a"), texts={"etc/c": b"mine"})
    assert not [name for name in done.layer() if name.startswith("etc/")]


async def test_dropped_configuration_goes_unless_it_was_changed(tmp_path: Path) -> None:
    old = rpm("a", "1-1", config("etc/mine", b"1"), config("etc/plain", b"1"))
    done = await fix(
        tmp_path, [old], [rpm("a", "2-1")], finding("a"), texts={"etc/mine": b"changed", "etc/plain": b"1"}
    )
    layer = done.layer()
    assert {"etc/.wh.mine", "etc/mine.rpmsave", "etc/.wh.plain"} <= layer.keys()
    assert done.content("etc/mine.rpmsave") == b"changed"
    assert any("rpmsave" in note for note in done.notes)


async def test_what_another_package_owns_too_is_not_taken_away(tmp_path: Path) -> None:
    old = [rpm("a", "1-1", F("usr/shared", b"s"), F("usr/own", b"o")), rpm("b", "1-1", F("usr/shared", b"s"))]
    done = await fix(tmp_path, old, [rpm("a", "2-1")], finding("a"), texts={"usr/shared": b"s", "usr/own": b"o"})
    layer = done.layer()
    assert "usr/.wh.own" in layer
    assert "usr/.wh.shared" not in layer


@pytest.mark.parametrize("compressor", ["gzip", "xz", "bzip2", "zstd"])
async def test_every_compressor_of_rpm_is_unpacked(tmp_path: Path, compressor: str) -> None:
    new = rpm("a", "2-1", F("usr/a", b"content" * 50_000), compressor=compressor)
    done = await fix(tmp_path, [rpm("a", "1-1")], [new], finding("a"))
    done.layer()
    assert done.content("usr/a") == b"content" * 50_000


# bad input


async def failing(place: Path, new: bytes, *, key: SigningKey | None = None) -> FixReason:
    with pytest.raises(FixFailure) as caught:
        (await fix(place, [rpm("a", "1-1", F("usr/a", b"1"))], [new], finding("a"), key=key)).layer()
    return caught.value.why


async def test_without_a_signed_index_only_a_signed_package_is_taken(tmp_path: Path) -> None:
    done = await fix(tmp_path, [rpm("a", "1-1")], [rpm("a", "2-1", key=OURS)], finding("a"), key=None)
    assert done.changed == {"a": "2-1"}


async def test_a_package_that_nobody_signed_is_refused(tmp_path: Path) -> None:
    assert await failing(tmp_path, rpm("a", "2-1")) is FixReason.INDEX_UNSIGNED


async def test_a_package_of_another_key_is_refused(tmp_path: Path) -> None:
    assert await failing(tmp_path, rpm("a", "2-1", key=THEIRS)) is FixReason.INDEX_KEY_UNKNOWN


async def test_a_signed_package_with_another_payload_is_refused(tmp_path: Path) -> None:
    other = rpm("a", "2-1", F("usr/a", b"2"), key=OURS, spoil=b"another payload")
    assert await failing(tmp_path, other) is FixReason.PACKAGE_TAMPERED


async def test_a_package_without_a_hash_of_its_payload_must_be_signed_whole(tmp_path: Path) -> None:
    good = rpm("a", "2-1", F("usr/a", b"2"), key=OURS, legacy=True)
    done = await fix(tmp_path / "1", [rpm("a", "1-1")], [good], finding("a"), key=None)
    assert done.changed == {"a": "2-1"}
    bad = rpm("a", "2-1", F("usr/a", b"2"), key=OURS, legacy=True, spoil=b"another payload")
    assert await failing(tmp_path / "2", bad) is FixReason.PACKAGE_TAMPERED


async def test_a_changed_header_is_refused(tmp_path: Path) -> None:
    changed = rpm("a", "2-1", F("usr/a", b"2"), key=OURS).replace(b"a-2-1.src.rpm", b"b-2-1.src.rpm")
    assert await failing(tmp_path, changed) is FixReason.PACKAGE_TAMPERED


async def test_a_signed_package_that_is_another_than_the_index_says_is_refused(tmp_path: Path) -> None:
    image = RpmImage(tmp_path, rpm("a", "1-1"))
    place = repository(tmp_path / "r", rpm("a", "2-1", key=OURS))
    survey = image.system.survey(image.tree())
    assert survey is not None
    depot = FolderDepot(ADDRESS, place, OURS.public)
    plan = image.system.plan(
        survey, await image.system.available(survey, survey.repositories, depot), [finding("a")]
    )
    other = tmp_path / "other.rpm"
    other.write_bytes(rpm("a", "1-9", key=OURS))
    with pytest.raises(FixFailure) as caught:
        image.system.check(survey, plan, {plan.upgrades[0].candidate.url: other})
    assert caught.value.why is FixReason.PACKAGE_TAMPERED


@pytest.mark.parametrize(
    "new",
    [
        rpm("a", "2-1", F("usr/a", b"2"), spoil=b""),
        rpm("a", "2-1", F("usr/a", b"2"), spoil=b"\x1f\x8b" + bytes(60)),
        rpm("a", "2-1", F("usr/../../etc/shadow", b"2")),
        rpm("a", "2-1", F("usr/lib64", b"a file in the place of a directory")),
        rpm("a", "2-1", F("usr/a", b"2", caps="cap_of_fools=ep")),
        rpm("a", "2-1", F("usr/s", mode=0o140644)),
    ],
)
async def test_a_package_that_cannot_be_unpacked_is_refused(tmp_path: Path, new: bytes) -> None:
    assert await failing(tmp_path, new, key=OURS) is FixReason.PACKAGE_INVALID


async def test_no_damage_to_a_package_is_more_than_a_failure(tmp_path: Path) -> None:
    image = RpmImage(tmp_path, rpm("a", "1-1"))
    whole = rpm("a", "2-1", F("usr/a", b"2" * 99), link("usr/b", "a"), config("etc/c", b"1"))
    place = repository(tmp_path / "r", whole, key=OURS)
    survey = image.system.survey(image.tree())
    assert survey is not None
    depot = FolderDepot(ADDRESS, place, OURS.public)
    candidates = await image.system.available(survey, survey.repositories, depot)
    candidates = tuple(dataclasses.replace(each, fields={}) for each in candidates)
    plan = image.system.plan(survey, candidates, [finding("a")])
    path, tree, dice = tmp_path / "damaged.rpm", image.tree(), random.Random(7)
    files = {plan.upgrades[0].candidate.url: path}
    failures = 0
    for round_ in range(150):
        damaged = bytearray(whole)
        at = dice.randrange(96, len(whole))
        damaged[at : at + 4] = dice.choice([b"\xff\xff\xff\xff", bytes(4), dice.randbytes(4)])
        path.write_bytes(damaged)
        try:
            checked = image.system.check(survey, plan, files)
            with write_layer(tmp_path / f"layer-{round_}", tree) as writer:
                image.system.build(tree, checked, files, writer)
        except FixFailure as failure:
            failures += failure.why in (FixReason.PACKAGE_INVALID, FixReason.PACKAGE_TAMPERED)
    assert failures > 50


async def test_a_package_that_is_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    image = RpmImage(tmp_path, rpm("a", "1-1"))
    whole = rpm("a", "2-1", F("usr/a", b"2" * 1000))
    place = repository(tmp_path / "r", whole, key=OURS)
    survey = image.system.survey(image.tree())
    assert survey is not None
    depot = FolderDepot(ADDRESS, place, OURS.public)
    plan = image.system.plan(
        survey, await image.system.available(survey, survey.repositories, depot), [finding("a")]
    )
    cut, tree = tmp_path / "cut.rpm", image.tree()
    files = {plan.upgrades[0].candidate.url: cut}
    for size in range(0, len(whole), 173):
        cut.write_bytes(whole[:size])
        with pytest.raises(FixFailure) as caught, write_layer(tmp_path / f"layer-{size}", tree) as writer:
            image.system.build(tree, image.system.check(survey, plan, files), files, writer)
        assert caught.value.why is FixReason.PACKAGE_INVALID
