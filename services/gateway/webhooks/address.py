"""Where registries deliver their webhooks, as they reach it."""

from __future__ import annotations

import ipaddress
import socket

import structlog

log = structlog.get_logger()


class WebhookAddress:
    """The base of webhook URLs: what the operator says, else the HTTP door itself.

    A door that listens on every address (0.0.0.0, [::]) has none of its own: the machine's name stands for it.
    """

    def __init__(self, public_url: str) -> None:
        """`public_url` is what registries reach the HTTP door by, such as a proxy's; empty for the door's own."""
        self._base = public_url.rstrip("/")

    def opened(self, door: str, *, tls: bool = False) -> None:
        """Takes the `HOST:PORT` that the HTTP door was really bound to; what the operator says stays."""
        if self._base:
            return
        host, _, port = door.rpartition(":")
        if ipaddress.ip_address(host.strip("[]")).is_unspecified:
            host = socket.gethostname()
            hint = "Set DRYDOCK_GATEWAY_PUBLIC_URL when registries reach it by another name."
            log.warning("webhooks.address_guessed", host=host, hint=hint)
        self._base = f"{'https' if tls else 'http'}://{host}:{port}"

    def of(self, instance_id: str) -> str:
        """Returns where the registry of an instance delivers; empty without an instance."""
        return f"{self._base}/webhooks/distribution/{instance_id}" if instance_id else ""
