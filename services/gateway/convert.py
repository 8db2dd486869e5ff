"""Keys between dataclass and protobuf."""

from __future__ import annotations

from drydock.gateway.v1 import admin_service_pb2 as pb
from services.gateway.api import Key, Role
from services.kernel.errors import invalid

_ROLES = {
    pb.ROLE_ADMIN: Role.ADMIN,
    pb.ROLE_OPERATOR: Role.OPERATOR,
    pb.ROLE_CLIENT: Role.CLIENT,
    pb.ROLE_VIEWER: Role.VIEWER,
    pb.ROLE_WEBHOOK: Role.WEBHOOK,
}
_NUMBERS = {role: number for number, role in _ROLES.items()}


def from_role(number: pb.Role.ValueType) -> Role:
    """Reads a role.

    Raises:
        ServiceError: INVALID_ROLE when it is not set, or newer than this server.
    """
    role = _ROLES.get(number)
    if role is None:
        raise invalid(
            "INVALID_ROLE",
            "The key needs a role.",
            field="role",
            hint="One of admin, operator, client, viewer, webhook.",
        )
    return role


def to_key(key: Key) -> pb.Key:
    """Writes a key."""
    message = pb.Key(key_id=key.key_id, name=key.name, role=_NUMBERS[key.role], instance_id=key.instance_id)
    message.create_time.FromDatetime(key.created_at)
    return message
