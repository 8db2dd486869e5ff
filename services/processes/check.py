"""A look at everything that a process would need, without becoming it."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from cryptography import x509
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from services.fixer.settings import FixerSettings
from services.gateway.wiring import describe_doors
from services.kernel.bus.kafka_settings import KafkaSettings
from services.kernel.bus.kafka_topics import lacking_topics, our_topics
from services.kernel.bus.open import embedded_not_here
from services.kernel.clock import SystemClock
from services.kernel.db import Pool, describe_server, is_outage, open_pool, unavailable
from services.kernel.errors import Kind, ServiceError
from services.kernel.migrate import lacking, load_migrations
from services.kernel.rpc.inner import check_listen
from services.kernel.rpc.peer import PeerMetrics, open_peer
from services.kernel.settings import EMBEDDED
from services.notifier.settings import NotifierSettings
from services.processes.peers import SERVICES
from services.processes.plan import Plan
from services.processes.roles import LATER, PEERS, Role
from services.rules.settings import RulesSettings
from services.scanner.advisories.state import describe
from services.scanner.inspectors.clamd import Clamd, ClamdFailed, release_of
from services.scanner.settings import SETTINGS as SCANNER_SETTINGS
from services.scanner.settings import ClamdSettings
from services.scanner.wiring.trivy import describe_trivy
from services.schemas import schemas_needed

_SECONDS = 5.0
"""For each look."""
_USER = re.compile(r"://.*@", re.DOTALL)
_PARAMETERS = re.compile(r"(://[^?#\s]*)[?#].*", re.DOTALL)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting as it holds, fit to be shown."""

    name: str
    """Of its variable."""
    value: str
    origin: str
    """`default`, or `given` by environment or command line."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that must hold, and whether it does."""

    name: str
    ok: bool
    detail: str


def settings_of(plan: Plan) -> tuple[Setting, ...]:
    """Returns every setting that the process reads; of secrets only whether they are set."""
    own: dict[Role, tuple[BaseSettings, ...]] = {
        Role.RULES: (RulesSettings(),),
        Role.SCANNER: tuple(settings() for settings in SCANNER_SETTINGS),
        Role.FIXER: (FixerSettings(),),
        Role.NOTIFIER: (NotifierSettings(),),
        Role.GATEWAY: (plan.gateway,),
    }
    return tuple(
        Setting(
            name=f"{settings.model_config.get('env_prefix', '')}{field}".upper(),
            value=_shown(getattr(settings, field), secret=not about.repr),
            origin="given" if field in settings.model_fields_set else "default",
        )
        for settings in (plan.kernel, *_bus_settings(plan), plan.process, *own[plan.role])
        for field, about in type(settings).model_fields.items()
    )


def _bus_settings(plan: Plan) -> tuple[BaseSettings, ...]:
    return (KafkaSettings(),) if plan.kernel.kafka else ()


async def checks_of(plan: Plan) -> tuple[Check, ...]:
    """Looks at listening addresses, identity, database, schemas, bus, peers and files, each for a few seconds."""
    found = [await _check("inner door", lambda: _inner_door(plan))] if plan.role is not Role.GATEWAY else []
    found += await _database_checks(plan)
    if plan.kernel.kafka:
        found.append(await _check("bus", lambda: _kafka(plan)))
    found += [
        await _check(f"peer {role.value}", lambda role=role: _peer(plan, role))  # type: ignore[misc] # bound early
        for role in (*PEERS[plan.role], *LATER[plan.role])
    ]
    if plan.role is not Role.GATEWAY:
        found.append(await _check("data folder", lambda: _data_folder(plan)))
    if plan.role is Role.SCANNER:
        found.append(await _check("advisories", lambda: _advisories(plan)))
        found.append(await _check("trivy", lambda: describe_trivy(plan.kernel.data_dir, SystemClock())))
        if (clamd := ClamdSettings().daemon) is not None:
            found.append(await _check("clamd", lambda: _clamd(clamd)))
    if plan.role is Role.GATEWAY:
        found.append(await _check("doors", lambda: _doors(plan)))
        found.append(await _check("admin token file", lambda: _admin_token_file(plan)))
    return tuple(found)


async def _check(name: str, look: Callable[[], Awaitable[str]]) -> Check:
    try:
        async with asyncio.timeout(_SECONDS):
            return Check(name=name, ok=True, detail=await look())
    except ServiceError as error:
        return Check(name=name, ok=False, detail=f"{error.sentence()} [{error.reason}]")
    except Exception as error:
        if not is_outage(error):
            raise
        return Check(name=name, ok=False, detail=f"no answer within {_SECONDS:.0f} s [{type(error).__name__}]")


async def _inner_door(plan: Plan) -> str:
    address = plan.process.grpc_listen(plan.role)
    check_listen(address, plan.identity)
    proofs = [f"{len(plan.identity.tokens)} service token(s)"] if plan.identity.tokens else []
    if plan.identity.certificates is not None:
        own = x509.load_pem_x509_certificate(plan.identity.certificates.certificate)
        if own.not_valid_after_utc <= SystemClock().now():
            raise ServiceError(
                Kind.FAILED_PRECONDITION,
                "TLS_CERTIFICATE_EXPIRED",
                "The certificate of this process has expired.",
                hint="Renew it, and start the process again: DRYDOCK_TLS_CERT_FILE is read at the start.",
            )
        proofs.append(f"mutual TLS until {own.not_valid_after_utc:%Y-%m-%d}")
    return f"{address}, guarded by {' and '.join(proofs) or 'nothing but the loopback address'}"


async def _database_checks(plan: Plan) -> list[Check]:
    schemas = schemas_needed(plan.kernel)
    try:
        async with asyncio.timeout(_SECONDS * 2), _pool(plan) as pool:
            found = [await _check("database", lambda: describe_server(pool))]
            for schema, package in schemas:
                look = lambda schema=schema, package=package: _schema(pool, schema, package)  # noqa: E731
                found.append(await _check(f"schema {schema}", look))
            return found
    except ServiceError as error:
        failed = Check(name="database", ok=False, detail=f"{error.sentence()} [{error.reason}]")
    except TimeoutError:
        failed = Check(name="database", ok=False, detail=unavailable().sentence())
    return [failed, *(Check(name=f"schema {schema}", ok=False, detail="no database") for schema, _ in schemas)]


@asynccontextmanager
async def _pool(plan: Plan) -> AsyncIterator[Pool]:
    url = plan.kernel.database_url
    async with open_pool(url, application_name="drydock check", max_size=1, patience_seconds=0) as pool:
        yield pool


async def _schema(pool: Pool, schema: str, package: str) -> str:
    missing = await lacking(pool, schema=schema, package=package)
    if missing:
        raise ServiceError(
            Kind.FAILED_PRECONDITION,
            "SCHEMA_BEHIND",
            f"{schema} lacks {missing[0].number:04}_{missing[0].name}.",
            hint="Run `drydock migrate`.",
        )
    return f"{load_migrations(package)[-1].number:04}"


async def _kafka(plan: Plan) -> str:
    if plan.kernel.kafka == EMBEDDED:
        raise embedded_not_here()
    settings = KafkaSettings().model_copy(update={"patience_seconds": _SECONDS / 2})
    missing = await lacking_topics(plan.kernel.kafka, our_topics(), settings)
    return f"Kafka at {plan.kernel.kafka}" + (f", {len(missing)} topics to be made" if missing else "")


async def _peer(plan: Plan, role: Role) -> str:
    address = plan.process.address(role)
    metrics = PeerMetrics(CollectorRegistry())
    async with open_peer(role.value, address, identity=plan.identity, metrics=metrics, call_seconds=3.0) as peer:
        try:
            await peer.check(SERVICES[role])
        except ServiceError as error:
            raise ServiceError(error.kind, error.reason, f"{address}: {error.message}", hint=error.hint) from error
    return address


async def _data_folder(plan: Plan) -> str:
    folder = plan.kernel.data_dir
    there = folder
    while not there.exists():
        there = there.parent
    if not os.access(there, os.W_OK | os.X_OK):
        raise ServiceError(
            Kind.FAILED_PRECONDITION,
            "DATA_FOLDER_UNWRITABLE",
            f"The folder {there} cannot be written.",
            hint="Give it to the user that Drydock runs as, or name another one with --data or DRYDOCK_DATA_DIR.",
        )
    return str(folder) if there == folder else f"{folder}, to be made"


async def _advisories(plan: Plan) -> str:
    return await asyncio.to_thread(describe, plan.kernel.data_dir, SystemClock().now())


async def _clamd(clamd: Clamd) -> str:
    try:
        return await asyncio.to_thread(release_of, clamd)
    except ClamdFailed as failure:
        raise ServiceError(
            Kind.UNAVAILABLE,
            "CLAMD_UNAVAILABLE",
            f"clamd did not say its version: {failure}.",
            hint="Look at DRYDOCK_CLAMD: the path of its socket, which this user may write, or HOST:PORT.",
        ) from failure


async def _doors(plan: Plan) -> str:
    return await asyncio.to_thread(describe_doors, plan.gateway, SystemClock().now())


async def _admin_token_file(plan: Plan) -> str:
    path = plan.process.admin_token_file
    if path is None:
        return "none: the keys are as they are"
    if path.exists():
        if not os.access(path, os.R_OK):
            raise ServiceError(
                Kind.FAILED_PRECONDITION,
                "TOKEN_FILE_UNREADABLE",
                f"{path} cannot be read.",
                hint="Check its owner and mode: the gateway's user reads it.",
            )
        return str(path)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ServiceError(
            Kind.FAILED_PRECONDITION,
            "TOKEN_FILE_UNWRITABLE",
            f"{path} cannot be made.",
            hint="Make its folder, writable for the gateway's user, or mount a file with a token there.",
        )
    return f"{path}, to be made"


def _shown(value: object, *, secret: bool) -> str:
    if isinstance(value, SecretStr):
        return "***" if value.get_secret_value() else ""
    if isinstance(value, tuple):
        return ", ".join(_shown(each, secret=secret) for each in value)
    text = "" if value is None else str(value)
    if secret and text and "://" not in text:  # no URL, so nobody knows where in it the password is
        return "***"
    return redacted(text)


def redacted(text: str) -> str:
    """Takes out of a URL what may be secret: all before the last `@`, and all parameters. A password may hold
    whatever ends one in a URL that is written as it should be.
    """
    return _PARAMETERS.sub(r"\1?…", _USER.sub("://***@", text))
