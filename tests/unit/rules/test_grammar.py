"""What instances and rules may look like."""

from __future__ import annotations

from typing import Any

import pytest

from services.kernel.errors import ServiceError
from services.rules.api import InstanceChange, Scope
from services.rules.grammar import (
    check_change,
    check_credentials,
    check_new_instance,
    checked_repository,
    checked_rule,
)
from tests.builders.rules import new_instance, new_rule


def reason_of(error: pytest.ExceptionInfo[ServiceError]) -> tuple[str, str]:
    return error.value.reason, error.value.field


@pytest.mark.parametrize("name", ["", "A", "-a", "a b", "a" * 65, "cri-abc", "a/b", "a\0"])
def test_a_name_outside_the_grammar_is_refused(name: str) -> None:
    with pytest.raises(ServiceError) as caught:
        check_new_instance(new_instance(name))
    assert reason_of(caught) == ("INVALID_NAME", "name")


@pytest.mark.parametrize("address", ["", "http://a", "a/b", "a:0", "a:65536", "a b", "u@h"])
def test_an_address_that_is_no_host_is_refused(address: str) -> None:
    with pytest.raises(ServiceError) as caught:
        check_new_instance(new_instance(address=address))
    assert reason_of(caught) == ("INVALID_ADDRESS", "address")
    if address:
        with pytest.raises(ServiceError) as caught:
            check_change(InstanceChange(private_address=address))
        assert reason_of(caught) == ("INVALID_ADDRESS", "private_address")


@pytest.mark.parametrize("address", ["localhost:5000", "[::1]:5000", "[::1]", "10.0.0.1", "r.example"])
def test_hosts_with_and_without_a_port_are_taken(address: str) -> None:
    check_new_instance(new_instance(address=address))


@pytest.mark.parametrize("address", ["169.254.169.254", "100.100.100.200:5000", "[fe80::1]:5000", "2852039166"])
def test_an_address_that_is_never_connected_to_is_refused(address: str) -> None:
    with pytest.raises(ServiceError) as caught:
        check_new_instance(new_instance(address=address))
    assert reason_of(caught) == ("ADDRESS_REFUSED", "address")
    with pytest.raises(ServiceError) as caught:
        check_change(InstanceChange(private_address=address))
    assert reason_of(caught) == ("ADDRESS_REFUSED", "private_address")


def test_an_error_about_credentials_does_not_show_them() -> None:
    with pytest.raises(ServiceError) as caught:
        check_credentials("", "hunter2")
    assert caught.value.reason == "INVALID_CREDENTIALS"
    assert "hunter2" not in caught.value.sentence()
    with pytest.raises(ServiceError):
        check_credentials("us:er", "")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"scope": Scope.INSTANCE, "namespaces": ("a",)}, "scope"),
        ({"scope": Scope.INSTANCE, "repo_names": ("a",)}, "scope"),
        ({"scope": Scope.NAMESPACE}, "namespaces"),
        ({"scope": Scope.NAMESPACE, "namespaces": ("a",), "repo_names": ("b",)}, "repo_names"),
        ({"scope": Scope.REPO, "namespaces": ("a",)}, "repo_names"),
        ({"scope": Scope.REPO, "repo_names": ("a",)}, "namespaces"),
        ({"scope": Scope.REPO, "namespaces": ("a", "b"), "repo_names": ("c",)}, "namespaces"),
        ({"scope": Scope.REPO, "namespaces": ("a",), "repo_names": ("b/c",)}, "repo_names"),
        ({"scope": Scope.NAMESPACE, "namespaces": tuple(f"n{n}" for n in range(101))}, "namespaces"),
    ],
)
def test_names_that_do_not_fit_the_scope_are_refused(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ServiceError) as caught:
        checked_rule(new_rule(**fields))
    assert reason_of(caught) == ("INVALID_SCOPE", field)


def test_a_namespace_that_no_registry_allows_is_refused() -> None:
    with pytest.raises(ServiceError) as caught:
        checked_rule(new_rule(scope=Scope.NAMESPACE, namespaces=("A",)))
    assert reason_of(caught) == ("INVALID_REFERENCE", "namespaces")


def test_a_target_that_is_no_id_is_refused() -> None:
    with pytest.raises(ServiceError) as caught:
        checked_rule(new_rule(target_ids=("http://x",)))
    assert reason_of(caught) == ("INVALID_TARGET", "target_ids")


def test_doubled_names_and_targets_are_taken_once() -> None:
    rule = checked_rule(
        new_rule(scope=Scope.NAMESPACE, namespaces=("b", "_", "b"), target_ids=("tgt-2", "tgt-1", "tgt-2"))
    )
    assert rule.namespaces == ("b", "_")
    assert rule.target_ids == ("tgt-1", "tgt-2")


def test_a_repository_without_a_namespace_has_the_underscore() -> None:
    assert checked_repository("", "app") == checked_repository("_", "app")
    assert checked_repository("a/b", "c").path == "a/b/c"
    with pytest.raises(ServiceError):
        checked_repository("a", "b/c")
