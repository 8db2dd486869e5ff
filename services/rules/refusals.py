"""What rules refuses, each refusal with its reason and its sentence."""

from __future__ import annotations

from services.kernel.errors import Kind, ServiceError, invalid, not_found
from services.kernel.model.reference import RepositoryName
from services.rules.api import Instance, ScanRule


def no_instance(instance: str) -> ServiceError:
    """Nobody has saved it."""
    return not_found(
        "INSTANCE_NOT_EXIST",
        f"There is no instance {instance[:80]!r}.",
        hint="`drydock instance list` shows them.",
    )


def no_repository(owner: Instance, wanted: RepositoryName) -> ServiceError:
    """Nobody has seen it yet."""
    return not_found(
        "REPO_NOT_EXIST",
        f"Instance {owner.name} has no repository {wanted.path!r} that anybody has seen.",
        hint="It appears with its first push or task.",
    )


def no_rule(rule_id: str) -> ServiceError:
    """Nobody has saved it."""
    return not_found(
        "SCAN_RULE_NOT_EXIST",
        f"There is no scan rule {rule_id[:80]!r}.",
        hint="`drydock rule list INSTANCE` shows them.",
    )


def instance_name_taken(name: str) -> ServiceError:
    """Names of instances are unique."""
    return ServiceError(
        Kind.ALREADY_EXISTS, "INSTANCE_ALREADY_EXIST", f"There is an instance {name!r} already.", field="name"
    )


def password_needed(name: str) -> ServiceError:
    """A saved password goes only where, and as safely as, whoever gave it meant it to."""
    return invalid(
        "PASSWORD_NEEDED",
        f"Instance {name} would send its saved password to another address, or without TLS.",
        field="password",
        hint="Give the password anew in the same call, or take the user name away.",
    )


def rule_name_taken(name: str) -> ServiceError:
    """Names of rules are unique inside an instance."""
    return ServiceError(
        Kind.ALREADY_EXISTS,
        "SCAN_RULE_ALREADY_EXIST",
        f"The instance has a rule {name!r} already.",
        field="name",
    )


def too_many_rules(limit: int) -> ServiceError:
    """An index of rules is held in memory whole."""
    return ServiceError(
        Kind.RESOURCE_EXHAUSTED,
        "TOO_MANY_SCAN_RULES",
        f"The instance has {limit} rules, which is as many as it may.",
        hint="Delete some, or raise DRYDOCK_RULES_MAX_RULES_PER_INSTANCE.",
    )


def scan_type_immutable(rule: ScanRule) -> ServiceError:
    """What a rule wants to know never changes."""
    return invalid(
        "SCAN_TYPE_IMMUTABLE",
        f"Rule {rule.name!r} is of scan type {rule.scan_type.value}, which never changes.",
        field="scan_type",
        hint="Make a new rule.",
    )


def sync_off(name: str) -> ServiceError:
    """Nothing is reconciled that is not to be kept in step."""
    return ServiceError(
        Kind.FAILED_PRECONDITION,
        "SYNC_OFF",
        f"Instance {name} is not kept in step with its registry.",
        hint=f"`drydock instance sync {name} on` does so, and begins with a reconciliation.",
    )


def no_run(run_id: str) -> ServiceError:
    """Nobody has started it, or it was forgotten."""
    return not_found("RUN_NOT_EXIST", f"There is no run {run_id[:64]!r}.")


def run_under_way(rule: ScanRule, run_id: str) -> ServiceError:
    """A run is never doubled."""
    return _under_way(f"A run of rule {rule.name!r} has not ended yet: {run_id}.", run_id)


def other_run_under_way(run_id: str) -> ServiceError:
    """A run is never doubled, by an older one neither."""
    return _under_way(f"Another run of the same rule has not ended yet: {run_id}.", run_id)


def request_id_reused() -> ServiceError:
    """An id stands for one request."""
    return ServiceError(
        Kind.ALREADY_EXISTS,
        "REQUEST_ID_REUSED",
        "The request id belongs to a run of another rule.",
        hint="Make a new UUID for each request; repeat one only with the same arguments.",
        field="request_id",
    )


def _under_way(message: str, run_id: str) -> ServiceError:
    return ServiceError(
        Kind.FAILED_PRECONDITION,
        "RUN_UNDER_WAY",
        message,
        hint="Wait for it with `drydock task show`, or call it off with `drydock task cancel`.",
        metadata={"run_id": run_id},
    )
