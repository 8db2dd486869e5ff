"""Values to messages of RulesService and back."""

from __future__ import annotations

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import given
from hypothesis import strategies as st

from drydock.rules.v1 import instance_pb2, rules_service_pb2, scan_rule_pb2
from services.kernel.errors import ServiceError
from services.kernel.model.engine import Engine
from services.rules.api import Edition, NewScanRule, ScanRule, ScanType, Scope, Trigger
from services.rules.convert import from_create_instance, from_rule, from_update_instance, to_rule
from tests.builders.rules import MOMENT

_text = st.text(max_size=8)
_texts = st.lists(_text, max_size=3).map(tuple)


@given(
    st.builds(
        ScanRule,
        rule_id=_text,
        instance_id=_text,
        name=_text,
        scope=st.sampled_from(Scope),
        tag_pattern=_text,
        namespaces=_texts,
        repo_names=_texts,
        trigger=st.sampled_from(Trigger),
        scan_type=st.sampled_from(ScanType),
        target_ids=_texts,
        created_at=st.just(MOMENT),
        updated_at=st.just(MOMENT),
    )
)
def test_a_rule_comes_back_as_it_was(rule: ScanRule) -> None:
    back = from_rule(to_rule(rule))
    assert back == NewScanRule(
        name=rule.name,
        scope=rule.scope,
        tag_pattern=rule.tag_pattern,
        namespaces=rule.namespaces,
        repo_names=rule.repo_names,
        trigger=rule.trigger,
        scan_type=rule.scan_type,
        target_ids=rule.target_ids,
    )


def test_what_is_not_said_of_a_rule_is_auto_and_vul() -> None:
    said = scan_rule_pb2.ScanRule(name="n", scope=scan_rule_pb2.SCOPE_INSTANCE, tag_pattern=".*")
    assert (from_rule(said).trigger, from_rule(said).scan_type) == (Trigger.AUTO, ScanType.VUL)


def test_a_rule_without_a_scope_is_refused() -> None:
    with pytest.raises(ServiceError) as caught:
        from_rule(scan_rule_pb2.ScanRule(name="n"))
    assert caught.value.reason == "INVALID_SCOPE"


def test_a_new_instance_is_an_enterprise_one_unless_said_otherwise() -> None:
    said = instance_pb2.Instance(name="a", address="h")
    request = rules_service_pb2.CreateInstanceRequest(instance=said, engine="security-center", password="p")
    new = from_create_instance(request)
    assert (new.edition, new.engine, new.password, new.default_rule) == (
        Edition.ENTERPRISE,
        Engine.SECURITY_CENTER,
        "p",
        True,
    )


def test_only_fields_of_the_mask_are_changed() -> None:
    request = rules_service_pb2.UpdateInstanceRequest(
        instance=instance_pb2.Instance(name="a", region="r", plain_http=True),
        password="p",
        update_mask=FieldMask(paths=["region", "username"]),
    )
    change = from_update_instance(request)
    assert (change.region, change.username) == ("r", "")
    assert (change.name, change.password, change.plain_http) == (None, None, None)


@pytest.mark.parametrize("paths", [[], ["engine"], ["name", "instance_id"]])
def test_a_mask_without_fields_or_with_fixed_ones_is_refused(paths: list[str]) -> None:
    with pytest.raises(ServiceError) as caught:
        from_update_instance(rules_service_pb2.UpdateInstanceRequest(update_mask=FieldMask(paths=paths)))
    assert caught.value.reason == "INVALID_UPDATE_MASK"
