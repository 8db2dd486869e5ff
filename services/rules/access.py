"""The way to a registry: its password is sealed at rest, and opened for whoever is about to use it."""

from __future__ import annotations

from pydantic import SecretStr

from services.kernel.model.access import RegistryAccess
from services.kernel.secrets import SecretBox
from services.rules.store import SealedInstance


class Passwords:
    """Seals passwords of instances, each for its own instance, and opens them."""

    def __init__(self, box: SecretBox) -> None:
        self._box = box

    def seal(self, instance_id: str, password: str) -> bytes:
        """Returns the password as it is kept; empty for none."""
        return self._box.seal(password, _context(instance_id)) if password else b""

    def access(self, saved: SealedInstance) -> RegistryAccess:
        """Returns how Drydock reaches the registry: by its private address, the password in clear."""
        found = saved.instance
        password = ""
        if saved.sealed_password:
            password = self._box.open(saved.sealed_password, _context(found.instance_id))
        return RegistryAccess(
            address=found.private_address or found.address,
            plain_http=found.plain_http,
            username=found.username,
            password=SecretStr(password),
        )


def _context(instance_id: str) -> str:
    return f"rules.instance:{instance_id}"
