"""Every settings class of Drydock, and the look at the environment before anything starts."""

from __future__ import annotations

import os

from pydantic import ValidationError

from services.gateway.settings import GatewaySettings
from services.kernel.bus.kafka_settings import KafkaSettings
from services.kernel.settings import KernelSettings, invalid_setting, refuse_unknown
from services.notifier.settings import NotifierSettings
from services.processes.settings import ProcessSettings
from services.rules.settings import RulesSettings
from services.scanner.settings import SETTINGS as SCANNER_SETTINGS

SETTINGS = (
    KernelSettings,
    KafkaSettings,
    ProcessSettings,
    RulesSettings,
    *SCANNER_SETTINGS,
    NotifierSettings,
    GatewaySettings,
)
"""What none of them knows is no setting."""


def check_environment() -> None:
    """Refuses variables of the environment that begin with DRYDOCK_ and mean nothing, or hold what cannot be.

    Raises:
        ServiceError: UNKNOWN_SETTING or INVALID_SETTING naming the variable; never a value, which may be a secret.
    """
    refuse_unknown(os.environ, SETTINGS)
    for settings in SETTINGS:
        try:
            settings()
        except ValidationError as error:
            raise invalid_setting(error, prefix=settings.model_config.get("env_prefix", "")) from error
