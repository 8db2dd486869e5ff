"""Telling by mail over SMTP (RFC 5321): encrypted, verified, over a socket to an address that was checked."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime

import aiosmtplib
from yarl import URL

from services.kernel.clock import Clock
from services.kernel.egress import Egress, EgressRefused
from services.notifier.channels import words
from services.notifier.channels.excerpt import HIDDEN
from services.notifier.channels.interface import Channel, Outcome, Parcel, Verdict
from services.notifier.channels.mailbox import Mailbox, read_mailbox
from services.notifier.channels.post import trusting
from services.notifier.payload import read

_LONGEST_ANSWER = 1024
_GOODBYE_SECONDS = 1.0


class EmailChannel(Channel):
    """Sends one mail to all recipients, or to none of them: who refuses one is told of in the receipt."""

    def __init__(self, egress: Egress, clock: Clock, *, attempt_seconds: float) -> None:
        self._egress = egress
        self._clock = clock
        self._attempt_seconds = attempt_seconds

    async def send(self, parcel: Parcel) -> Outcome:
        """Makes one attempt. A 4xx may pass, a 5xx is final (RFC 5321, section 4.2.1)."""
        mailbox = read_mailbox(URL(parcel.url, encoded=True))
        message = write(parcel, mailbox, self._clock)
        try:
            async with asyncio.timeout(self._attempt_seconds):
                return await self._send(parcel, mailbox, message)
        except aiosmtplib.SMTPResponseException as error:
            return _answered(error.code, _shown(error.message, parcel))
        except (OSError, aiosmtplib.SMTPException) as error:  # TimeoutError is one of the former
            return _failure(error)

    async def _send(self, parcel: Parcel, mailbox: Mailbox, message: bytes) -> Outcome:
        tls = trusting(parcel.ca_certificates) if parcel.ca_certificates else _trusting_the_system()
        sock = await self._connect(mailbox)
        client = aiosmtplib.SMTP(
            hostname=mailbox.host,
            sock=sock,
            local_hostname=socket.gethostname() or "localhost",
            use_tls=mailbox.implicit_tls,
            start_tls=False,
            tls_context=tls,
            timeout=self._attempt_seconds,
        )
        try:
            await client.connect()
        except BaseException:
            sock.close()
            raise
        try:
            return await _converse(client, parcel, mailbox, message)
        finally:
            _hang_up(client)

    async def _connect(self, mailbox: Mailbox) -> socket.socket:
        """Connects to the very addresses that were checked, one after the other."""
        self._egress.check_port(mailbox.port, refused=())
        loop = asyncio.get_running_loop()
        failure: OSError = OSError("no address")
        for address in await self._egress.addresses(mailbox.host, mailbox.port):
            sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
            sock.setblocking(False)
            try:
                await loop.sock_connect(sock, (address, mailbox.port))
            except BaseException as error:
                sock.close()
                if not isinstance(error, OSError):
                    raise
                failure = error
            else:
                return sock
        raise failure


def write(parcel: Parcel, mailbox: Mailbox, clock: Clock) -> bytes:
    """Writes the mail; its Message-ID is the same over all attempts."""
    said = read(parcel.body)
    mail = EmailMessage(policy=SMTP_POLICY)
    mail["From"] = mailbox.sender
    mail["To"] = ", ".join(mailbox.recipients)
    mail["Subject"] = f"Drydock: {words.image_of(said)}: {words.summary_of(said)}"
    mail["Date"] = format_datetime(clock.now())
    mail["Message-ID"] = f"<{parcel.delivery_id}@{mailbox.sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["Drydock-Delivery"] = parcel.delivery_id
    mail["Drydock-Event"] = parcel.event_type
    facts = "".join(f"{name + ':':<10} {value}\n" for name, value in words.facts_of(said))
    mail.set_content(f"{words.image_of(said)}\n{words.summary_of(said)}\n\n{facts}")
    return bytes(mail)


async def _converse(client: aiosmtplib.SMTP, parcel: Parcel, mailbox: Mailbox, message: bytes) -> Outcome:
    if not mailbox.implicit_tls:
        await client.ehlo()
        offered = client.supports_extension("starttls") and not mailbox.bare
        if mailbox.needs_tls and not offered:
            return Outcome(
                verdict=Verdict.GIVE_UP,
                reason="TARGET_TLS",
                message="The server of mail offers no STARTTLS, and nothing is sent in clear.",
            )
        if offered:
            await client.starttls(server_hostname=mailbox.host)
    if mailbox.user:
        await client.login(mailbox.user, parcel.secrets[0] if parcel.secrets else "")
    await client.mail(mailbox.sender)
    for recipient in mailbox.recipients:
        await client.rcpt(recipient)
    answer = await client.data(message)
    with contextlib.suppress(OSError, aiosmtplib.SMTPException):  # it is delivered, whatever follows
        async with asyncio.timeout(_GOODBYE_SECONDS):
            await client.execute_command(b"QUIT")
    return Outcome(verdict=Verdict.DELIVERED, http_status=answer.code, excerpt=_shown(answer.message, parcel))


def _hang_up(client: aiosmtplib.SMTP) -> None:
    """Ends the connection at once: a polite end of TLS would hold its descriptor as long as the server likes."""
    transport = client.transport
    client.close()
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()


def _answered(code: int, text: str) -> Outcome:
    final = code >= 500
    return Outcome(
        verdict=Verdict.GIVE_UP if final else Verdict.TRY_AGAIN,
        reason="TARGET_REFUSES" if final else "TARGET_ERROR",
        message=f"The server of mail answers {code}.",
        http_status=code if code > 0 else None,
        excerpt=text,
    )


def _failure(error: Exception) -> Outcome:
    chain = _chain(error)
    for one in chain:
        if isinstance(one, EgressRefused):
            return Outcome(verdict=Verdict.GIVE_UP, reason=one.reason, message=f"{one.message} {one.hint}")
    for kind, reason, message in _FAILURES:
        if any(isinstance(one, kind) for one in chain):
            return Outcome(verdict=Verdict.TRY_AGAIN, reason=reason, message=message)
    return Outcome(
        verdict=Verdict.TRY_AGAIN,
        reason="TARGET_BROKE_OFF",
        message="The server of mail closed the connection, or answered with something that is no SMTP.",
    )


_FAILURES: tuple[tuple[type[BaseException], str, str], ...] = (
    (ssl.SSLCertVerificationError, "TARGET_CERTIFICATE", "The certificate of the target cannot be verified."),
    (ssl.SSLError, "TARGET_TLS", "No TLS connection to the target could be made."),
    (TimeoutError, "TARGET_TIMEOUT", "The target did not answer in time."),
    (socket.gaierror, "TARGET_UNKNOWN_HOST", "The name of the target's host cannot be looked up."),
    (ConnectionRefusedError, "TARGET_UNREACHABLE", "No connection to the target could be made."),
)


def _chain(error: BaseException | None) -> list[BaseException]:
    chain = []
    while error is not None:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


def _shown(text: str, parcel: Parcel) -> str:
    for secret in parcel.secrets:
        text = text.replace(secret, HIDDEN)
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:_LONGEST_ANSWER]


def _trusting_the_system() -> ssl.SSLContext:
    return ssl.create_default_context()
