"""Settings of the bus over Kafka: who may connect how, and what its topics are like."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.kernel.errors import Kind, ServiceError


class KafkaSettings(BaseSettings):
    """Environment variables `DRYDOCK_KAFKA_…`; the brokers themselves are `DRYDOCK_KAFKA`."""

    model_config = SettingsConfigDict(env_prefix="DRYDOCK_KAFKA_", frozen=True, extra="forbid")

    security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = "plaintext"
    """How connections are protected: `ssl` encrypts, `sasl` sends user name and password."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How the password is proved. PLAIN shows it to the broker: only with `sasl_ssl`, or on this machine."""
    username: str = ""
    password: SecretStr = SecretStr("")
    ca_file: Path | None = None
    """Certificates that the brokers' may be signed with; the system's when unset."""
    certificate_file: Path | None = None
    """Our own certificate, where the brokers ask for one."""
    key_file: Path | None = None
    """Its key."""
    replication_factor: int = Field(default=-1, ge=-1, le=32)
    """Of topics that we make; -1 leaves it to the cluster."""
    min_insync_replicas: int = Field(default=0, ge=0, le=32)
    """Replicas that must hold a message before it counts as published; 0 leaves it to the cluster."""
    publish_seconds: float = Field(default=10.0, gt=0, le=120)
    """A message that no broker confirmed for so long counts as not published."""
    patience_seconds: float = Field(default=30.0, gt=0, le=600)
    """How long brokers are waited for at the start."""
    session_seconds: float = Field(default=10.0, ge=6, le=300)
    """A consumer that is silent for so long loses its partitions to the others."""
    jars_dir: Path | None = None
    """Where the embedded broker's jars lie; `~/.cache/drydock/kafka-jars` when unset."""


def client_arguments(servers: str, settings: KafkaSettings) -> dict[str, Any]:
    """Returns what every client of aiokafka is made with.

    Raises:
        ServiceError: KAFKA_CERTIFICATE_UNREADABLE naming the file.
    """
    arguments: dict[str, Any] = {
        "bootstrap_servers": [server.strip() for server in servers.split(",") if server.strip()],
        "client_id": "drydock",
        "security_protocol": settings.security.upper(),
        "retry_backoff_ms": 250,
        "metadata_max_age_ms": 60_000,
    }
    if settings.security.endswith("ssl"):
        arguments["ssl_context"] = _ssl_context(settings)
    if settings.security.startswith("sasl"):
        arguments["sasl_mechanism"] = settings.sasl_mechanism
        arguments["sasl_plain_username"] = settings.username
        arguments["sasl_plain_password"] = settings.password.get_secret_value()
    return arguments


def _ssl_context(settings: KafkaSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.certificate_file is not None:
            context.load_cert_chain(settings.certificate_file, settings.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ServiceError(
            Kind.FAILED_PRECONDITION,
            "KAFKA_CERTIFICATE_UNREADABLE",
            "A certificate or key for Kafka cannot be read.",
            hint="Look at DRYDOCK_KAFKA_CA_FILE, …_CERTIFICATE_FILE and …_KEY_FILE: PEM files of this user.",
        ) from error
    return context
