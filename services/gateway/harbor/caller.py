"""Who calls as Harbor: one of Drydock's own keys, in whichever of three ways Harbor shows it."""

from __future__ import annotations

from starlette.requests import Request

from services.gateway.api import Key, Role
from services.gateway.harbor.requests import basic_pair
from services.gateway.permissions import suffices
from services.gateway.tokens import TokenChecker
from services.kernel.errors import Kind, ServiceError
from services.kernel.rpc import call_context
from services.kernel.rpc.bearer import bearer_of

API_KEY = "x-scanneradapter-api-key"


async def admit(checker: TokenChecker, request: Request, least: Role) -> Key:
    """Returns the caller's key when its role suffices, and it is not limited to namespaces.

    Which repository an image is of, Harbor says, and no registry is asked: with a digest that lies elsewhere, such
    a key would read what it may not.

    Raises:
        ServiceError: TOKEN_MISSING, TOKEN_UNKNOWN, ROLE_INSUFFICIENT, KEY_LIMITED.
    """
    key = await checker.check(token_of(request))
    if not suffices(key.role, least):
        raise ServiceError(
            Kind.PERMISSION_DENIED,
            "ROLE_INSUFFICIENT",
            f"The key {key.name!r} is a {key.role.value.lower()} key; this call needs {least.value.lower()}.",
            hint="Register the scanner with a key of that role.",
        )
    if any(key.limits.values()):
        raise ServiceError(
            Kind.PERMISSION_DENIED,
            "KEY_LIMITED",
            f"The key {key.name!r} is limited to namespaces; Harbor's scanner looks into all of an instance.",
            hint="Register the scanner with a key of the whole instance.",
        )
    call_context.act_for(key.name)
    return key


def token_of(request: Request) -> str:
    """Returns the token that a request shows: as Bearer, as the password of Basic, or as an API key; or nothing.

    The user name of Basic is not looked at: the token alone says whose it is.
    """
    header = request.headers.get("authorization", "")
    if not header:
        return request.headers.get(API_KEY, "")
    scheme, _, value = header.partition(" ")
    return basic_pair(value.strip())[1] if scheme.lower() == "basic" else bearer_of(header)
