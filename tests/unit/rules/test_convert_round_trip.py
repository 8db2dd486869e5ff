"""Whatever rules says or is told crosses the network unchanged, field by field."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from services.kernel.model.access import RegistryAccess
from services.rules import convert
from services.rules.api import Instance, InstanceChange, NewInstance, NewScanRule, Repository, ScanRule, ScanType
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
