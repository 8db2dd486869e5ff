"""Settings of the gateway."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class GatewaySettings(BaseSettings):
    """Environment variables `DRYDOCK_GATEWAY_…`."""

    model_config = SettingsConfigDict(env_prefix="DRYDOCK_GATEWAY_", frozen=True, extra="forbid")

    grpc_listen: str = "127.0.0.1:7070"
    """`HOST:PORT` of the gRPC door; port 0 takes any free one."""
    http_listen: str = "127.0.0.1:7080"
    """`HOST:PORT` of the HTTP door."""
    public_url: str = Field(default="", pattern=r"^(https?://[^\s/?#@]+(/[^\s?#]*)?)?$")
    """`http(s)://HOST[:PORT][/PATH]` by which registries reach the HTTP door, when a proxy stands before it or it
    listens on every address; the door's own address when empty."""
    monitoring_listen: str = "127.0.0.1:7095"
    """`HOST:PORT` of `/metrics`, `/healthz` and `/readyz`."""
    call_deadline_seconds: float = Field(default=30.0, gt=0, le=600)
    """For callers that set no deadline of their own."""
    webhook_deadline_seconds: float = Field(default=5.0, gt=0, le=60)
    """From the first byte of a webhook to its answer."""
    webhook_events_per_second: float = Field(default=5000.0, gt=0, le=1_000_000)
    """What the senders of one instance may bring, of every kind of event; in each gateway process."""
    pull_seconds: float = Field(default=60.0, ge=0, le=86400)
    """Pulls of the same tag or digest within so long are told once: how exact last-pulled times are."""
    grace_seconds: float = Field(default=10.0, gt=0, le=300)
    """How long calls under way may go on once the process stops."""
