"""Registries to test against: the lab's own, and the real one as a process."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import msgspec
from pydantic import SecretStr

from services.kernel.model.access import RegistryAccess
from services.lab.beside import beside
from services.lab.events import Endpoint
from services.lab.registry import LabRegistry, serve_registry
from services.lab.tokens import ISSUER, SERVICE, LabTokenServer

USERNAME, PASSWORD = "lab", "labpass"
# What `htpasswd -nbB -C 4 lab labpass` gives: the real registry takes bcrypt only, which nothing of ours makes.
_HTPASSWD = "lab:$2b$04$kfW11XEFFuOHEvFBsMJxy.C37x/VIzgKF01IQ9g5Kaf9KdpeFSf7e\n"
_LISTENING = re.compile(rb"listening on (127\.0\.0\.1:\d+)")
_START_SECONDS = 20.0
_BUILD_SCRIPT = Path(__file__).parents[1] / "deploy" / "registry" / "build.sh"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunningRegistry:
    """A registry that can be pushed to and pulled from."""

    access: RegistryAccess
    lab: LabRegistry | None
    """The lab's handle; None for the real one."""


class StartRegistry(Protocol):
    """Starts a registry for the time of a block."""

    def __call__(
        self,
        *,
        basic_auth: bool = False,
        tokens: LabTokenServer | None = None,
        notify: Endpoint | None = None,
    ) -> AbstractAsyncContextManager[RunningRegistry]:
        """Runs the registry, anonymous unless told otherwise, and without notifications."""
        ...


def registry_program() -> Path:
    """Returns the real registry's program, built when need be; the run fails where it cannot be had."""
    built = subprocess.run([_BUILD_SCRIPT, sys.executable], stdout=subprocess.PIPE, check=True, text=True)
    return Path(built.stdout.strip())


@contextlib.asynccontextmanager
async def lab_registry(
    *, basic_auth: bool = False, tokens: LabTokenServer | None = None, notify: Endpoint | None = None
) -> AsyncIterator[RunningRegistry]:
    """Runs the lab registry in this loop."""
    users = {USERNAME: PASSWORD} if basic_auth else None
    async with serve_registry(users=users, tokens=tokens, notify=notify) as lab:
        yield RunningRegistry(access=_access(lab.address, known=basic_auth or tokens is not None), lab=lab)


@contextlib.asynccontextmanager
async def real_registry(
    program: Path,
    directory: Path,
    *,
    basic_auth: bool = False,
    tokens: LabTokenServer | None = None,
    notify: Endpoint | None = None,
    read_only: bool = False,
) -> AsyncIterator[RunningRegistry]:
    """Runs the real registry as a process on a free port of its own choice; it is ready when this yields.

    Args:
        program: from `registry_program`.
        directory: for its configuration, content and log.
        basic_auth: asks for `USERNAME` and `PASSWORD`.
        tokens: whose tokens it asks for.
        notify: where its notifications go.
        read_only: in its maintenance mode, with what an earlier one in the same directory was given.
    """
    settings = directory / "registry.yml"
    content = _settings(directory, basic_auth=basic_auth, tokens=tokens, notify=notify)
    if read_only:
        content = content | {"storage": content["storage"] | {"maintenance": {"readonly": {"enabled": True}}}}
    settings.write_bytes(msgspec.json.encode(content))
    process = await asyncio.create_subprocess_exec(
        program,
        "serve",
        settings,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        # Version 3 sends traces to a collector on this machine unless told not to.
        env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
    )
    try:
        async with asyncio.timeout(_START_SECONDS):
            address = await _address(process)
        # Its log has to be read, or the pipe fills up and the registry stands still.
        async with beside(_drain(process, directory / "registry.log"), name="registry-log"):
            yield RunningRegistry(access=_access(address, known=basic_auth or tokens is not None), lab=None)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _settings(
    directory: Path, *, basic_auth: bool, tokens: LabTokenServer | None, notify: Endpoint | None
) -> dict[str, Any]:
    # JSON is YAML, so that no YAML writer is needed.
    settings: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "info"},
        "storage": {"filesystem": {"rootdirectory": str(directory / "data")}, "delete": {"enabled": True}},
        "http": {"addr": "127.0.0.1:0"},
    }
    if basic_auth:
        users = directory / "htpasswd"
        users.write_text(_HTPASSWD)
        settings["auth"] = {"htpasswd": {"realm": "lab", "path": str(users)}}
    if tokens is not None:
        bundle = directory / "token.crt"
        bundle.write_bytes(tokens.authority.certificate)
        token = {"realm": tokens.realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": str(bundle)}
        settings["auth"] = {"token": token}
    if notify is not None:
        endpoint = {
            "name": "drydock",
            "url": notify.url,
            "headers": {name: [value] for name, value in notify.headers.items()},
            "timeout": f"{int(notify.timeout_seconds * 1000)}ms",
            "threshold": 3,
            "backoff": f"{int(notify.backoff_seconds * 1000)}ms",
        }
        settings["notifications"] = {"endpoints": [endpoint]}
    return settings


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    log = b""
    while line := await process.stderr.readline():
        log += line
        if found := _LISTENING.search(line):
            return found[1].decode()
    raise AssertionError(f"the registry did not start: {log.decode(errors='replace')[-2000:]}")


async def _drain(process: asyncio.subprocess.Process, log: Path) -> None:
    assert process.stderr is not None
    with log.open("ab") as file:
        while line := await process.stderr.readline():
            file.write(line)


def _access(address: str, *, known: bool) -> RegistryAccess:
    if not known:
        return RegistryAccess(address=address, plain_http=True)
    return RegistryAccess(address=address, plain_http=True, username=USERNAME, password=SecretStr(PASSWORD))
