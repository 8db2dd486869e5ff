"""Messages of RulesService to values and back."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from drydock.rules.v1 import instance_pb2, rules_service_pb2, scan_rule_pb2
from services.kernel.errors import ServiceError, invalid
from services.kernel.model.engine import parse_engine
from services.rules.api import (
    Edition,
    Instance,
    InstanceChange,
    NewInstance,
    NewScanRule,
    Repository,
    ScanRule,
    ScanType,
    Scope,
    Trigger,
)

_EDITIONS: dict[int, Edition] = {
    instance_pb2.EDITION_UNSPECIFIED: Edition.ENTERPRISE,
    instance_pb2.EDITION_ENTERPRISE: Edition.ENTERPRISE,
    instance_pb2.EDITION_PERSONAL: Edition.PERSONAL,
}
_SCOPES: dict[int, Scope] = {
    scan_rule_pb2.SCOPE_NAMESPACE: Scope.NAMESPACE,
    scan_rule_pb2.SCOPE_REPO: Scope.REPO,
    scan_rule_pb2.SCOPE_INSTANCE: Scope.INSTANCE,
}
_TRIGGERS: dict[int, Trigger] = {
    scan_rule_pb2.TRIGGER_UNSPECIFIED: Trigger.AUTO,
    scan_rule_pb2.TRIGGER_AUTO: Trigger.AUTO,
    scan_rule_pb2.TRIGGER_MANUAL: Trigger.MANUAL,
}
_SCAN_TYPES: dict[int, ScanType | None] = {
    scan_rule_pb2.SCAN_TYPE_UNSPECIFIED: None,
    scan_rule_pb2.SCAN_TYPE_VUL: ScanType.VUL,
    scan_rule_pb2.SCAN_TYPE_SBOM: ScanType.SBOM,
}
_CHANGEABLE = frozenset(
    {"name", "region", "edition", "address", "private_address", "plain_http", "username", "password"}
)


def from_create_instance(request: rules_service_pb2.CreateInstanceRequest) -> NewInstance:
    """Reads what a caller says of a new instance.

    Raises:
        ServiceError: INVALID_EDITION or INVALID_ENGINE.
    """
    said = request.instance
    return NewInstance(
        name=said.name,
        address=said.address,
        private_address=said.private_address,
        edition=_edition(said.edition),
        region=said.region,
        plain_http=said.plain_http,
        username=said.username,
        password=request.password,
        engine=parse_engine(request.engine) if request.engine else None,
        default_rule=not request.no_default_rule,
    )


def from_update_instance(request: rules_service_pb2.UpdateInstanceRequest) -> InstanceChange:
    """Reads the fields that the mask names.

    Raises:
        ServiceError: INVALID_UPDATE_MASK when it is empty or names a field that never changes.
    """
    paths = frozenset(request.update_mask.paths)
    strange = sorted(paths - _CHANGEABLE)
    if strange or not paths:
        raise invalid(
            "INVALID_UPDATE_MASK",
            f"The mask names {strange[0][:80]!r}." if strange else "The mask names no field.",
            field="update_mask",
            hint=f"Name some of: {', '.join(sorted(_CHANGEABLE))}.",
        )
    said = request.instance
    return InstanceChange(
        name=said.name if "name" in paths else None,
        address=said.address if "address" in paths else None,
        private_address=said.private_address if "private_address" in paths else None,
        edition=_edition(said.edition) if "edition" in paths else None,
        region=said.region if "region" in paths else None,
        plain_http=said.plain_http if "plain_http" in paths else None,
        username=said.username if "username" in paths else None,
        password=request.password if "password" in paths else None,
    )


def from_scan_type(scan_type: int) -> ScanType | None:
    """Reads a scan type; None where the caller named none.

    Raises:
        ServiceError: INVALID_SCAN_TYPE.
    """
    if scan_type not in _SCAN_TYPES:
        raise _unknown("INVALID_SCAN_TYPE", "scan type", scan_type, "scan_type")
    return _SCAN_TYPES[scan_type]


def from_rule(said: scan_rule_pb2.ScanRule, *, default_type: ScanType = ScanType.VUL) -> NewScanRule:
    """Reads what a caller says of a rule; `default_type` holds where it names no scan type.

    Raises:
        ServiceError: INVALID_SCOPE, INVALID_TRIGGER or INVALID_SCAN_TYPE.
    """
    scope = _SCOPES.get(said.scope)
    if scope is None:
        raise invalid("INVALID_SCOPE", "A rule needs a scope: NAMESPACE, REPO or INSTANCE.", field="scope")
    trigger = _TRIGGERS.get(said.trigger)
    if trigger is None:
        raise _unknown("INVALID_TRIGGER", "trigger", said.trigger, "trigger")
    return NewScanRule(
        name=said.name,
        scope=scope,
        tag_pattern=said.tag_pattern,
        namespaces=tuple(said.namespaces),
        repo_names=tuple(said.repo_names),
        trigger=trigger,
        scan_type=from_scan_type(said.scan_type) or default_type,
        target_ids=tuple(said.target_ids),
    )


def to_instance(instance: Instance) -> instance_pb2.Instance:
    """Writes an instance."""
    return instance_pb2.Instance(
        instance_id=instance.instance_id,
        name=instance.name,
        edition=instance_pb2.Edition.Value(f"EDITION_{instance.edition.value}"),
        region=instance.region,
        address=instance.address,
        private_address=instance.private_address,
        plain_http=instance.plain_http,
        username=instance.username,
        engine=instance.engine.value,
        create_time=_timestamp(instance.created_at),
        update_time=_timestamp(instance.updated_at),
    )


def to_repository(repository: Repository) -> instance_pb2.Repository:
    """Writes a repository."""
    return instance_pb2.Repository(
        repo_id=repository.repo_id,
        instance_id=repository.instance_id,
        namespace=repository.namespace,
        name=repository.name,
        create_time=_timestamp(repository.created_at),
    )


def to_rule(rule: ScanRule) -> scan_rule_pb2.ScanRule:
    """Writes a rule."""
    return scan_rule_pb2.ScanRule(
        rule_id=rule.rule_id,
        instance_id=rule.instance_id,
        name=rule.name,
        scope=scan_rule_pb2.Scope.Value(f"SCOPE_{rule.scope.value}"),
        namespaces=rule.namespaces,
        repo_names=rule.repo_names,
        tag_pattern=rule.tag_pattern,
        trigger=scan_rule_pb2.Trigger.Value(f"TRIGGER_{rule.trigger.value}"),
        scan_type=scan_rule_pb2.ScanType.Value(f"SCAN_TYPE_{rule.scan_type.value}"),
        target_ids=rule.target_ids,
        create_time=_timestamp(rule.created_at),
        update_time=_timestamp(rule.updated_at),
    )


def _edition(edition: int) -> Edition:
    if edition not in _EDITIONS:
        raise _unknown("INVALID_EDITION", "edition", edition, "edition")
    return _EDITIONS[edition]


def _unknown(reason: str, what: str, number: int, field: str) -> ServiceError:
    return invalid(reason, f"There is no {what} number {number}.", field=field)


def _timestamp(moment: datetime) -> Timestamp:
    written = Timestamp()
    written.FromDatetime(moment)
    return written
