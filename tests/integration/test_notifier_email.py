"""Mail to a real SMTP server: encrypted and verified, to all recipients or none, judged by its reply codes."""

from __future__ import annotations

import asyncio
import contextlib
import email
import ssl
import warnings
from collections.abc import AsyncIterator
from email.policy import default
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword

from services.kernel.egress import Egress
from services.kernel.errors import ServiceError
from services.notifier.api import TargetChange, TargetKind
from tests.builders.certificates import Authority
from tests.builders.images import FixedNames
from tests.builders.notifier import NotifierBench, notifier_bench, scan_event, way_out

PASSWORD = "pa55-of-the-mailbox"
Session = Any
"""aiosmtpd has types of its own that it does not export."""


class Post:
    """An SMTP server of aiosmtpd's, and what it took."""

    def __init__(self) -> None:
        self.port = 0
        self.took: list[Envelope] = []
        self.users: list[bytes] = []
        self.connections = 0
        self.replies: dict[str, str] = {}
        """Recipient to reply, in place of its own."""
        self.encrypted: list[bool] = []

    def url(
        self, scheme: str = "smtp", *, to: str = "ops@example.com", more: str = "", host: str = "127.0.0.1"
    ) -> str:
        return f"{scheme}://{host}:{self.port}/?from=drydock@example.com&to={quote(to)}{more}"

    async def handle_RCPT(
        self, _: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.replies:
            return self.replies[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.encrypted.append(session.ssl is not None)
        self.took.append(envelope)
        return "250 queued as 4711"

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.users.append(data.login)
        right = data.password == PASSWORD.encode()
        return AuthResult(success=right, handled=False, message=None if right else "535 5.7.8 no")


@contextlib.asynccontextmanager
async def serve_post(
    *, implicit: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None, login: bool = False
) -> AsyncIterator[Post]:
    post = Post()

    def connected() -> SMTP:
        post.connections += 1
        with warnings.catch_warnings():
            # It does not see that the socket is encrypted already, and warns of passwords in clear.
            warnings.simplefilter("ignore", UserWarning)
            return SMTP(
                post,
                hostname="mail.example.com",
                tls_context=starttls,
                require_starttls=starttls is not None,
                authenticator=post.authenticate,
                auth_required=login,
                auth_require_tls=False,
            )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(connected, "127.0.0.1", 0, ssl=implicit)
    async with server:
        post.port = server.sockets[0].getsockname()[1]
        yield post


async def deliver(bench: NotifierBench, url: str, *, secret: str = "", ca: str = "") -> Any:
    """Tells a target of kind EMAIL of one event; returns the row of its delivery."""
    target = await bench.target(url, kind=TargetKind.EMAIL, secret=secret, ca_certificates=ca)
    await bench.tell(scan_event(target.target_id, tag="v1\u00e9"))
    await bench.deliver_due()
    (row,) = await bench.deliveries()
    return row


async def test_a_mail_says_what_happened_to_all_recipients(database: str) -> None:
    async with notifier_bench(database) as bench, serve_post() as post:
        row = await deliver(bench, post.url(to="ops@example.com,dev@example.com"))
        assert (row["state"], row["attempts"]) == ("DELIVERED", 1)
        (envelope,) = post.took
        assert (envelope.mail_from, envelope.rcpt_tos) == (
            "drydock@example.com",
            ["ops@example.com", "dev@example.com"],
        )
        assert isinstance(envelope.content, bytes)
        mail = email.message_from_bytes(envelope.content, policy=default)
        assert mail["Subject"] == "Drydock: team/app:v1\u00e9: 2 high, 1 low"
        assert mail["Message-ID"] == f"<{row['delivery_id']}@example.com>"
        assert (mail["Drydock-Delivery"], mail["Auto-Submitted"]) == (str(row["delivery_id"]), "auto-generated")
        text = mail.get_content()
        assert "2 high, 1 low" in text
        assert str(row["delivery_id"]) in text
        (receipt,) = await bench.receipts()
        assert (receipt["http_status"], receipt["excerpt"]) == (250, "queued as 4711")


@pytest.mark.parametrize(
    ("reply", "state", "reason"),
    [
        ("451 4.3.0 come back", "PENDING", "TARGET_ERROR"),
        ("550 5.1.1 no such user", "DEAD", "TARGET_REFUSES"),
    ],
)
async def test_one_recipient_that_is_refused_is_told_of_and_nobody_gets_half_of_it(
    database: str, reply: str, state: str, reason: str
) -> None:
    async with notifier_bench(database) as bench, serve_post() as post:
        post.replies["dev@example.com"] = reply
        row = await deliver(bench, post.url(to="ops@example.com,dev@example.com"))
        assert (row["state"], row["reason"], post.took) == (state, reason, [])
        (receipt,) = await bench.receipts()
        assert (receipt["http_status"], receipt["excerpt"]) == (int(reply[:3]), reply[4:])


async def test_a_password_opens_and_is_in_no_row(database: str, tmp_path: Path) -> None:
    authority = Authority()
    async with (
        notifier_bench(database) as bench,
        serve_post(implicit=authority.server(tmp_path), login=True) as post,
    ):
        url = post.url("smtps", more="&user=drydock")
        row = await deliver(bench, url, secret=PASSWORD, ca=authority.pem)
        assert (row["state"], post.users) == ("DELIVERED", [b"drydock"])
        for table in ("target", "delivery", "receipt"):
            rows = await bench.pool.fetch(f"TABLE notifier.{table}")
            assert PASSWORD not in "".join(repr(list(row.items())) for row in rows)


async def test_a_wrong_password_is_final(database: str, tmp_path: Path) -> None:
    authority = Authority()
    async with (
        notifier_bench(database) as bench,
        serve_post(implicit=authority.server(tmp_path), login=True) as post,
    ):
        row = await deliver(bench, post.url("smtps", more="&user=drydock"), secret="guess", ca=authority.pem)
        assert (row["state"], row["reason"], post.took) == ("DEAD", "TARGET_REFUSES", [])
        (receipt,) = await bench.receipts()
        assert receipt["http_status"] == 535
        assert "guess" not in receipt["excerpt"]


async def test_starttls_is_taken_where_it_is_offered_and_verified(database: str, tmp_path: Path) -> None:
    authority = Authority()
    async with notifier_bench(database) as bench, serve_post(starttls=authority.server(tmp_path)) as post:
        row = await deliver(bench, post.url(), ca=authority.pem)
        assert (row["state"], post.encrypted) == ("DELIVERED", [True])


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_certificate_of_nobodys_is_refused(database: str, tmp_path: Path, scheme: str) -> None:
    tls = Authority().server(tmp_path)
    serving = serve_post(implicit=tls) if scheme == "smtps" else serve_post(starttls=tls)
    async with notifier_bench(database) as bench, serving as post:
        row = await deliver(bench, post.url(scheme))
        assert (row["state"], row["reason"], post.took) == ("PENDING", "TARGET_CERTIFICATE", [])


async def test_nothing_goes_in_clear_to_another_machine(database: str) -> None:
    egress = way_out(FixedNames("127.0.0.1"))
    async with notifier_bench(database, egress=egress) as bench, serve_post() as post:
        row = await deliver(bench, post.url(host="mail.example.com"))
        assert (row["state"], row["reason"], post.took) == ("DEAD", "TARGET_TLS", [])


async def test_a_relay_without_tls_is_told_when_the_operator_says_so(database: str) -> None:
    egress = way_out(FixedNames("127.0.0.1"))
    async with notifier_bench(database, egress=egress) as bench, serve_post() as post:
        row = await deliver(bench, post.url(host="mail.example.com", more="&tls=none"))
        assert (row["state"], post.encrypted) == ("DELIVERED", [False])


async def test_mail_goes_nowhere_that_is_not_allowed(database: str) -> None:
    names = FixedNames("8.8.8.8")
    async with notifier_bench(database, egress=Egress(names=names)) as bench, serve_post() as post:
        with pytest.raises(ServiceError) as caught:
            await bench.target(post.url(), "literal", kind=TargetKind.EMAIL)
        assert caught.value.reason == "ADDRESS_NOT_ALLOWED"
        target = await bench.target(post.url(host="rebinding.example"), kind=TargetKind.EMAIL)
        names.lead_to("127.0.0.1")
        await bench.tell(scan_event(target.target_id))
        await bench.deliver_due()
        (row,) = await bench.deliveries()
        assert (row["state"], row["reason"], post.connections) == ("DEAD", "ADDRESS_NOT_ALLOWED", 0)


async def test_nobody_there_and_a_silent_server_are_tried_again(database: str) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with notifier_bench(database, attempt_seconds=0.5) as bench:
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            row = await deliver(bench, f"smtp://127.0.0.1:{port}/?from=a@example.com&to=b@example.com")
            assert (row["state"], row["reason"]) == ("PENDING", "TARGET_TIMEOUT")
        await bench.later(10)
        await bench.deliver_due()
        (row,) = await bench.deliveries()
        assert (row["state"], row["reason"]) == ("PENDING", "TARGET_UNREACHABLE")


async def test_a_test_says_what_the_server_of_mail_said(database: str) -> None:
    async with notifier_bench(database) as bench, serve_post() as post:
        post.replies["ops@example.com"] = "550 5.7.1 we know you"
        await bench.target(post.url(), kind=TargetKind.EMAIL)
        answer = await bench.api.send_test_notification("chat")
        assert (answer.delivered, answer.status, answer.answer) == (False, 550, "5.7.1 we know you")


async def test_a_password_does_not_move_to_another_server(database: str) -> None:
    async with notifier_bench(database) as bench:
        old = "smtps://mail.example.com/?from=a@example.com&to=b@example.com&user=u"
        await bench.target(old, kind=TargetKind.EMAIL, secret=PASSWORD)
        new = old.replace("mail.", "evil.")
        with pytest.raises(ServiceError) as caught:
            await bench.api.update_target("chat", TargetChange(url=new))
        assert (caught.value.reason, caught.value.field) == ("INVALID_SECRET", "secret")
        await bench.api.update_target("chat", TargetChange(url=old.replace("b@", "c@")))
        await bench.api.update_target("chat", TargetChange(url=new, secret=PASSWORD))


@pytest.mark.parametrize(
    "url",
    [
        "https://mail.example.com/?from=a@example.com&to=b@example.com",
        "smtps://mail.example.com/",
        "smtps://mail.example.com/?from=a@example.com",
        "smtps://mail.example.com/?from=a@example.com&to=b",
        "smtps://mail.example.com/?from=a@example.com&to=b@example.com%0d%0aRCPT",
        "smtps://mail.example.com/?from=a@example.com&to=b@example.com&cc=c@example.com",
        "smtps://mail.example.com/?from=a@example.com&to=b@example.com&to=c@example.com",
        "smtps://mail.example.com/path?from=a@example.com&to=b@example.com",
        "smtps://mail.example.com/?from=a@example.com&to=b@example.com&tls=none",
        "smtp://mail.example.com/?from=a@example.com&to=b@example.com&user=u&tls=none",
        "smtps://u:p@mail.example.com/?from=a@example.com&to=b@example.com",
        "smtps://mail.example.com/?from=a@example.com&to=" + ",".join(["b@example.com"] * 21),
    ],
)
async def test_a_mailbox_outside_the_rules_is_refused(database: str, url: str) -> None:
    async with notifier_bench(database) as bench:
        with pytest.raises(ServiceError) as caught:
            await bench.target(url, kind=TargetKind.EMAIL)
        assert (caught.value.reason, caught.value.field) == ("INVALID_URL", "url")
