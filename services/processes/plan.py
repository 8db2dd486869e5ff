"""What one process is to be: its role, and everything that its environment and its command line say."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from pydantic import ValidationError

from services.gateway.settings import GatewaySettings
from services.kernel.errors import invalid
from services.kernel.rpc.identity import Identity, read_certificates, read_tokens
from services.kernel.settings import KernelSettings, invalid_setting
from services.processes.roles import Role
from services.processes.settings import ProcessSettings
from services.settings import check_environment, said


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A process before anything of it is opened."""

    role: Role
    kernel: KernelSettings
    process: ProcessSettings
    gateway: GatewaySettings
    """Of use to the gateway alone."""
    identity: Identity

    @property
    def monitoring_listen(self) -> str:
        """Where the process is watched."""
        if self.role is Role.GATEWAY:
            return self.gateway.monitoring_listen
        return self.process.monitoring_listen(self.role)


def read_plan(
    role: Role, *, data: Path | None = None, grpc: str | None, http: str | None, monitoring: str | None
) -> Plan:
    """Reads the environment, under what the command line says.

    Raises:
        ServiceError: UNKNOWN_SETTING, INVALID_SETTING, DATABASE_URL_MISSING, or what `identity_of` raises; never
            with a value, which may be a secret.
    """
    check_environment()
    if http is not None and role is not Role.GATEWAY:
        raise invalid("INVALID_SETTING", f"The {role.value} service has no HTTP door.", field="http")
    try:
        kernel = KernelSettings.model_validate({"data_dir": data.expanduser()} if data is not None else {})
        if role is Role.GATEWAY:
            process = ProcessSettings()
            gateway = GatewaySettings.model_validate(
                said(grpc_listen=grpc, http_listen=http, monitoring_listen=monitoring)
            )
        else:
            own = {f"{role.value}_grpc_listen": grpc, f"{role.value}_monitoring_listen": monitoring}
            process, gateway = ProcessSettings.model_validate(said(**own)), GatewaySettings()
    except ValidationError as error:
        raise invalid_setting(error) from error
    if not kernel.database_url:
        raise invalid(
            "DATABASE_URL_MISSING",
            "A service of its own needs a PostgreSQL: DRYDOCK_DATABASE_URL is not set.",
            field="DRYDOCK_DATABASE_URL",
            hint="Set it, or DRYDOCK_DATABASE_URL_FILE; only `drydock up` brings a database along.",
        )
    return Plan(role=role, kernel=kernel, process=process, gateway=gateway, identity=identity_of(process))


def identity_of(settings: ProcessSettings) -> Identity:
    """Reads what peers know each other by.

    Raises:
        ServiceError: SERVICE_TOKEN_INVALID, TLS_INCOMPLETE, TLS_FILE_UNREADABLE, TLS_FILE_INVALID.
    """
    return Identity(
        tokens=read_tokens(settings.service_token.get_secret_value(), "DRYDOCK_SERVICE_TOKEN"),
        certificates=read_certificates(settings.tls_cert_file, settings.tls_key_file, settings.tls_ca_file),
    )
