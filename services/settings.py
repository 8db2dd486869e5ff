"""Every settings class, the look at the environment before anything starts, and what `drydock up` reads."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from services.fixer.settings import FixerSettings
from services.gateway.settings import GatewaySettings
from services.kernel.bus.kafka_settings import KafkaSettings
from services.kernel.errors import invalid
from services.kernel.settings import KernelSettings, invalid_setting, refuse_unknown
from services.notifier.settings import NotifierSettings
from services.processes.settings import ProcessSettings
from services.rules.settings import RulesSettings
from services.scanner.settings import SETTINGS as SCANNER_SETTINGS
from services.scanner.settings import ScannerSettings

SETTINGS = (
    KernelSettings,
    KafkaSettings,
    ProcessSettings,
    RulesSettings,
    *SCANNER_SETTINGS,
    FixerSettings,
    NotifierSettings,
    GatewaySettings,
)
"""What none of them knows is no setting."""


def check_environment() -> None:
    """Refuses variables that begin with DRYDOCK_ and mean nothing, hold what cannot be, or contradict each other.

    Raises:
        ServiceError: UNKNOWN_SETTING or INVALID_SETTING naming the variable; never a value, which may be a secret.
    """
    refuse_unknown(os.environ, SETTINGS)
    for settings in SETTINGS:
        try:
            settings()
        except ValidationError as error:
            raise invalid_setting(error, prefix=settings.model_config.get("env_prefix", "")) from error
    _refuse_short_memories(KernelSettings().bus_retention_days)


def read_settings(
    data: Path,
    *,
    grpc: str | None = None,
    http: str | None = None,
    monitoring: str | None = None,
    database_url: str | None = None,
    kafka: str | None = None,
) -> tuple[KernelSettings, GatewaySettings]:
    """Returns what the environment says of all services in one process, under what the command line says.

    Raises:
        ServiceError: INVALID_SETTING naming the setting; never its value, which may be a secret.
    """
    try:
        kernel = KernelSettings.model_validate({"data_dir": data} | said(database_url=database_url, kafka=kafka))
        gateway = GatewaySettings.model_validate(
            said(grpc_listen=grpc, http_listen=http, monitoring_listen=monitoring)
        )
    except ValidationError as error:
        raise invalid_setting(error) from error
    return kernel, gateway


def said(**values: str | None) -> dict[str, str]:
    """Returns what the command line says: the rest is left to the environment."""
    return {name: value for name, value in values.items() if value is not None}


def _refuse_short_memories(bus_days: int) -> None:
    """Refuses to forget an event that the bus still has: read again, it would count as new."""
    for variable, days in (
        ("DRYDOCK_RULES_SEEN_EVENT_DAYS", RulesSettings().seen_event_days),
        ("DRYDOCK_SCANNER_SEEN_EVENT_DAYS", ScannerSettings().seen_event_days),
        ("DRYDOCK_NOTIFIER_RECEIPT_DAYS", NotifierSettings().receipt_days),
    ):
        if days <= bus_days:
            raise invalid(
                "INVALID_SETTING",
                f"{variable} is {days}, and the bus keeps its messages for {bus_days} days.",
                field=variable,
                hint="Set it to more than DRYDOCK_BUS_RETENTION_DAYS, for every process.",
            )
