"""What of a target is a secret, at rest: its URL, since a chat robot's is its password, and its secrets."""

from __future__ import annotations

from datetime import datetime

import structlog

from services.kernel.db import Pool
from services.kernel.errors import ServiceError
from services.kernel.secrets import SecretBox
from services.notifier.channels.interface import Outcome, Parcel, Verdict
from services.notifier.records import Claim, SealedTarget
from services.notifier.store import NotifierStore

log = structlog.get_logger()

_BATCH = 500


class TargetSeal:
    """Seals and opens what targets keep secret, bound to each: what is moved to another row does not open."""

    def __init__(self, box: SecretBox) -> None:
        self._box = box

    def seal(self, target_id: str, url: str) -> bytes:
        """Encrypts the URL of a target."""
        return self._box.seal(url, _context(target_id))

    def open(self, target_id: str, sealed: bytes) -> str:
        """Decrypts the URL of a target.

        Raises:
            ServiceError: SECRET_UNREADABLE when it was sealed with another key, or for another target.
        """
        return self._box.open(sealed, _context(target_id))

    def seal_secret(self, target_id: str, secret: str) -> bytes | None:
        """Encrypts the secret of a target; None when it has none."""
        return self._box.seal(secret, _secret_context(target_id)) if secret else None

    def open_secrets(self, target: SealedTarget, now: datetime) -> tuple[str, ...]:
        """Decrypts the secrets that sign at this moment: the newest first, none or one or two.

        Raises:
            ServiceError: SECRET_UNREADABLE, as for the URL.
        """
        old = target.sealed_old_secret if target.old_secret_until and now < target.old_secret_until else None
        context = _secret_context(target.target_id)
        return tuple(self._box.open(sealed, context) for sealed in (target.sealed_secret, old) if sealed)

    def parcel(self, claim: Claim, now: datetime, body: bytes) -> Parcel | Outcome:
        """Opens what is sealed for this one attempt; what another key has sealed waits until that key is back."""
        target = claim.target
        try:
            url = self.open(target.target_id, target.sealed_url)
            secrets = self.open_secrets(target, now)
        except ServiceError as error:
            return Outcome(verdict=Verdict.TRY_AGAIN, reason=error.reason, message=error.sentence())
        return Parcel(
            delivery_id=claim.delivery_id,
            event_type=claim.event_type,
            kind=target.kind,
            url=url,
            secrets=secrets,
            format=target.format,
            ca_certificates=target.ca_certificates,
            body=body,
        )


async def seal_plain_urls(pool: Pool, store: NotifierStore, seal: TargetSeal) -> int:
    """Seals the URLs that an older release left plain, and empties them; returns how many.

    Once it has returned, every row is sealed. Copies that start together wait for each other's rows and find
    nothing left; one that dies in between leaves whole rows, sealed or plain.
    """
    sealed = 0
    while True:
        async with pool.acquire() as conn, conn.transaction():
            plain = await store.lock_plain_urls(conn, limit=_BATCH)
            for target_id, url in plain:
                await store.seal_url(conn, target_id, seal.seal(target_id, url))
        if not plain:
            break
        sealed += len(plain)
    if sealed:
        log.info("targets.sealed", count=sealed)
    return sealed


def _context(target_id: str) -> str:
    return f"notifier.target:{target_id}"


def _secret_context(target_id: str) -> str:
    return f"notifier.target.secret:{target_id}"
