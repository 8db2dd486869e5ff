"""TLS of the gateway's doors: certificates from files, which are read again when they change."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
from datetime import datetime
from pathlib import Path

import grpc
import structlog
from cryptography import x509

from services.gateway.settings import GatewaySettings
from services.kernel.errors import Kind, ServiceError, invalid
from services.kernel.rpc.identity import read_authority, read_pair
from services.kernel.wakeup import wait

log = structlog.get_logger()

_LOOK_SECONDS = 10.0
"""How often the files are looked at: a renewed certificate is shown from then on, to new connections."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    certificate: bytes
    key: bytes = dataclasses.field(repr=False)
    clients: bytes | None


class DoorTls:
    """What both doors listen with. Files that cannot be used leave those in use that were read before."""

    def __init__(self, *, certificate: Path, key: Path, clients: Path | None, doors: str) -> None:
        """Reads the files; callers show a certificate of `clients` at these doors: `both`, `grpc`, `http`.

        Raises:
            ServiceError: TLS_FILE_UNREADABLE, TLS_FILE_INVALID.
        """
        self._certificate, self._key, self._clients = certificate, key, clients
        self._asked = {"grpc", "http"} if doors == "both" else {doors}
        self._read = self._look()
        self._context = self._new_context(self._read)
        self._complaint = ""

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """Returns what the gRPC door listens with; each connection gets the certificate of its moment."""
        shown = self._read

        def fetch() -> grpc.ServerCertificateConfiguration | None:  # called by grpc's threads, before a handshake
            nonlocal shown
            newest = self._read
            if newest is shown:
                return None
            shown = newest
            return self._configuration(newest)

        asks = self._read.clients is not None and "grpc" in self._asked
        first = self._configuration(shown)
        return grpc.dynamic_ssl_server_credentials(first, fetch, asks)  # type: ignore[arg-type] # None is "no change"

    def http_context(self) -> ssl.SSLContext:
        """Returns what the HTTP door listens with; each connection gets the certificate of its moment."""
        context = self._new_context(self._read)

        def choose(connection: ssl.SSLObject, name: str | None, first: ssl.SSLContext) -> None:
            del name, first
            connection.context = self._context

        context.sni_callback = choose
        return context

    async def watch(self, stopping: asyncio.Event) -> None:
        """Looks at the files again and again."""
        while not await wait(stopping, _LOOK_SECONDS):
            await asyncio.to_thread(self.refresh)

    def describe(self, now: datetime) -> str:
        """Says until when the certificate holds.

        Raises:
            ServiceError: TLS_CERTIFICATE_EXPIRED.
        """
        ends = x509.load_pem_x509_certificate(self._read.certificate).not_valid_after_utc
        if ends <= now:
            raise ServiceError(
                Kind.FAILED_PRECONDITION,
                "TLS_CERTIFICATE_EXPIRED",
                f"The certificate of the doors, {self._certificate}, has expired.",
                hint="Renew it; it is read again by itself.",
            )
        mutual = f", callers' certificates at {' and '.join(sorted(self._asked))}" if self._read.clients else ""
        return f"TLS until {ends:%Y-%m-%d}{mutual}"

    def refresh(self) -> None:
        """Takes what the files hold now; what they cannot be used for is said once."""
        try:
            read = self._look()
            if read != self._read:
                context = self._new_context(read)
                self._context, self._read = context, read
                log.info("door.certificates_renewed", certificate=str(self._certificate))
            self._complaint = ""
        except (ServiceError, ssl.SSLError, OSError) as error:
            complaint = error.sentence() if isinstance(error, ServiceError) else type(error).__name__
            if complaint != self._complaint:
                log.warning("door.certificates_kept", why=complaint)
            self._complaint = complaint

    def _look(self) -> _Read:
        certificate, key = read_pair(self._certificate, self._key)
        clients = read_authority(self._clients) if self._clients is not None else None
        return _Read(certificate=certificate, key=key, clients=clients)

    def _configuration(self, read: _Read) -> grpc.ServerCertificateConfiguration:
        roots = read.clients if "grpc" in self._asked else None
        return grpc.ssl_server_certificate_configuration([(read.key, read.certificate)], root_certificates=roots)

    def _new_context(self, read: _Read) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._certificate, self._key)
        if read.clients is not None and "http" in self._asked:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=read.clients.decode("ascii", "replace"))
        return context


def open_tls(settings: GatewaySettings) -> DoorTls | None:
    """Returns what the doors listen with; None for plain text.

    Raises:
        ServiceError: TLS_INCOMPLETE, TLS_FILE_UNREADABLE, TLS_FILE_INVALID.
    """
    certificate, key, clients = settings.tls_cert_file, settings.tls_key_file, settings.tls_client_ca_file
    if certificate is not None and key is not None:
        return DoorTls(certificate=certificate, key=key, clients=clients, doors=settings.tls_client_doors)
    if certificate is None and key is None and clients is None:
        return None
    missing = "DRYDOCK_GATEWAY_TLS_CERT_FILE" if certificate is None else "DRYDOCK_GATEWAY_TLS_KEY_FILE"
    raise invalid(
        "TLS_INCOMPLETE",
        f"TLS at the doors needs {missing} too.",
        field=missing,
        hint="Set certificate and key, and for mutual TLS the authority of the callers' certificates.",
    )
