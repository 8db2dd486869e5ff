"""Where mail goes, written as a URL: `smtps://HOST[:PORT]/?from=A&to=B,C[&user=U]`, or `smtp://…` for STARTTLS."""

from __future__ import annotations

import dataclasses
import re

from yarl import URL

from services.kernel.addresses import is_loopback

_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9.-]{1,190}")
_MOST_RECIPIENTS = 20
_LONGEST_USER = 256
_PORTS = {"smtp": 587, "smtps": 465}
_KNOWN = frozenset({"from", "to", "user", "tls"})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """A server of mail, and for whom."""

    host: str
    port: int
    implicit_tls: bool
    """From the first byte; else by STARTTLS."""
    needs_tls: bool
    bare: bool
    """No STARTTLS even where it is offered."""
    sender: str
    recipients: tuple[str, ...]
    user: str
    """Empty for no login."""


def read_mailbox(url: URL) -> Mailbox:
    """Reads a URL of mail.

    Raises:
        ValueError: says what is wrong with it, and repeats nothing of it.
    """
    query = url.query
    if url.raw_path not in ("", "/") or not set(query) <= _KNOWN or len(set(query)) != len(query):
        raise ValueError("it is smtps://HOST/?from=ADDRESS&to=ADDRESS,ADDRESS, perhaps with user= or tls=none")
    recipients = tuple(part.strip() for part in query.get("to", "").split(","))
    if not all(map(_ADDRESS.fullmatch, recipients)) or len(recipients) > _MOST_RECIPIENTS:
        raise ValueError(f"`to` is 1 to {_MOST_RECIPIENTS} addresses with commas between")
    if not _ADDRESS.fullmatch(query.get("from", "")):
        raise ValueError("`from` is one address")
    user = query.get("user", "")
    if len(user) > _LONGEST_USER or not user.isprintable():
        raise ValueError("`user` is no name")
    bare = query.get("tls") == "none"
    if "tls" in query and (not bare or user or url.scheme == "smtps"):
        raise ValueError("`tls=none` is for smtp:// without a user")
    host = url.host or ""
    return Mailbox(
        host=host,
        port=url.explicit_port or _PORTS[url.scheme],
        implicit_tls=url.scheme == "smtps",
        needs_tls=not bare and not is_loopback(host),
        bare=bare,
        sender=query["from"],
        recipients=recipients,
        user=user,
    )
