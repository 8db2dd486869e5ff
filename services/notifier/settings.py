"""Settings of the notifier; environment variables begin with DRYDOCK_NOTIFIER_."""

from __future__ import annotations

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.kernel.egress import parse_networks, parse_ports


class NotifierSettings(BaseSettings):
    """What an operator may change."""

    model_config = SettingsConfigDict(env_prefix="DRYDOCK_NOTIFIER_", frozen=True, extra="forbid")

    concurrent_deliveries: int = Field(default=64, ge=2, le=1024)
    """Deliveries that one process sends at once."""
    concurrent_per_target: int = Field(default=2, ge=1, le=32)
    """Deliveries under way to one target, over all processes: a slow one delays nobody else."""
    concurrent_robots: int = Field(default=32, ge=1, le=1024)
    """Chat robots that one process calls at once."""
    robot_batch: int = Field(default=200, ge=1, le=1000)
    """Notifications that are looked at for one message of a robot."""
    attempt_seconds: float = Field(default=10.0, gt=0, le=300)
    """Longest time for one attempt, from the name lookup to the answer."""
    lease_margin_seconds: float = Field(default=20.0, ge=5)
    """A lease lasts an attempt and so much longer; after it, a silent worker counts as dead."""
    slow_seconds: float = Field(default=1.0, gt=0)
    """A target whose attempt took longer is slow: those together have half of the places, and delay no other."""
    look_seconds: float = Field(default=1.0, gt=0)
    """How often due deliveries are looked for when nothing wakes the worker."""
    attempts: int = Field(default=24, ge=1, le=1000)
    """How often a delivery is tried before it is dead."""
    age_seconds: float = Field(default=86_400.0, gt=0)
    """How old a delivery may become before it is dead."""
    retry_first_seconds: float = Field(default=2.0, gt=0)
    """Upper bound of the first pause; it doubles from attempt to attempt, and the pause is drawn from below it."""
    retry_longest_seconds: float = Field(default=3600.0, gt=0)
    """Longest pause, also when a target asks for more."""
    inquiry_seconds: float = Field(default=20.0, gt=0, le=300)
    """Longest time for the scanner to say what is new."""
    inquiry_patience_seconds: float = Field(default=600.0, gt=0)
    """How long an answer is waited for; after it the target is told that nobody could say what is new."""
    receipt_days: int = Field(default=30, ge=1)
    """How long receipts and ended deliveries are kept; longer than the bus keeps an event."""
    cleanup_interval_seconds: float = Field(default=600.0, gt=0)
    """How often what is too old is deleted."""
    cleanup_batch: int = Field(default=5_000, ge=1)
    """Rows deleted in one transaction."""
    allowed_networks: str = "127.0.0.0/8,::1/128"
    """Where targets may be besides public addresses, with commas between: this machine alone by default."""
    allowed_ports: str = ""
    """Ports that targets may have besides those that any may have, with commas between."""

    @field_validator("allowed_networks")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        parse_networks(value)
        return value

    @field_validator("allowed_ports")
    @classmethod
    def _are_ports(cls, value: str) -> str:
        parse_ports(value)
        return value
