from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.reasons import Reason, ScanFailure
from services.lab.layer import Compression, LayerBuilder
from services.layers.limits import LayerLimits
from services.layers.paths import fingerprint
from services.scanner.catalogers.installed import CATALOGERS
from services.scanner.layers.analyse import analyse_layer
from services.scanner.layers.analysis import NodeKind, decode_analysis, decode_head, encode_analysis
from tests.builders.tars import END, analysis_of, layer_file, long_name, padded, tar_file, tar_header


def refusal(folder: Path, layer: LayerBuilder | bytes, limits: LayerLimits) -> ScanFailure:
    with pytest.raises(ScanFailure) as caught:
        analysis_of(folder, layer, limits)
    return caught.value


@pytest.mark.parametrize("compression", list(Compression))
def test_an_analysis_has_the_diff_id_of_the_layer(tmp_path: Path, compression: Compression) -> None:
    built = LayerBuilder().file("app/packages", "one 1\n").build(compression)

    analysis = analysis_of(tmp_path, built)

    assert analysis.diff_id == built.diff_id
    assert analysis.uncompressed_size % 512 == 0
    assert analysis.entries == 1


def test_bytes_after_the_end_of_the_archive_count_for_the_diff_id(tmp_path: Path) -> None:
    plain = tar_file(b"a", b"x") + END
    longer = plain + bytes(5 << 20) + b"something"

    assert analysis_of(tmp_path, longer).uncompressed_size == len(longer)
    assert analysis_of(tmp_path, longer).diff_id != analysis_of(tmp_path, plain).diff_id


def test_wanted_files_become_evidence(tmp_path: Path) -> None:
    layer = LayerBuilder().file("./srv//app/packages", "one 1\ntwo 2\n").file("srv/other", "three 3\n")

    (evidence,) = analysis_of(tmp_path, layer).evidence

    assert evidence.path == "srv/app/packages"
    assert [(package.name, package.version) for package in evidence.packages] == [("one", "1"), ("two", "2")]


def test_a_path_that_occurs_twice_is_remembered_twice_in_order(tmp_path: Path) -> None:
    analysis = analysis_of(tmp_path, LayerBuilder().file("packages", "old 1\n").file("packages", "new 2\n"))

    assert [each.packages[0].name for each in analysis.evidence] == ["old", "new"]
    assert [(each.position, each.evidence) for each in analysis.remembered] == [(0, (0,)), (1, (1,))]


def test_a_file_above_the_catalogers_limit_leaves_a_warning(tmp_path: Path) -> None:
    (evidence,) = analysis_of(tmp_path, LayerBuilder().file("packages", bytes(1 << 17))).evidence

    assert evidence.packages == ()
    assert [(each.code, each.path) for each in evidence.warnings] == [("FILE_TOO_LARGE", "packages")]


def test_a_sparse_package_file_leaves_a_warning(tmp_path: Path) -> None:
    (evidence,) = analysis_of(tmp_path, tar_header(b"packages", flag=b"S") + END).evidence

    assert [each.code for each in evidence.warnings] == ["FILE_NOT_READ"]


def test_links_are_remembered_with_their_place(tmp_path: Path) -> None:
    layer = (
        LayerBuilder()
        .directory("usr")
        .symlink("lib", "usr/lib")
        .file("packages", "one 1\n")
        .hard_link("copy/packages", "./packages")
        .hard_link("unwanted", "of/a/lower/layer")
    )

    remembered = [
        (each.position, each.kind, each.path, each.target, each.wanted)
        for each in analysis_of(tmp_path, layer).remembered
    ]

    assert remembered == [
        (1, NodeKind.SYMBOLIC_LINK, "lib", "usr/lib", False),
        (2, NodeKind.FILE, "packages", "", True),
        (3, NodeKind.HARD_LINK, "copy/packages", "packages", True),
        (4, NodeKind.HARD_LINK, "unwanted", "of/a/lower/layer", False),
    ]


GO = b"\x7fELF" + bytes(4_000) + b"\xff Go buildinf:" + bytes(1_000)
RUST = b"\x7fELF" + bytes(4_000) + b".shstrtab\0.dep-v0\0"


def unread(folder: Path, layer: LayerBuilder | bytes) -> list[tuple[str, str]]:
    built = layer.build(Compression.NONE).content if isinstance(layer, LayerBuilder) else layer
    encoded = analyse_layer(str(layer_file(folder, built)), media_type="", limits=LayerLimits())
    return [(each.path, each.unread) for each in decode_analysis(encoded).evidence if each.unread]


def test_executables_tell_of_their_ecosystem_by_a_mark(tmp_path: Path) -> None:
    layer = (
        LayerBuilder()
        .file("usr/bin/go-tool", GO)
        .file("usr/bin/rust-tool", RUST)
        .file("usr/bin/both", GO + RUST)
        .file("usr/bin/neither", b"\x7fELF" + bytes(9_000))
        .file("usr/share/doc/no-executable", b"It has " + GO)
        .file("empty", b"")
    )

    assert unread(tmp_path, layer) == [
        ("usr/bin/go-tool", "Go"),
        ("usr/bin/rust-tool", "crates.io"),
        ("usr/bin/both", "Go"),
        ("usr/bin/both", "crates.io"),
    ]


def test_an_executable_larger_than_any_buffer_is_searched_to_its_end(tmp_path: Path) -> None:
    large = b"\x7fELF" + bytes((3 << 20) - 9) + b"\xff Go buildinf:" + bytes(3 << 20)

    layer = LayerBuilder().file("before", bytes(700)).file("tool", large).file("pubspec.lock", b"x")

    assert unread(tmp_path, layer) == [("tool", "Go"), ("pubspec.lock", "Pub")]


def test_an_executable_that_a_cataloger_reads_by_name_is_searched_too(tmp_path: Path) -> None:
    assert ("x.egg-info", "Go") in unread(tmp_path, LayerBuilder().file("x.egg-info", GO))


def test_a_sparse_executable_is_searched_although_its_offsets_do_not_hold(tmp_path: Path) -> None:
    content = b"Its map may stand before it: " + GO

    assert unread(tmp_path, tar_header(b"tool", flag=b"S", size=len(content)) + padded(content) + END) == [
        ("tool", "Go")
    ]


def test_a_truncated_executable_is_corrupt(tmp_path: Path) -> None:
    content = b"\x7fELF" + bytes(2 << 20)
    layer = tar_header(b"tool", size=len(content) + 5) + content[: 1 << 20]

    with pytest.raises(ScanFailure, match="bytes before its entry does"):
        unread(tmp_path, layer)


def test_every_path_leaves_its_fingerprint_in_order(tmp_path: Path) -> None:
    layer = LayerBuilder().directory("a").file("a/b").whiteout("a/gone").symlink("a/é", "b").file(".")

    paths = analysis_of(tmp_path, layer).paths

    found = [int.from_bytes(paths[start : start + 8], "little") for start in range(0, len(paths), 8)]
    assert found == [fingerprint(b"a") | 1, fingerprint(b"a/b"), fingerprint("a/é".encode())]


def test_a_name_that_is_not_utf8_is_stored_readably(tmp_path: Path) -> None:
    analysis = analysis_of(tmp_path, tar_file(b"caf\xe9/packages", b"one 1\n") + END)

    assert analysis.evidence[0].path == "caf\\xe9/packages"
    assert int.from_bytes(analysis.paths, "little") == fingerprint(b"caf\\xe9/packages")


def test_whiteouts_and_opaque_directories_are_told(tmp_path: Path) -> None:
    layer = LayerBuilder().whiteout("b/x").whiteout("a").opaque("c/d").opaque("").file(".wh..wh.plnk", "")

    analysis = analysis_of(tmp_path, layer)

    assert (analysis.whiteouts, analysis.opaque) == (("a", "b/x"), ("", "c/d"))
    assert (analysis.paths, analysis.entries) == (b"", 5)


def test_names_out_of_the_root_are_left_out_with_one_warning(tmp_path: Path) -> None:
    layer = LayerBuilder()
    for number in range(8):
        layer.file(f"../{number}/packages", "evil 1\n")
    layer.file("../.wh.etc").file("a/.wh...").file("a/../../packages", "evil 1\n").hard_link("packages", "../x")

    analysis = analysis_of(tmp_path, layer)

    assert analysis.evidence == ()
    assert (analysis.whiteouts, analysis.opaque, analysis.remembered) == ((), (), ())
    (warning,) = analysis.warnings
    assert warning.code == "TAR_PATH_ESCAPES"
    assert "12 names" in warning.message
    assert "'../0/packages'" in warning.message


def test_absolute_names_stay_inside(tmp_path: Path) -> None:
    analysis = analysis_of(tmp_path, LayerBuilder().file("/app/packages", "one 1\n"))

    assert (analysis.evidence[0].path, analysis.warnings) == ("app/packages", ())


@pytest.mark.parametrize(
    "limits",
    [
        LayerLimits(entries=9),
        LayerLimits(evidence_files=9),
        LayerLimits(evidence_bytes=9 * 6),
        LayerLimits(packages=9),
    ],
)
def test_too_many_of_anything_ends_the_scan(tmp_path: Path, limits: LayerLimits) -> None:
    layer = LayerBuilder()
    for number in range(10):
        layer.file(f"{number}/packages", "one 1\n")

    assert refusal(tmp_path, layer, limits).why is Reason.LAYER_TOO_MANY_ENTRIES


def test_what_is_kept_by_name_is_bounded_by_what_the_names_take(tmp_path: Path) -> None:
    links, whiteouts, files = LayerBuilder(), LayerBuilder(), LayerBuilder()
    for number in range(10):
        links.symlink(f"{number}", "x" * 3_000)
        whiteouts.whiteout(f"{'y' * 3_000}/{number}")
        files.file(f"{number}/{'z' * 3_000}/packages", "one 1\n")

    for layer in (links, whiteouts, files):
        failure = refusal(tmp_path, layer, LayerLimits(names_bytes=20_000))
        assert failure.why is Reason.LAYER_TOO_MANY_ENTRIES


def test_what_is_kept_by_name_is_paid_for_with_the_folders_on_its_way(tmp_path: Path) -> None:
    shallow, deep = LayerBuilder(), LayerBuilder()
    for number in range(30):
        shallow.file(f"{number}/{'d' * 1_800}/packages", "one 1\n")
        deep.file(f"{number}/{'d/' * 900}packages", "one 1\n")

    assert analysis_of(tmp_path, shallow).evidence
    assert refusal(tmp_path, deep, LayerLimits()).why is Reason.LAYER_TOO_MANY_ENTRIES


DEEP = "/".join("d" * 8)


@pytest.mark.parametrize(
    "layer",
    [
        LayerBuilder().file(f"{DEEP}/e"),
        LayerBuilder().directory(f"{DEEP}/e"),
        LayerBuilder().whiteout(f"{DEEP}/e"),
        LayerBuilder().symlink("short", f"../{DEEP}"),
        LayerBuilder().hard_link("short", f"{DEEP}/e"),
    ],
)
def test_a_path_of_too_many_parts_ends_the_scan(tmp_path: Path, layer: LayerBuilder) -> None:
    failure = refusal(tmp_path, layer, LayerLimits(path_depth=8))

    assert failure.why is Reason.LAYER_PATH_TOO_DEEP
    assert "9 parts, more than 8: 'd/d/d" in failure.message or "9 parts, more than 8: '../d/d" in failure.message
    assert "DRYDOCK_SCANNER_LAYER_PATH_DEPTH" in failure.hint


def test_a_path_of_as_many_parts_as_may_be_is_read(tmp_path: Path) -> None:
    layer = LayerBuilder().file(f"{DEEP[:-1]}packages", "one 1\n").symlink("short", DEEP)

    assert len(analysis_of(tmp_path, layer, LayerLimits(path_depth=8)).evidence) == 1


def test_a_damaged_archive_is_corrupt_not_empty(tmp_path: Path) -> None:
    layer = tar_file(b"a", b"x") + b"damaged".ljust(512, b"!")

    assert refusal(tmp_path, layer, LayerLimits()).why is Reason.LAYER_CORRUPT


def test_a_plain_file_takes_eight_bytes_of_the_analysis(tmp_path: Path) -> None:
    heads = [tar_header(b"usr/share/some/where/file-%d" % number) for number in range(20_000)]

    small, large = (
        len(encode_analysis(analysis_of(tmp_path, b"".join(heads[:count]) + END))) for count in (10_000, 20_000)
    )

    assert large - small < 10_000 * 8.1


def test_the_diff_id_is_read_without_the_rest(tmp_path: Path) -> None:
    built = LayerBuilder().file("a").build()
    encoded = analyse_layer(
        str(layer_file(tmp_path, built)), media_type="", limits=LayerLimits(), catalogers=CATALOGERS
    )

    assert decode_head(encoded).diff_id == decode_analysis(encoded).diff_id == built.diff_id


_PARTS = st.sampled_from(["a", "packages", ".wh.a", ".wh..wh..opq", "..", ".", "", ".wh."])
_NAMES = st.lists(_PARTS, min_size=1, max_size=4).map("/".join)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(_NAMES, st.sampled_from([b"0", b"1", b"2", b"5", b"6", b"S"]), _NAMES), max_size=12))
def test_any_entries_make_a_sound_analysis(entries: list[tuple[str, bytes, str]]) -> None:
    stream = b"".join(
        long_name(name.encode())
        + long_name(target.encode(), b"K")
        + (tar_file(b"", b"p 1\n") if flag == b"0" else tar_header(b"", flag=flag))
        for name, flag, target in entries
    )
    with tempfile.TemporaryDirectory() as folder:
        analysis = analysis_of(Path(folder), stream + END)

    assert analysis.entries == len(entries)
    positions = [each.position for each in analysis.remembered]
    assert positions == sorted(set(positions))
    assert all(position < len(analysis.paths) // 8 for position in positions)
    told = {each.path for each in analysis.remembered} | set(analysis.whiteouts) | set(analysis.opaque)
    assert not any({"..", ".", ""} & set(path.split("/")) for path in told - {""})
    assert all(each.evidence for each in analysis.remembered if each.kind is NodeKind.FILE)
