"""Settings of the gateway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

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
    pull_seconds: float = Field(default=60.0, ge=0, le=86400)
    """Pulls of the same tag or digest within so long are told once: how exact last-pulled times are."""
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
