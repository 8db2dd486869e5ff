"""How Harbor shows one of Drydock's own keys: in whichever of its three ways."""

from __future__ import annotations

from starlette.requests import Request

from services.gateway.harbor.requests import basic_pair
from services.kernel.rpc.bearer import bearer_of

API_KEY = "x-scanneradapter-api-key"


def token_of(request: Request) -> str:
    """Returns the token that a request shows: as Bearer, as the password of Basic, or as an API key; or nothing.

    The user name of Basic is not looked at: the token alone says whose it is.
    """
    header = request.headers.get("authorization", "")
    if not header:
        return request.headers.get(API_KEY, "")
    scheme, _, value = header.partition(" ")
    return basic_pair(value.strip())[1] if scheme.lower() == "basic" else bearer_of(header)
