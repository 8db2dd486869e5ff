"""Who may do what with the lab registry: by user name and password, or by token."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.lab.routes import Refusal
from services.lab.tokens import SERVICE, Access, LabTokenServer

_PATH = re.compile(r"/v2/(.+)/(?:manifests|blobs|tags)/.*")
_ACTIONS = {"GET": "pull", "HEAD": "pull", "DELETE": "delete"}


class BasicDoor:
    """Lets known users in (RFC 7617): those of the mapping at that moment, so that passwords may change."""

    def __init__(self, app: ASGIApp, users: Mapping[str, str]) -> None:
        self._app = app
        self._users = users

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        given = dict(scope["headers"]).get(b"authorization", b"")
        for name, password in self._users.items():
            expected = b"Basic " + base64.b64encode(f"{name}:{password}".encode())
            if hmac.compare_digest(given, expected):
                await self._app({**scope, "lab_user": name}, receive, send)
                return
        await _refusal('Basic realm="lab"')(scope, receive, send)


class TokenDoor:
    """Lets in who brings a token that allows it (CNCF distribution, "Token Authentication Specification")."""

    def __init__(self, app: ASGIApp, tokens: LabTokenServer) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        given = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        wanted = _wanted(scope["method"], scope["path"])
        claims = self._tokens.authority.read(given.removeprefix("Bearer "))
        if claims is not None and (wanted is None or _allows(claims.access, wanted)):
            await self._app({**scope, "lab_user": claims.sub}, receive, send)
            return
        challenge = f'Bearer realm="{self._tokens.realm}",service="{SERVICE}"'
        if wanted is not None:
            challenge += f',scope="{wanted.type}:{wanted.name}:{",".join(wanted.actions)}"'
        if given.startswith("Bearer "):
            challenge += f',error="{"invalid_token" if claims is None else "insufficient_scope"}"'
        await _refusal(challenge)(scope, receive, send)


def _wanted(method: str, path: str) -> Access | None:
    if path == "/v2/_catalog":
        return Access(type="registry", name="catalog", actions=("*",))
    repository = _PATH.fullmatch(path)
    actions = ("pull", "push") if method not in _ACTIONS else (_ACTIONS[method],)
    return Access(type="repository", name=repository[1], actions=actions) if repository else None


def _allows(access: tuple[Access, ...], wanted: Access) -> bool:
    return any(
        (one.type, one.name) == (wanted.type, wanted.name) and set(wanted.actions) <= set(one.actions)
        for one in access
    )


def _refusal(challenge: str) -> Response:
    response: Response = Refusal(401, "UNAUTHORIZED", "authentication required").response
    response.headers["WWW-Authenticate"] = challenge
    return response
