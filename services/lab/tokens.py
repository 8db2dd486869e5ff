"""A token server for the lab registry and the real one: real signed tokens, for made-up users.

Formats: CNCF distribution, "Token Authentication Specification" and "Token Authentication Implementation"; RFC
7515, RFC 7518 (ES256). Anybody may pull below `public/`; known users may do everything but below `closed/`.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import uuid
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.kernel.clock import Clock, SystemClock
from services.lab.faults import Faults, FaultyApp
from services.lab.loopback import LoopbackServer, listen, serving
from services.lab.watched import Seen, Watched

SERVICE, ISSUER = "drydock-lab", "drydock-lab-issuer"
_ALGORITHM = ec.ECDSA(hashes.SHA256())
_HALF = 32
_ACTIONS = frozenset({"pull", "push", "delete", "*"})


class Access(msgspec.Struct, frozen=True):
    """What a token allows on one resource."""

    type: str
    name: str
    actions: tuple[str, ...]


class Claims(msgspec.Struct, frozen=True):
    """The claim set of a token."""

    iss: str
    sub: str
    aud: str
    exp: int
    nbf: int
    iat: int
    jti: str
    access: tuple[Access, ...]


class Authority:
    """Signs tokens and knows its own again."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.service = SERVICE
        """Whom its tokens are for; tests may make them for somebody else."""
        self.lifetime_seconds = 300
        self._clock = clock or SystemClock()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = _certificate(self._key)
        self._revoked: set[str] = set()
        self._given: list[str] = []

    @property
    def certificate(self) -> bytes:
        """PEM, for a registry's `rootcertbundle`."""
        return self._certificate.public_bytes(Encoding.PEM)

    def now(self) -> datetime:
        """The moment by its clock."""
        return self._clock.now()

    def sign(self, user: str, access: tuple[Access, ...]) -> str:
        """Returns a token."""
        now = int(self.now().timestamp())
        claims = Claims(
            iss=ISSUER,
            sub=user,
            aud=self.service,
            exp=now + self.lifetime_seconds,
            nbf=now - 10,
            iat=now,
            jti=str(uuid.uuid4()),
            access=access,
        )
        chain = [base64.b64encode(self._certificate.public_bytes(Encoding.DER)).decode()]
        head = msgspec.json.encode({"typ": "JWT", "alg": "ES256", "x5c": chain})
        signed = f"{_packed(head)}.{_packed(msgspec.json.encode(claims))}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), _ALGORITHM))
        self._given.append(claims.jti)
        return f"{signed}.{_packed(r.to_bytes(_HALF, 'big') + s.to_bytes(_HALF, 'big'))}"

    def read(self, token: str) -> Claims | None:
        """Returns the claims of a token that is ours, for the lab's registry, and still good; else None."""
        try:
            signed, _, signature = token.rpartition(".")
            raw = _unpacked(signature)
            r, s = int.from_bytes(raw[:_HALF], "big"), int.from_bytes(raw[_HALF:], "big")
            self._key.public_key().verify(encode_dss_signature(r, s), signed.encode(), _ALGORITHM)
            claims = msgspec.json.decode(_unpacked(signed.partition(".")[2]), type=Claims)
        except (ValueError, InvalidSignature, msgspec.DecodeError):
            return None
        now = self.now().timestamp()
        fresh = claims.nbf <= now < claims.exp and claims.jti not in self._revoked
        return claims if fresh and (claims.iss, claims.aud) == (ISSUER, SERVICE) else None

    def revoke_all(self) -> None:
        """Makes every token given so far worthless to the lab's registry."""
        self._revoked.update(self._given)


class LabTokenServer:
    """A running token server, as its owner sees it."""

    def __init__(self, address: str, authority: Authority, faults: Faults, seen: list[Seen]) -> None:
        self.realm = f"http://{address}/token"
        self.authority = authority
        self.faults = faults
        self.seen = seen
        """Requests in the order of arrival."""


@contextlib.asynccontextmanager
async def serve_tokens(*, users: Mapping[str, str], clock: Clock | None = None) -> AsyncIterator[LabTokenServer]:
    """Runs a token server in this event loop for the time of the block, on 127.0.0.1 only.

    Args:
        users: names and passwords; who sends none is a stranger.
        clock: dates the tokens.
    """
    listener, address = listen()
    authority, faults = Authority(clock), Faults()
    desk = _Desk(authority, users)
    watched = Watched(FaultyApp(Starlette(routes=[Route("/token", desk.answer)]), faults))
    server = LoopbackServer(watched)
    faults.hang_up = server.hang_up
    async with serving(server, listener):
        yield LabTokenServer(address, authority, faults, watched.seen)


class _Desk:
    def __init__(self, authority: Authority, users: Mapping[str, str]) -> None:
        self._authority = authority
        self._users = {
            f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}": name
            for name, password in users.items()
        }

    async def answer(self, request: Request) -> Response:
        given = request.headers.get("Authorization", "")
        user = next((name for known, name in self._users.items() if hmac.compare_digest(known, given)), "")
        if given and not user:
            return Response(status_code=401)
        asked = [one for scope in request.query_params.getlist("scope") for one in scope.split()]
        access = tuple(_granted(user, one) for one in asked)
        token = self._authority.sign(user, access)
        answer = {
            "token": token,
            "access_token": token,
            "expires_in": self._authority.lifetime_seconds,
            "issued_at": self._authority.now(),
        }
        return Response(msgspec.json.encode(answer), media_type="application/json")


def _granted(user: str, scope: str) -> Access:
    """Returns the part of a scope that the user may have; less than was asked for is no error."""
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    asked = frozenset(actions.split(",")) & _ACTIONS
    if user:
        allowed = frozenset[str]() if name.startswith("closed/") else asked
    else:
        allowed = asked & {"pull"} if name.startswith("public/") else frozenset()
    return Access(type=kind, name=name, actions=tuple(sorted(allowed)))


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, ISSUER)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=30))
    return builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(
        key, hashes.SHA256()
    )


def _packed(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _unpacked(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
