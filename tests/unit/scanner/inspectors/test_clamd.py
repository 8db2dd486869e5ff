"""clamd is asked about every file of a layer; what it did not look at is told, and asked again another time."""

from __future__ import annotations

import dataclasses
import hashlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from services.kernel.model.report import Coverage
from services.lab.layer import LayerBuilder
from services.layers.limits import LayerLimits
from services.scanner.analysers import analysers_key, search_key
from services.scanner.inspectors import opinion
from services.scanner.inspectors.clamd import (
    CLAMD_UNAVAILABLE,
    Clamd,
    ClamdFailed,
    ClamdRefused,
    Question,
    release_of,
)
from services.scanner.inspectors.inspection import Inspection
from services.scanner.inspectors.limits import InspectionLimits
from services.scanner.layers.analyse import analyse_layer
from services.scanner.layers.analysis import LayerAnalysis, decode_analysis, decode_head
from services.scanner.pipeline.coverage import coverage_of
from services.scanner.search import Search, ask_clamd
from services.scanner.settings import ClamdSettings
from tests.builders.tars import padded, tar_header
from tests.fakes.clamd import MARKER, SIGNATURE, FakeClamd, fake_clamd

LARGE = b"\0" * (3 << 20) + MARKER


@pytest.fixture
def clamd(tmp_path: Path) -> Iterator[FakeClamd]:
    with fake_clamd(tmp_path) as fake:
        yield fake


def analysed(folder: Path, layer: LayerBuilder, clamd: Clamd) -> LayerAnalysis:
    """Files above 1 MiB go through windows."""
    built, file = layer.build(), folder / "layer"
    file.write_bytes(built.content)
    inspection = Inspection(clamd=clamd, limits=InspectionLimits(window_bytes=1 << 20))
    content = analyse_layer(
        str(file), media_type=built.media_type_for(docker=False), limits=LayerLimits(), inspection=inspection
    )
    assert decode_head(content).lacking == decode_analysis(content).lacking
    return decode_analysis(content)


def sightings(analysis: LayerAnalysis) -> dict[str, tuple[str, str, str]]:
    found = [each for evidence in analysis.evidence for each in evidence.sightings]
    return {each.path: (each.rule.id, each.sha256, each.md5) for each in found}


def test_every_file_is_asked_about_and_what_it_knows_is_found_with_its_hashes(
    tmp_path: Path, clamd: FakeClamd
) -> None:
    small = b"echo " + MARKER
    layer = LayerBuilder().file("a", "harmless").file("b", small).file("empty", "").file("large", LARGE)
    analysis = analysed(tmp_path, layer, Clamd(address=clamd.address))
    assert clamd.asked == [b"harmless", small, LARGE]
    assert sightings(analysis) == {
        "b": (SIGNATURE, hashlib.sha256(small).hexdigest(), hashlib.md5(small, usedforsecurity=False).hexdigest()),
        "large": (SIGNATURE, hashlib.sha256(LARGE).hexdigest(), ""),
    }
    assert not analysis.warnings
    assert not analysis.lacking


def test_it_is_reached_over_tcp_too(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(ClamdFailed, match="in time"):
            release_of(Clamd(address=address, seconds=0.05))
    with pytest.raises(ClamdFailed, match="cannot be reached"):
        release_of(Clamd(address=address))


@pytest.mark.parametrize(
    ("says", "code", "why"),
    [
        (b"stream: Can't allocate memory ERROR\0", "CLAMD_FAILED", "allocate memory"),
        (b"", "CLAMD_FAILED", "closed the connection"),
        (b"stream: \x1b[31mred", "CLAMD_FAILED", "closed the connection"),
        (b"x" * 10_000, "CLAMD_FAILED", "no end"),
        (b"what?\0", "CLAMD_FAILED", "answers 'what"),
        (b"stream: Heuristics.Limits.Exceeded.MaxScanTime FOUND\0", "CLAMD_LIMIT", "MaxScanTime"),
        (b"INSTREAM size limit exceeded. ERROR\0", "CLAMD_LIMIT", "StreamMaxLength"),
    ],
)
def test_a_file_without_a_verdict_is_named_and_the_others_are_asked_about(
    tmp_path: Path, clamd: FakeClamd, says: bytes, code: str, why: str
) -> None:
    clamd.says = [says]
    layer = LayerBuilder().file("a", "first").file("b", MARKER)
    analysis = analysed(tmp_path, layer, Clamd(address=clamd.address))
    [warning] = analysis.warnings
    assert (warning.code, warning.path) == (code, "/a")
    assert why in warning.message
    assert warning.message.isprintable()
    assert set(sightings(analysis)) == {"b"}
    assert analysis.lacking == (code == "CLAMD_FAILED")


def test_files_beyond_a_bound_are_not_given_to_it(tmp_path: Path, clamd: FakeClamd) -> None:
    layer = LayerBuilder().file("a", "small").file("b", "x" * 2000).file("large", LARGE)
    analysis = analysed(tmp_path, layer, Clamd(address=clamd.address, file_bytes=1000))
    assert clamd.asked == [b"small"]
    assert {(each.code, each.path) for each in analysis.warnings} == {
        ("CLAMD_LIMIT", "/b"),
        ("CLAMD_LIMIT", "/large"),
    }
    assert not analysis.lacking


def test_a_file_that_it_stops_listening_to_is_a_limit_of_its_own(tmp_path: Path, clamd: FakeClamd) -> None:
    clamd.most = 1 << 20
    analysis = analysed(tmp_path, LayerBuilder().file("large", LARGE), Clamd(address=clamd.address))
    assert [(each.code, each.path) for each in analysis.warnings] == [("CLAMD_LIMIT", "/large")]


def test_one_that_never_answers_is_given_up_for_the_layer(tmp_path: Path, clamd: FakeClamd) -> None:
    clamd.silent = True
    layer = LayerBuilder()
    for number in range(40):
        layer.file(f"f{number}", "x")
    analysis = analysed(tmp_path, layer, Clamd(address=clamd.address, seconds=0.05))
    assert {each.code for each in analysis.warnings} == {"CLAMD_FAILED"}
    assert "in time" in analysis.warnings[0].message
    assert "20 more files" in analysis.warnings[-1].message
    assert analysis.lacking


def test_a_layer_has_so_much_of_its_time_and_no_more(
    tmp_path: Path, clamd: FakeClamd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opinion, "_SHORTEST", 20.0)  # the first file is answered, however busy the machine is
    layer = LayerBuilder().file("a", "x").file("b", "y")
    analysis = analysed(tmp_path, layer, Clamd(address=clamd.address, layer_seconds=1e-9))
    assert clamd.asked == [b"x"]
    assert [(each.code, each.path) for each in analysis.warnings] == [("CLAMD_LIMIT", "/b")]


def test_new_signatures_and_bounds_make_another_name_for_analyses(clamd: FakeClamd) -> None:
    daemon, search = Clamd(address=clamd.address), Search(inspection=Inspection())
    first = ask_clamd(search, daemon)
    clamd.release = "ClamAV 1.4.3/27813/Wed Nov 25 09:11:02 2026"
    second = ask_clamd(search, daemon)
    more = ask_clamd(search, dataclasses.replace(daemon, file_bytes=5))
    assert "27812" in search_key(first)
    assert len({analysers_key(each.inspection) for each in (search, first, second, more)}) == 4


def test_one_that_is_away_is_told_and_its_coming_back_scans_anew(tmp_path: Path, clamd: FakeClamd) -> None:
    search = Search(inspection=Inspection())
    away = ask_clamd(search, Clamd(address=str(tmp_path / "nobody")))
    [complaint] = away.complaints
    assert complaint.code == CLAMD_UNAVAILABLE
    assert away.inspection == search.inspection
    there = ask_clamd(search, Clamd(address=clamd.address))
    assert not there.complaints
    assert len({search_key(each) for each in (search, away, there)}) == 3


def test_who_looks_for_vulnerabilities_alone_asks_nobody(tmp_path: Path) -> None:
    assert ask_clamd(Search(), Clamd(address=str(tmp_path / "nobody"))) == Search()


def test_its_failure_is_the_reason_of_a_partial_report_whatever_else_is_missing(
    tmp_path: Path, clamd: FakeClamd
) -> None:
    clamd.says = [b""]
    layer = LayerBuilder().file("x.zip", b"PK\x03\x04broken")
    analysis = analysed(tmp_path, layer, Clamd(address=clamd.address))
    told = [each for evidence in analysis.evidence for each in evidence.warnings]
    assert coverage_of([*told, *analysis.warnings], judged=True) == (Coverage.PARTIAL, "CLAMD_FAILED")


@pytest.mark.parametrize("address", ["clamd", "host:", ":3310", "host:0", "host:70000"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        ClamdSettings(clamd=address)


def test_a_slow_file_does_not_take_more_than_the_layer_has(tmp_path: Path, clamd: FakeClamd) -> None:
    clamd.silent = True
    layer = LayerBuilder().file("a", "x").file("b", "y")
    begun = time.monotonic()
    analysis = analysed(tmp_path, layer, Clamd(address=clamd.address, seconds=60, layer_seconds=0.2))
    assert time.monotonic() - begun < 30
    assert [(each.code, each.path) for each in analysis.warnings] == [("CLAMD_LIMIT", "/a"), ("CLAMD_LIMIT", "/b")]
    assert not analysis.lacking


def test_more_time_for_a_layer_has_it_looked_at_anew() -> None:
    daemon = Clamd(address="/clamd", release="ClamAV 1")
    more = dataclasses.replace(daemon, layer_seconds=daemon.layer_seconds + 1)
    assert analysers_key(Inspection(clamd=daemon)) != analysers_key(Inspection(clamd=more))


def test_why_it_is_away_makes_no_other_name(tmp_path: Path) -> None:
    away = ask_clamd(Search(inspection=Inspection()), Clamd(address=str(tmp_path / "nobody")))
    other = dataclasses.replace(
        away, complaints=(msgspec.structs.replace(away.complaints[0], message="It is away for another reason."),)
    )
    assert search_key(away) == search_key(other)


def test_what_it_refuses_with_the_last_piece_is_a_limit(tmp_path: Path, clamd: FakeClamd) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "hasty"))
        listener.listen(1)
        with Question(Clamd(address=str(tmp_path / "hasty"), seconds=5)) as question:
            connection, _ = listener.accept()
            question.send(b"x")
            connection.sendall(b"INSTREAM size limit exceeded. ERROR\0")
            connection.close()
            with pytest.raises(ClamdRefused):
                question.verdict()


def test_a_sparse_file_is_not_taken_for_what_it_is_stored_as(tmp_path: Path, clamd: FakeClamd) -> None:
    content = tar_header(b"sparse", flag=b"S", size=len(MARKER)) + padded(MARKER) + bytes(1024)
    (tmp_path / "layer").write_bytes(content)
    analysis = decode_analysis(
        analyse_layer(
            str(tmp_path / "layer"),
            media_type="",
            limits=LayerLimits(),
            inspection=Inspection(clamd=Clamd(address=clamd.address)),
        )
    )
    assert clamd.asked == []
    assert ("CLAMD_LIMIT", "/sparse") in [(each.code, each.path) for each in analysis.warnings]
