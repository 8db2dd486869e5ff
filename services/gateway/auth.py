"""Who may make a call, at every door; and the guard of the gRPC door: a known token, and a role that suffices."""

from __future__ import annotations

from services.gateway import caller
from services.gateway.api import Key
from services.gateway.permissions import MINIMAL_ROLES, UNLIMITED, WHOLE_INSTANCES, Open, suffices
from services.gateway.tokens import TokenChecker
from services.kernel.errors import Kind, ServiceError
from services.kernel.rpc.bearer import bearer_in
from services.kernel.rpc.interceptors import Metadata


class BearerGuard:
    """Admits by the table in `permissions`; a method that is missing there is refused to everybody."""

    def __init__(self, checker: TokenChecker) -> None:
        self._checker = checker

    async def admit(self, method: str, metadata: Metadata) -> None:
        """Returns when the caller's key may call the method.

        Raises:
            ServiceError: TOKEN_MISSING or TOKEN_UNKNOWN (UNAUTHENTICATED), RATE_EXCEEDED, what `authorize` raises.
        """
        if MINIMAL_ROLES.get(method) is not Open.OPEN:
            authorize(await self._checker.check(bearer_in(metadata)), method)


def authorize(key: Key, method: str) -> None:
    """Returns when a key may call a method, and notes for whom the call is answered.

    Raises:
        ServiceError: ROLE_INSUFFICIENT, KEY_LIMITED (PERMISSION_DENIED).
    """
    least = MINIMAL_ROLES.get(method)
    if not isinstance(least, Open) and (least is None or not suffices(key.role, least)):
        needed = f"the role {least.value.lower()}" if least is not None else "a role that nobody has"
        raise ServiceError(
            Kind.PERMISSION_DENIED,
            "ROLE_INSUFFICIENT",
            f"The key {key.name!r} is a {key.role.value.lower()} key; this call needs {needed}.",
            hint="Use a key with that role.",
        )
    if (method in UNLIMITED and key.limits) or (method in WHOLE_INSTANCES and any(key.limits.values())):
        raise ServiceError(
            Kind.PERMISSION_DENIED,
            "KEY_LIMITED",
            f"The key {key.name!r} is limited; this call is about more than what it is limited to.",
            hint="Use a key without limits.",
        )
    caller.enter(key)
