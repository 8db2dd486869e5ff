"""Who we are to a registry: one strategy for each way of proving it."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod

from services.kernel.model.access import RegistryAccess
from services.scanner.reasons import Reason, ScanFailure


class Authorization(ABC):
    """Gives requests to the registry's own host their header; other hosts never see it."""

    @abstractmethod
    async def header(self) -> str | None:
        """Returns the value of the Authorization header, or None to send none."""

    @abstractmethod
    async def challenged(self, host: str, challenge: str) -> None:
        """Answers a 401; returns when `header` has something new and the request is worth repeating.

        Args:
            host: the registry's address, for the sentence.
            challenge: the WWW-Authenticate header; comes from outside.

        Raises:
            ScanFailure: REGISTRY_UNAUTHORIZED, when there is nothing left to try.
        """


class Anonymous(Authorization):
    """Sends no credentials."""

    async def header(self) -> str | None:
        """Returns None."""
        return None

    async def challenged(self, host: str, challenge: str) -> None:
        """Always raises: there is nothing to offer."""
        raise _unauthorized(
            host,
            challenge,
            f"The registry {host} asks for credentials, and none are configured.",
            "Give the instance a user name and a password that may pull.",
        )


class Basic(Authorization):
    """Sends user name and password with every request (RFC 7617)."""

    def __init__(self, username: str, password: str) -> None:
        token = base64.b64encode(f"{username}:{password}".encode()).decode("ascii")
        self._header = f"Basic {token}"

    async def header(self) -> str | None:
        """Returns the same header every time."""
        return self._header

    async def challenged(self, host: str, challenge: str) -> None:
        """Always raises: the credentials were sent and refused."""
        raise _unauthorized(
            host,
            challenge,
            f"The registry {host} refused the configured user name and password.",
            "Check the instance's credentials.",
        )


def authorization_for(access: RegistryAccess) -> Authorization:
    """Chooses the strategy for a registry: Basic where a user name is configured."""
    if access.username:
        return Basic(access.username, access.password.get_secret_value())
    return Anonymous()


def _unauthorized(host: str, challenge: str, message: str, hint: str) -> ScanFailure:
    if challenge.lstrip()[:7].lower() == "bearer ":
        message = f"The registry {host} asks for token authentication, which this version does not speak yet."
        hint = "Use a registry with Basic or anonymous access until token authentication comes."
    return ScanFailure(Reason.REGISTRY_UNAUTHORIZED, message, hint=hint)
