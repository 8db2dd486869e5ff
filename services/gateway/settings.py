"""Settings of the gateway."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from services.gateway.harbor.registries import Registries
from services.kernel.errors import ServiceError


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
    tls_cert_file: Path | None = None
    """Certificate of the doors, PEM, with those between it and its authority; plain text without one."""
    tls_key_file: Path | None = None
    """Its key, PEM, without a password."""
    tls_client_ca_file: Path | None = None
    """Authorities one of which the certificate of every caller must come from, PEM; callers need none without."""
    tls_client_doors: Literal["both", "grpc", "http"] = "both"
    """At which doors callers show a certificate: registries cannot, for their webhooks."""
    calls_per_second: float = Field(default=0.0, ge=0)
    """How many calls each key may make of one process, on average; 0 for no limit."""
    calls_burst: int = Field(default=0, ge=0)
    """How many it may make at once; a second's worth when less than that."""
    audit_days: int = Field(default=400, ge=1)
    """How long it is kept who asked for which change."""
    cleanup_interval_seconds: float = Field(default=600.0, gt=0)
    """How often what is too old is deleted."""
    cleanup_batch: int = Field(default=5_000, ge=1)
    """Rows deleted in one transaction."""
    max_request_bytes: int = Field(default=4 * 1024 * 1024, ge=64 * 1024, le=64 * 1024 * 1024)
    """The largest request that either door takes; over HTTP a route may take less."""
    harbor_registries: Annotated[Mapping[str, str], NoDecode] = Field(default_factory=dict)
    """Registries that Harbor may have scanned (`docs/harbor.md`): `http(s)://HOST[:PORT]=INSTANCE`, separated by
    commas or white space; plain HTTP only where it says so."""
    harbor_deadline_seconds: float = Field(default=4.0, gt=0, le=60)
    """For an answer to Harbor, which waits five seconds in some of its releases."""
    grace_seconds: float = Field(default=10.0, gt=0, le=300)
    """How long calls under way may go on once the process stops."""

    @field_validator("harbor_registries", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [entry.rpartition("=") for entry in value.replace(",", " ").split()]
        if not all(url and instance for url, _, instance in pairs):
            raise ValueError("it is http(s)://HOST[:PORT]=INSTANCE, several with commas between")
        return {url: instance for url, _, instance in pairs}

    @field_validator("harbor_registries")
    @classmethod
    def _are_registries(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        try:
            Registries(value)
        except ServiceError as error:
            raise ValueError(error.sentence()) from error
        return value
