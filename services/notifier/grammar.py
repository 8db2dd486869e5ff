"""What targets may look like: every check of what a caller says, before anything is saved."""

from __future__ import annotations

import re
import ssl
from datetime import timedelta

from yarl import URL

from services.kernel.addresses import is_loopback
from services.kernel.egress import EgressRefused
from services.kernel.errors import ServiceError, invalid, not_found
from services.notifier.api import Format, TargetKind
from services.notifier.channels.mailbox import read_mailbox
from services.notifier.channels.post import trusting

TARGET_PREFIX = "tgt"
MAX_URL = 2048
MAX_SECRET = 1024
MAX_CERTIFICATES = 65_536
LONGEST_OVERLAP = timedelta(days=30)

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_URL = re.compile(r"[!-~]+")
_SECRET = re.compile(r"[^\x00-\x1f\x7f]+")
_SCHEMES = {
    TargetKind.HTTP: ("http",),
    TargetKind.HTTPS: ("https",),
    # In clear only on this machine: the URL of a robot is its password.
    TargetKind.DINGTALK: ("https", "http"),
    TargetKind.SLACK: ("https", "http"),
    TargetKind.EMAIL: ("smtps", "smtp"),
}
PROGRAMS = frozenset({TargetKind.HTTP, TargetKind.HTTPS})
"""Kinds whose receivers choose a format, and verify signatures of ours."""


def may_name_target(text: str) -> bool:
    """Tells whether a target can have this id or name; what cannot is not looked up."""
    return _NAME.fullmatch(text) is not None


def check_name(name: str) -> None:
    """Checks the name of a new target.

    Raises:
        ServiceError: INVALID_NAME.
    """
    if not _NAME.fullmatch(name) or name.startswith(f"{TARGET_PREFIX}-"):
        raise invalid(
            "INVALID_NAME",
            f"{name[:80]!r} is no name for a target.",
            field="name",
            hint="Write up to 64 of [a-z0-9._-], beginning with a letter or digit and not with tgt-.",
        )


def check_url(url: str, kind: TargetKind) -> URL:
    """Checks what says where a target is, and reads it by the parser that will be used to call it.

    Raises:
        ServiceError: INVALID_URL.
    """
    if len(url) > MAX_URL or not _URL.fullmatch(url) or "\\" in url:
        raise _bad(f"it must be 1 to {MAX_URL} printable ASCII characters without spaces and backslashes")
    try:
        parsed = URL(url, encoded=True)
        port = parsed.port
    except ValueError as error:
        raise _bad("it cannot be read") from error
    if parsed.scheme not in _SCHEMES[kind]:
        raise _bad(f"a target of kind {kind.value} begins with {_SCHEMES[kind][0]}://")
    if "@" in re.split("[/?#]", url.partition("://")[2])[0]:
        raise _bad("it holds a user or a password")
    if not parsed.host or port == 0 or (port is None and kind is not TargetKind.EMAIL):
        raise _bad("it names no host or a wrong port")
    if "#" in url:
        raise _bad("it has a fragment, which is never sent")
    if kind not in PROGRAMS and parsed.scheme == "http" and not is_loopback(parsed.host):
        raise _bad("outside of this machine it begins with https://: it is a secret")
    if kind is TargetKind.EMAIL:
        try:
            read_mailbox(parsed)
        except ValueError as error:
            raise _bad(str(error)) from error
    return parsed


def check_format(form: Format, kind: TargetKind) -> None:
    """Checks what is posted: only programs choose.

    Raises:
        ServiceError: INVALID_TARGET_FORMAT.
    """
    if form is not Format.JSON and kind not in PROGRAMS:
        raise invalid(
            "INVALID_TARGET_FORMAT", f"A target of kind {kind.value} has a format of its own.", field="format"
        )


def check_secret(secret: str, kind: TargetKind) -> None:
    """Checks a secret; an empty one is none.

    Raises:
        ServiceError: INVALID_SECRET.
    """
    if secret and (len(secret) > MAX_SECRET or not _SECRET.fullmatch(secret)):
        raise invalid(
            "INVALID_SECRET",
            f"The secret must be 1 to {MAX_SECRET} characters without control characters.",
            field="secret",
        )
    if secret and kind is TargetKind.SLACK:
        raise invalid("INVALID_SECRET", "A target of kind SLACK has no secret: its URL is one.", field="secret")


def check_overlap(overlap: timedelta) -> None:
    """Checks how long the secret before goes on signing.

    Raises:
        ServiceError: INVALID_OVERLAP.
    """
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise invalid("INVALID_OVERLAP", f"The overlap must be 0 to {LONGEST_OVERLAP.days} days.", field="overlap")


def check_certificates(pem: str, url: URL) -> None:
    """Checks the certificates that a target's own must lead to; none means what the system trusts.

    Raises:
        ServiceError: INVALID_CERTIFICATES.
    """
    if not pem:
        return
    if url.scheme == "http":
        raise _bad_certificates("nothing is verified over http")
    if len(pem) > MAX_CERTIFICATES:
        raise _bad_certificates(f"they have more than {MAX_CERTIFICATES} characters")
    try:
        trusting(pem)
    except (ssl.SSLError, ValueError) as error:
        raise _bad_certificates("they are no certificates in PEM") from error


def refused_place(error: EgressRefused) -> ServiceError:
    """The error of a target where nothing is sent."""
    return invalid(
        error.reason, f"The URL of the target cannot be used. {error.message}", field="url", hint=error.hint
    )


def no_target(target: str) -> ServiceError:
    """The error of a target that is not there."""
    return not_found(
        "TARGET_NOT_EXIST", f"There is no target {target[:80]!r}.", hint="`drydock target list` shows them."
    )


def _bad(why: str) -> ServiceError:
    # The URL itself is left out: its path or query may be somebody's secret.
    return invalid("INVALID_URL", f"The URL of the target cannot be used: {why}.", field="url")


def _bad_certificates(why: str) -> ServiceError:
    return invalid(
        "INVALID_CERTIFICATES", f"The certificates to trust cannot be used: {why}.", field="ca_certificates"
    )
