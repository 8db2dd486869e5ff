"""Whatever rules says or is told crosses the network unchanged, field by field."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from drydock.rules.v1 import instance_pb2, scan_rule_pb2
from services.kernel.errors import ServiceError
from services.kernel.model.access import RegistryAccess
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
)
from services.rules.convert_runs import from_preview, from_run, to_preview, to_run
from tests.builders.whole import whole


@given(whole(Instance))
def test_instances(instance: Instance) -> None:
    assert convert.from_instance(convert.to_instance(instance)) == instance


@given(whole(NewInstance))
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


@given(st.none() | st.sampled_from(ScanType))
def test_scan_types(scan_type: ScanType | None) -> None:
    assert convert.from_scan_type(convert.to_scan_type(scan_type)) is scan_type


@given(whole(RegistryAccess, password=st.text().map(SecretStr)))
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
