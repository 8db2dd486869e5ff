"""Whatever rules says or is told crosses the network unchanged, field by field."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from drydock.rules.v1 import engine_pb2, instance_pb2, scan_rule_pb2, sync_pb2
from services.kernel.errors import ServiceError
from services.kernel.model.access import RegistryAccess
from services.kernel.model.engine import Engine
from services.rules import convert
from services.rules.api import (
    Instance,
    InstanceChange,
    NewInstance,
    NewScanRule,
    Repository,
    RulePreview,
    RuleRun,
    RunNote,
    ScanRule,
    ScanType,
    Sync,
)
from services.rules.convert_runs import from_preview, from_run, to_preview, to_run
from services.rules.engines import convert as engines
from services.rules.engines.api import Condition, EngineStatus, PartHealth, Region, ScannerReport
from tests.builders.whole import whole

_NUMBERS = st.integers(0, 2**31 - 1)
ONE = st.sampled_from(Engine.ALL.members)
"""An instance has one engine."""


@given(whole(Instance, engine=ONE))
def test_instances(instance: Instance) -> None:
    assert convert.from_instance(convert.to_instance(instance)) == instance


@given(whole(NewInstance, engine=st.none() | ONE))
def test_new_instances(new: NewInstance) -> None:
    assert convert.from_create_instance(convert.to_create_instance(new)) == new


@given(whole(InstanceChange).filter(lambda change: change != InstanceChange()))
def test_changes_of_instances(change: InstanceChange) -> None:
    request = convert.to_update_instance("prod", change)
    assert (request.instance.instance_id, convert.from_update_instance(request)) == ("prod", change)


COUNTS = st.integers(0, 2**31 - 1)
NOTES = st.lists(whole(RunNote), max_size=3).map(tuple)
NUMBERS = ("repositories", "tags", "waiting", "requested", "unresolved", "vanished")


@given(whole(RuleRun, notes=NOTES, **dict.fromkeys(NUMBERS, COUNTS)))
def test_runs(run: RuleRun) -> None:
    assert from_run(to_run(run)) == run


@given(whole(RulePreview, notes=NOTES, repositories=COUNTS, tags=COUNTS, matching=COUNTS))
def test_previews(preview: RulePreview) -> None:
    assert from_preview(to_preview(preview)) == preview


@given(whole(Repository))
def test_repositories(repository: Repository) -> None:
    assert convert.from_repository(convert.to_repository(repository)) == repository


@given(whole(NewScanRule))
def test_new_rules(new: NewScanRule) -> None:
    said = convert.to_new_rule(new, rule_id="crscnr-1", instance="prod")
    assert (said.rule_id, said.instance_id, convert.from_rule(said)) == ("crscnr-1", "prod", new)


@given(whole(ScanRule))
def test_rules(rule: ScanRule) -> None:
    assert convert.from_saved_rule(convert.to_rule(rule)) == rule


@given(
    whole(Sync, walk=_NUMBERS, repositories=_NUMBERS, tags=_NUMBERS, repositories_gone=_NUMBERS, skipped=_NUMBERS)
)
def test_syncs(sync: Sync) -> None:
    assert convert.from_sync(convert.to_sync(sync)) == sync


@given(st.none() | st.sampled_from(ScanType))
def test_scan_types(scan_type: ScanType | None) -> None:
    assert convert.from_scan_type(convert.to_scan_type(scan_type)) is scan_type


@given(whole(EngineStatus, engine=ONE, conditions=st.lists(whole(Condition), max_size=3).map(tuple)))
def test_engines(status: EngineStatus) -> None:
    assert engines.from_engine(engines.to_engine(status)) == status


@given(
    whole(
        ScannerReport,
        valid_seconds=st.floats(allow_nan=False),
        parts=st.lists(whole(PartHealth), max_size=3).map(tuple),
    )
)
def test_reports_of_scanners(report: ScannerReport) -> None:
    assert engines.from_report(engines.to_report(report)) == report


@given(whole(Region, instances=st.integers(0, 2**31 - 1)))
def test_regions(region: Region) -> None:
    assert engines.from_region(engines.to_region(region)) == region


def test_a_part_of_a_newer_scanner_is_left_out() -> None:
    said = engine_pb2.ScannerReport(node_id="a", valid_seconds=1.0)
    said.parts.add(part="CLAMAV", ready=True)
    said.parts.add(part="TRIVY", ready=True)
    assert [part.part.value for part in engines.from_report(said).parts] == ["TRIVY"]


@pytest.mark.parametrize(("field", "word"), [("type", "Blessed"), ("status", 99)])
def test_a_word_of_a_newer_release_in_a_condition_is_a_clear_error(field: str, word: object) -> None:
    said = engine_pb2.ScanEngine(engine="TRIVY")
    condition = said.conditions.add(type="Entitled", status=engine_pb2.CONDITION_STATUS_TRUE)
    setattr(condition, field, word)
    with pytest.raises(ServiceError) as caught:
        engines.from_engine(said)
    assert caught.value.reason == "NEWER_RELEASE"


# An instance has a password and never a token: those are lent to scanners, request by request.
@given(whole(RegistryAccess, password=st.text().map(SecretStr), token=st.just(SecretStr(""))))
def test_access(access: RegistryAccess) -> None:
    assert convert.from_access(convert.to_access(access)) == access


@pytest.mark.parametrize(("field", "word"), [("edition", 99), ("engine", "NEW")])
def test_a_word_of_a_newer_release_in_an_instance_is_a_clear_error(field: str, word: object) -> None:
    said = instance_pb2.Instance(engine="TRIVY")
    setattr(said, field, word)
    with pytest.raises(ServiceError) as caught:
        convert.from_instance(said)
    assert caught.value.reason == "NEWER_RELEASE"


@pytest.mark.parametrize("field", ["scope", "trigger", "scan_type"])
def test_a_word_of_a_newer_release_in_a_rule_is_a_clear_error(field: str) -> None:
    said = scan_rule_pb2.ScanRule(scope=scan_rule_pb2.SCOPE_REPO)
    setattr(said, field, 99)
    with pytest.raises(ServiceError) as caught:
        convert.from_saved_rule(said)
    assert caught.value.reason == "NEWER_RELEASE"


@pytest.mark.parametrize("state", [sync_pb2.SYNC_STATE_UNSPECIFIED, 99])
def test_a_word_of_a_newer_release_in_a_sync_is_a_clear_error(state: int) -> None:
    with pytest.raises(ServiceError) as caught:
        convert.from_sync(sync_pb2.Sync(state=state))  # type: ignore[arg-type] # a number of another release
    assert caught.value.reason == "NEWER_RELEASE"
