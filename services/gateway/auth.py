"""The guard of the gateway's gRPC door: a known token, and a role that suffices."""

from __future__ import annotations

from services.gateway.api import Key, Role
from services.gateway.permissions import MINIMAL_ROLES, Open, suffices
from services.gateway.tokens import TokenChecker
from services.kernel.errors import Kind, ServiceError
from services.kernel.rpc import call_context
from services.kernel.rpc.bearer import bearer_in
from services.kernel.rpc.interceptors import Metadata


class BearerGuard:
    """Admits by the table in `permissions`; a method that is missing there is refused to everybody."""

    def __init__(self, checker: TokenChecker) -> None:
        self._checker = checker

    async def admit(self, method: str, metadata: Metadata) -> None:
        """Returns when the caller's key may call the method.

        Raises:
            ServiceError: TOKEN_MISSING or TOKEN_UNKNOWN (UNAUTHENTICATED), ROLE_INSUFFICIENT (PERMISSION_DENIED).
        """
        if MINIMAL_ROLES.get(method) is Open.OPEN:
            return
        authorize(await self._checker.check(bearer_in(metadata)), method)


def authorize(key: Key, method: str) -> None:
    """Returns when a key may call a method, and notes for whom the call is answered.

    Raises:
        ServiceError: ROLE_INSUFFICIENT (PERMISSION_DENIED).
    """
    least = MINIMAL_ROLES.get(method)
    if isinstance(least, Role) and suffices(key.role, least):
        call_context.act_for(key.name)
        return
    needed = f"the role {least.value.lower()}" if isinstance(least, Role) else "a role that nobody has"
    raise ServiceError(
        Kind.PERMISSION_DENIED,
        "ROLE_INSUFFICIENT",
        f"The key {key.name!r} is a {key.role.value.lower()} key; this call needs {needed}.",
        hint="Use a key with that role.",
    )
