"""Targets as they are saved: what somebody asked for, checked, with its secrets sealed."""

from __future__ import annotations

import dataclasses
import hashlib
from datetime import datetime, timedelta

from yarl import URL

from services.kernel.clock import Clock
from services.kernel.egress import Egress, EgressRefused
from services.kernel.errors import invalid
from services.notifier import grammar
from services.notifier.api import NewTarget, Target, TargetChange, TargetKind
from services.notifier.channels.mailbox import read_mailbox
from services.notifier.records import SealedTarget
from services.notifier.sealing import TargetSeal

_CHATS = frozenset({TargetKind.DINGTALK, TargetKind.SLACK})
_OVERLAP = timedelta(days=1)


class TargetSealer:
    """Makes records of targets; saves nothing."""

    def __init__(self, seal: TargetSeal, egress: Egress, clock: Clock) -> None:
        self._seal = seal
        self._egress = egress
        self._clock = clock

    async def first(self, target_id: str, new: NewTarget) -> SealedTarget:
        """Returns a new target.

        Raises:
            ServiceError: INVALID_*, ADDRESS_*, PORT_REFUSED.
        """
        grammar.check_name(new.name)
        grammar.check_secret(new.secret, new.kind)
        url = await self._checked(new.url, new.kind)
        grammar.check_certificates(new.ca_certificates, url)
        grammar.check_format(new.format, new.kind)
        return SealedTarget(
            target_id=target_id,
            name=new.name,
            kind=new.kind,
            sealed_url=self._seal.seal(target_id, new.url),
            sealed_secret=self._seal.seal_secret(target_id, new.secret),
            format=new.format,
            ca_certificates=new.ca_certificates,
            robot=robot_of(new.kind, url),
            created_at=self._clock.now(),
        )

    async def changed(self, saved: SealedTarget, change: TargetChange) -> SealedTarget:
        """Returns a target with what is not None of the change.

        Raises:
            ServiceError: as of `first`.
        """
        old = self.opened(saved)
        url = await self._checked(old.url if change.url is None else change.url, saved.kind)
        certificates = old.ca_certificates if change.ca_certificates is None else change.ca_certificates
        grammar.check_certificates(certificates, url)
        grammar.check_format(change.format or saved.format, saved.kind)
        target = dataclasses.replace(saved, format=change.format or saved.format, ca_certificates=certificates)
        if change.url is not None:
            _keep_password(saved, old.url, change)
            sealed = self._seal.seal(saved.target_id, change.url)
            target = dataclasses.replace(target, sealed_url=sealed, robot=robot_of(saved.kind, url))
        if change.secret is None:
            return target
        grammar.check_secret(change.secret, saved.kind)
        overlap = _OVERLAP if change.overlap is None else change.overlap
        grammar.check_overlap(overlap)
        # A robot verifies with the one secret that it has, and a password opens or does not.
        goes_on = bool(change.secret and saved.sealed_secret and overlap) and saved.kind in grammar.PROGRAMS
        return dataclasses.replace(
            target,
            sealed_secret=self._seal.seal_secret(saved.target_id, change.secret),
            sealed_old_secret=saved.sealed_secret if goes_on else None,
            old_secret_until=self._clock.now() + overlap if goes_on else None,
        )

    def opened(self, target: SealedTarget) -> Target:
        """Returns a target as its operator sees it: with its URL, without its secrets."""
        return Target(
            target_id=target.target_id,
            name=target.name,
            kind=target.kind,
            url=self._seal.open(target.target_id, target.sealed_url),
            format=target.format,
            ca_certificates=target.ca_certificates,
            has_secret=target.sealed_secret is not None,
            old_secret_until=_living(target.old_secret_until, self._clock.now()),
            created_at=target.created_at,
        )

    async def _checked(self, text: str, kind: TargetKind) -> URL:
        url = grammar.check_url(text, kind)
        try:
            if kind is TargetKind.EMAIL:
                self._egress.check_port(read_mailbox(url).port, refused=())
            else:
                self._egress.check_port(url.port or 0)
            await self._egress.check_host(url.host or "")
        except EgressRefused as error:
            raise grammar.refused_place(error) from error
        return url


def robot_of(kind: TargetKind, url: URL) -> bytes | None:
    """Returns the same for all URLs of one robot, and nothing of its token; None where nothing is merged."""
    if kind not in _CHATS:
        return None
    names = (url.host or "", str(url.port), url.query.get("access_token", url.raw_path_qs))
    return hashlib.sha256("\0".join((kind.value, *names)).encode()).digest()


def _keep_password(saved: SealedTarget, url: str, change: TargetChange) -> None:
    """Refuses to let the password of a mailbox go to another server: who moves it says it again.

    Raises:
        ServiceError: INVALID_SECRET.
    """
    if saved.kind is not TargetKind.EMAIL or saved.sealed_secret is None or change.secret is not None:
        return
    if URL(url, encoded=True).origin() != URL(change.url or "", encoded=True).origin():
        raise invalid(
            "INVALID_SECRET",
            "The password belongs to the server of mail that the target has.",
            field="secret",
            hint="Give the password for the new server with it.",
        )


def _living(until: datetime | None, now: datetime) -> datetime | None:
    return until if until is not None and now < until else None
