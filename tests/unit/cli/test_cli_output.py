"""What commands print."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.notifier.v1.notifier_service_pb2 import TARGET_KIND_HTTPS, Target
from drydock.rules.v1.scan_rule_pb2 import SCOPE_NAMESPACE, ScanRule
from drydock.scanner.v1.scan_pb2 import STATE_COMPLETE, STATE_FAILED, Finding, PlatformScan, Task
from services.cli.output import Output, cell, show_record, show_records, to_record


def a_task() -> Task:
    return Task(
        task_id="t-1",
        state=STATE_COMPLETE,
        findings={"HIGH": 2},
        platforms=[PlatformScan(platform="linux/amd64", state=STATE_FAILED)],
    )


def test_keys_are_those_of_the_protos_and_all_of_them_are_there() -> None:
    record = to_record(a_task())
    assert list(record) == [field.name for field in Task.DESCRIPTOR.fields]
    assert (record["namespace"], record["rule_ids"], record["end_time"]) == ("", [], None)


def test_states_read_as_they_are_spoken() -> None:
    record = to_record(a_task())
    assert record["state"] == "COMPLETE"
    assert record["platforms"] == [
        {
            "scan_id": "",
            "platform": "linux/amd64",
            "digest": "",
            "state": "FAILED",
            "reason": "",
            "message": "",
            "engine": "",
        }
    ]


def test_maps_keep_their_keys() -> None:
    assert to_record(a_task())["findings"] == {"HIGH": 2}


def test_prefixes_of_enums_with_two_words_go_too() -> None:
    assert to_record(Target(kind=TARGET_KIND_HTTPS))["kind"] == "HTTPS"
    rule = to_record(ScanRule(scope=SCOPE_NAMESPACE))
    assert (rule["scope"], rule["scan_type"]) == ("NAMESPACE", "")


def test_a_score_that_nobody_gave_is_none_and_zero_is_zero() -> None:
    assert to_record(Finding())["score"] is None
    assert to_record(Finding(score=0.0))["score"] == 0.0


def test_json_is_one_object_or_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    show_record(Output.JSON, {"a": 1})
    assert json.loads(capsys.readouterr().out) == {"a": 1}
    show_records(Output.JSON, [], ["a"])
    assert json.loads(capsys.readouterr().out) == []


def test_a_table_that_goes_to_a_program_is_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    digest = "sha256:" + "a" * 64
    show_records(
        Output.TABLE, [{"digest": digest, "name": "x" * 100, "other": digest}], ["digest", "name", "other"]
    )
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].split() == [digest, "x" * 100, digest]


@given(st.text())
def test_text_from_outside_cannot_steer_a_terminal(text: str) -> None:
    assert cell(text).plain.isprintable()


def test_square_brackets_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    show_record(Output.TABLE, {"name": "[red]x[/red]"})
    assert "[red]x[/red]" in capsys.readouterr().out
