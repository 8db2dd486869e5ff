"""Settings of `drydock serve`: where each service listens, where its peers are, and how they know each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.kernel.settings import with_files
from services.processes.roles import Role


class ProcessSettings(BaseSettings):
    """Environment variables `DRYDOCK_…`; every process of an installation may be given the same ones."""

    model_config = SettingsConfigDict(env_prefix="DRYDOCK_", frozen=True, extra="forbid")

    rules_grpc_listen: str = "127.0.0.1:7071"
    """`HOST:PORT` where rules listens for its peers; port 0 takes any free one."""
    rules_monitoring_listen: str = "127.0.0.1:7091"
    """`HOST:PORT` of the `/metrics`, `/healthz` and `/readyz` of rules."""
    scanner_grpc_listen: str = "127.0.0.1:7072"
    """`HOST:PORT` where the scanner listens for its peers."""
    scanner_monitoring_listen: str = "127.0.0.1:7092"
    """`HOST:PORT` of the scanner's `/metrics`, `/healthz` and `/readyz`."""
    fixer_grpc_listen: str = "127.0.0.1:7073"
    """`HOST:PORT` where the fixer listens for its peers."""
    fixer_monitoring_listen: str = "127.0.0.1:7093"
    """`HOST:PORT` of the fixer's `/metrics`, `/healthz` and `/readyz`."""
    notifier_grpc_listen: str = "127.0.0.1:7074"
    """`HOST:PORT` where the notifier listens for its peers."""
    notifier_monitoring_listen: str = "127.0.0.1:7094"
    """`HOST:PORT` of the notifier's `/metrics`, `/healthz` and `/readyz`."""

    rules_address: str = "127.0.0.1:7071"
    """Where the others find rules: HOST:PORT, all of whose addresses are used, or IPv4 ones with commas."""
    scanner_address: str = "127.0.0.1:7072"
    """Where the others find the scanner."""
    fixer_address: str = "127.0.0.1:7073"
    """Where the others find the fixer."""
    notifier_address: str = "127.0.0.1:7074"
    """Where the others find the notifier."""
    peer_call_seconds: float = Field(default=30.0, gt=0, le=600)
    """Longest time for a call to a peer; less where the call that it serves has less left."""

    database_connections: int = Field(default=10, ge=2, le=1000)
    """Most connections of one process's pool; besides it has about one for each topic, outbox and wake-up."""

    service_token: SecretStr = SecretStr("")
    """What peers know each other by; of several lines the first is sent and each is accepted."""
    service_token_file: Path | None = None
    """File that holds it, in place of `service_token`."""
    tls_cert_file: Path | None = None
    """Mutual TLS between peers: this process's certificate, PEM; its names are those in the addresses above."""
    tls_key_file: Path | None = None
    """Its key, PEM, without a password."""
    tls_ca_file: Path | None = None
    """Certificate of the authority that every peer's certificate must come from, PEM."""

    admin_token_file: Path | None = None
    """File with the administrator's token, which the gateway makes an admin key; made anew when missing."""

    @model_validator(mode="before")
    @classmethod
    def _read_files(cls, said: Any) -> Any:  # whatever was said, before pydantic looks at it
        return with_files(said, "service_token", prefix="DRYDOCK_")

    def grpc_listen(self, role: Role) -> str:
        """Where that service listens for its peers; not for the gateway, whose doors are in its own settings."""
        return str(getattr(self, f"{role.value}_grpc_listen"))

    def monitoring_listen(self, role: Role) -> str:
        """Where that service is watched; not for the gateway."""
        return str(getattr(self, f"{role.value}_monitoring_listen"))

    def address(self, role: Role) -> str:
        """Where that service is found by its peers."""
        return str(getattr(self, f"{role.value}_address"))
