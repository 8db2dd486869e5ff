"""How processes of one installation know each other: a shared token, or certificates of an authority."""

from __future__ import annotations

import dataclasses
import hmac
import re
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.kernel.errors import Kind, ServiceError, invalid

_TOKEN = re.compile(r"[\x21-\x7e]{1,512}")
_MAX_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """PEM texts of mutual TLS: both sides show one and accept those of the authority."""

    certificate: bytes
    key: bytes = dataclasses.field(repr=False)
    authority: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What this process shows to its peers, and asks of them."""

    tokens: tuple[str, ...] = dataclasses.field(default=(), repr=False)
    """The first is sent, each is accepted: so a token is replaced without a pause."""
    certificates: Certificates | None = None

    @property
    def proves(self) -> bool:
        """Whether a stranger can be told from a peer at all."""
        return bool(self.tokens) or self.certificates is not None

    def accepts(self, token: str) -> bool:
        """Tells whether a peer sent one of the tokens; takes as long for a wrong one as for a right one."""
        sent = token.encode()
        matches = [hmac.compare_digest(sent, known.encode()) for known in self.tokens]
        return any(matches)

    def server_credentials(self) -> grpc.ServerCredentials | None:
        """Returns what a server listens with; None for plain text."""
        if self.certificates is None:
            return None
        own = self.certificates
        return grpc.ssl_server_credentials(
            [(own.key, own.certificate)], root_certificates=own.authority, require_client_auth=True
        )

    def channel_credentials(self) -> grpc.ChannelCredentials | None:
        """Returns what a client connects with; None for plain text."""
        if self.certificates is None:
            return None
        own = self.certificates
        return grpc.ssl_channel_credentials(own.authority, own.key, own.certificate)


def read_tokens(text: str, origin: str) -> tuple[str, ...]:
    """Reads service tokens, one a line; none from an empty text.

    Raises:
        ServiceError: SERVICE_TOKEN_INVALID, which never shows it.
    """
    tokens = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not all(map(_TOKEN.fullmatch, tokens)):
        raise invalid(
            "SERVICE_TOKEN_INVALID",
            f"{origin} holds something that cannot be a token.",
            field=origin,
            hint="A token has 1 to 512 printable ASCII characters without spaces: openssl rand -hex 32.",
        )
    return tokens


def read_certificates(certificate: Path | None, key: Path | None, authority: Path | None) -> Certificates | None:
    """Reads the three PEM files of mutual TLS; None when none is named.

    Raises:
        ServiceError: TLS_INCOMPLETE, TLS_FILE_UNREADABLE, or TLS_FILE_INVALID for what grpc would choke on.
    """
    files = {"DRYDOCK_TLS_CERT_FILE": certificate, "DRYDOCK_TLS_KEY_FILE": key, "DRYDOCK_TLS_CA_FILE": authority}
    missing = [name for name, path in files.items() if path is None]
    if len(missing) == len(files):
        return None
    if certificate is None or key is None or authority is None:
        raise invalid(
            "TLS_INCOMPLETE",
            f"Mutual TLS needs {missing[0]} too.",
            field=missing[0],
            hint="Set all three: certificate, key, and the authority's certificate.",
        )
    own, secret = read_pair(certificate, key)
    return Certificates(certificate=own, key=secret, authority=read_authority(authority))


def read_pair(certificate: Path, key: Path) -> tuple[bytes, bytes]:
    """Reads the PEM files of a certificate (with those between it and its authority) and of its key.

    Raises:
        ServiceError: TLS_FILE_UNREADABLE, TLS_FILE_INVALID, also for a key that is another certificate's.
    """
    own, secret = _read(certificate), _read(key)
    try:
        public = x509.load_pem_x509_certificate(own).public_key()
    except ValueError as error:
        raise _broken(f"{certificate} is no certificate in PEM.") from error
    try:
        private = load_pem_private_key(secret, password=None)
    except (ValueError, TypeError) as error:
        raise _broken(f"{key} is no private key in PEM without a password.") from error
    if private.public_key() != public:
        raise _broken(f"The key {key} is not that of the certificate {certificate}.")
    return own, secret


def read_authority(path: Path) -> bytes:
    """Reads the PEM file of one authority or several.

    Raises:
        ServiceError: TLS_FILE_UNREADABLE, TLS_FILE_INVALID.
    """
    read = _read(path)
    try:
        x509.load_pem_x509_certificates(read)
    except ValueError as error:
        raise _broken(f"{path} is no certificate in PEM.") from error
    return read


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES)
    except OSError as error:
        raise ServiceError(
            Kind.FAILED_PRECONDITION,
            "TLS_FILE_UNREADABLE",
            f"The file {path} cannot be read: {error.strerror}.",
            hint="Check its path, owner and mode.",
        ) from error


def _broken(message: str) -> ServiceError:
    return ServiceError(
        Kind.FAILED_PRECONDITION,
        "TLS_FILE_INVALID",
        message,
        hint="Check what the variables of TLS name.",
    )
