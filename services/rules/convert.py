"""Messages of RulesService to values and back."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import SecretStr

from drydock.rules.v1 import instance_pb2, rules_inner_service_pb2, rules_service_pb2, scan_rule_pb2, sync_pb2
from services.kernel.errors import ServiceError, invalid
from services.kernel.model.access import RegistryAccess
from services.kernel.model.engine import parse_engine
from services.kernel.rpc.answers import answer_of
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
    Sync,
    SyncState,
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


def to_create_instance(new: NewInstance) -> rules_service_pb2.CreateInstanceRequest:
    """Writes what a caller says of a new instance."""
    return rules_service_pb2.CreateInstanceRequest(
        instance=instance_pb2.Instance(
            name=new.name,
            address=new.address,
            private_address=new.private_address,
            edition=_edition_number(new.edition),
            region=new.region,
            plain_http=new.plain_http,
            username=new.username,
        ),
        password=new.password,
        engine=new.engine.value if new.engine is not None else "",
        no_default_rule=not new.default_rule,
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


def to_update_instance(instance: str, change: InstanceChange) -> rules_service_pb2.UpdateInstanceRequest:
    """Writes the fields that are to change, and the mask that names them."""
    said: dict[str, object] = {
        "name": change.name,
        "address": change.address,
        "private_address": change.private_address,
        "edition": _edition_number(change.edition) if change.edition is not None else None,
        "region": change.region,
        "plain_http": change.plain_http,
        "username": change.username,
    }
    request = rules_service_pb2.UpdateInstanceRequest(instance=instance_pb2.Instance(instance_id=instance))
    for path, value in said.items():
        if value is not None:
            setattr(request.instance, path, value)
            request.update_mask.paths.append(path)
    if change.password is not None:
        request.password = change.password
        request.update_mask.paths.append("password")
    return request


def from_scan_type(scan_type: int) -> ScanType | None:
    """Reads a scan type; None where the caller named none.

    Raises:
        ServiceError: INVALID_SCAN_TYPE.
    """
    if scan_type not in _SCAN_TYPES:
        raise _unknown("INVALID_SCAN_TYPE", "scan type", scan_type, "scan_type")
    return _SCAN_TYPES[scan_type]


def to_scan_type(scan_type: ScanType | None) -> scan_rule_pb2.ScanType.ValueType:
    """Writes a scan type; None asks for every type."""
    if scan_type is None:
        return scan_rule_pb2.SCAN_TYPE_UNSPECIFIED
    return scan_rule_pb2.ScanType.Value(f"SCAN_TYPE_{scan_type.value}")


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
        schedule=said.schedule,
    )


def to_new_rule(new: NewScanRule, *, rule_id: str = "", instance: str = "") -> scan_rule_pb2.ScanRule:
    """Writes what a caller says of a rule: a new one of that instance, or the one with that id."""
    return scan_rule_pb2.ScanRule(
        rule_id=rule_id,
        instance_id=instance,
        name=new.name,
        scope=scan_rule_pb2.Scope.Value(f"SCOPE_{new.scope.value}"),
        namespaces=new.namespaces,
        repo_names=new.repo_names,
        tag_pattern=new.tag_pattern,
        trigger=scan_rule_pb2.Trigger.Value(f"TRIGGER_{new.trigger.value}"),
        scan_type=to_scan_type(new.scan_type),
        target_ids=new.target_ids,
        schedule=new.schedule,
    )


def to_instance(instance: Instance) -> instance_pb2.Instance:
    """Writes an instance."""
    return instance_pb2.Instance(
        instance_id=instance.instance_id,
        name=instance.name,
        edition=_edition_number(instance.edition),
        region=instance.region,
        address=instance.address,
        private_address=instance.private_address,
        plain_http=instance.plain_http,
        username=instance.username,
        engine=instance.engine.value,
        create_time=_timestamp(instance.created_at),
        update_time=_timestamp(instance.updated_at),
        sync=instance.sync,
    )


@answer_of("rules")
def from_instance(said: instance_pb2.Instance) -> Instance:
    """Reads an instance as rules has it.

    Raises:
        ServiceError: NEWER_RELEASE for an edition or engine that this release does not know.
    """
    return Instance(
        instance_id=said.instance_id,
        name=said.name,
        edition=_edition(said.edition),
        region=said.region,
        address=said.address,
        private_address=said.private_address,
        plain_http=said.plain_http,
        username=said.username,
        engine=parse_engine(said.engine),
        created_at=_moment(said.create_time),
        updated_at=_moment(said.update_time),
        sync=said.sync,
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


def from_repository(said: instance_pb2.Repository) -> Repository:
    """Reads a repository as rules has it."""
    return Repository(
        repo_id=said.repo_id,
        instance_id=said.instance_id,
        namespace=said.namespace,
        name=said.name,
        created_at=_moment(said.create_time),
    )


def to_rule(rule: ScanRule) -> scan_rule_pb2.ScanRule:
    """Writes a rule."""
    written = to_new_rule(rule, rule_id=rule.rule_id, instance=rule.instance_id)
    written.create_time.FromDatetime(rule.created_at)
    written.update_time.FromDatetime(rule.updated_at)
    written.last_run_id, written.skipped = rule.last_run_id, rule.skipped
    if rule.next_run_at is not None:
        written.next_run_time.FromDatetime(rule.next_run_at)
    return written


@answer_of("rules")
def from_saved_rule(said: scan_rule_pb2.ScanRule) -> ScanRule:
    """Reads a rule as rules has it.

    Raises:
        ServiceError: NEWER_RELEASE for a scope, trigger or scan type that this release does not know.
    """
    new = from_rule(said)
    return ScanRule(
        rule_id=said.rule_id,
        instance_id=said.instance_id,
        name=new.name,
        scope=new.scope,
        tag_pattern=new.tag_pattern,
        namespaces=new.namespaces,
        repo_names=new.repo_names,
        trigger=new.trigger,
        scan_type=new.scan_type,
        target_ids=new.target_ids,
        schedule=new.schedule,
        next_run_at=_moment(said.next_run_time) if said.HasField("next_run_time") else None,
        last_run_id=said.last_run_id,
        skipped=said.skipped,
        created_at=_moment(said.create_time),
        updated_at=_moment(said.update_time),
    )


def to_access(access: RegistryAccess) -> rules_inner_service_pb2.RegistryAccess:
    """Writes how a registry is reached, password in clear: for peers only."""
    return rules_inner_service_pb2.RegistryAccess(
        address=access.address,
        plain_http=access.plain_http,
        username=access.username,
        password=access.password.get_secret_value(),
    )


def from_access(said: rules_inner_service_pb2.RegistryAccess) -> RegistryAccess:
    """Reads how a registry is reached."""
    return RegistryAccess(
        address=said.address,
        plain_http=said.plain_http,
        username=said.username,
        password=SecretStr(said.password),
    )


def to_sync(sync: Sync) -> sync_pb2.Sync:
    """Writes how a sync stands."""
    return sync_pb2.Sync(
        instance_id=sync.instance_id,
        on=sync.on,
        state=sync_pb2.SyncState.Value(f"SYNC_STATE_{sync.state.value}"),
        walk=sync.walk,
        begin_time=_timestamp(sync.began_at) if sync.began_at else None,
        end_time=_timestamp(sync.ended_at) if sync.ended_at else None,
        next_time=_timestamp(sync.next_at) if sync.next_at else None,
        repositories=sync.repositories,
        tags=sync.tags,
        repositories_gone=sync.repositories_gone,
        skipped=sync.skipped,
        reason=sync.reason,
        message=sync.message,
    )


@answer_of("rules")
def from_sync(said: sync_pb2.Sync) -> Sync:
    """Reads how a sync stands.

    Raises:
        ServiceError: NEWER_RELEASE for a state that this release does not know.
    """
    return Sync(
        instance_id=said.instance_id,
        on=said.on,
        state=SyncState(sync_pb2.SyncState.Name(said.state).removeprefix("SYNC_STATE_")),
        walk=said.walk,
        began_at=_moment(said.begin_time) if said.HasField("begin_time") else None,
        ended_at=_moment(said.end_time) if said.HasField("end_time") else None,
        next_at=_moment(said.next_time) if said.HasField("next_time") else None,
        repositories=said.repositories,
        tags=said.tags,
        repositories_gone=said.repositories_gone,
        skipped=said.skipped,
        reason=said.reason,
        message=said.message,
    )


def _edition(edition: int) -> Edition:
    if edition not in _EDITIONS:
        raise _unknown("INVALID_EDITION", "edition", edition, "edition")
    return _EDITIONS[edition]


def _edition_number(edition: Edition) -> instance_pb2.Edition.ValueType:
    return instance_pb2.Edition.Value(f"EDITION_{edition.value}")


def _unknown(reason: str, what: str, number: int, field: str) -> ServiceError:
    return invalid(reason, f"There is no {what} number {number}.", field=field)


def _timestamp(moment: datetime) -> Timestamp:
    written = Timestamp()
    written.FromDatetime(moment)
    return written


def _moment(said: Timestamp) -> datetime:
    return said.ToDatetime(tzinfo=UTC)
