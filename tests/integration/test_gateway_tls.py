"""TLS at the gateway's doors: who is let in, what the command line needs, and certificates that are renewed."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
import grpc
import pytest
import structlog.testing
from cryptography import x509

from drydock.gateway.v1 import admin_service_pb2 as pb
from drydock.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from drydock.rules.v1 import instance_pb2
from drydock.rules.v1 import rules_service_pb2 as rules_pb
from drydock.rules.v1.rules_service_pb2_grpc import RulesServiceStub
from services.gateway.tls import DoorTls
from services.kernel.errors import ServiceError
from services.kernel.rpc.client import open_channel, translated_errors
from services.kernel.rpc.server import serve
from services.kernel.webserver import serve_http
from tests.builders.certificates import Authority
from tests.builders.methods import answer_of
from tests.commandline import drydock
from tests.integration.test_gateway_doors import Gateway, gateway

LIST = rules_pb.ListInstancesRequest()


def written(authority: Authority, folder: Path) -> dict[str, Path]:
    """Writes certificate, key and authority into a folder of their own."""
    folder.mkdir()
    return authority.write(folder)


def doors(server: dict[str, Path], clients: dict[str, Path] | None = None, **more: object) -> dict[str, object]:
    said: dict[str, object] = {key: server[key] for key in ("tls_cert_file", "tls_key_file")}
    return said | ({"tls_client_ca_file": clients["tls_ca_file"]} if clients else {}) | more


def trusting(server: dict[str, Path], own: dict[str, Path] | None = None) -> grpc.ChannelCredentials:
    key, certificate = (own["tls_key_file"], own["tls_cert_file"]) if own else (None, None)
    return grpc.ssl_channel_credentials(
        server["tls_ca_file"].read_bytes(),
        key.read_bytes() if key else None,
        certificate.read_bytes() if certificate else None,
    )


def nearby(door: str) -> str:
    """Where a door that listens on every address is reached from here."""
    return f"127.0.0.1:{door.rpartition(':')[2]}"


async def called(running: Gateway, credentials: grpc.ChannelCredentials | None) -> str:
    """Calls with the administrator's token; returns OK, or the reason of the refusal."""
    async with open_channel(
        running.doors.grpc, token=running.admin, deadline_seconds=5, credentials=credentials
    ) as channel:
        try:
            with translated_errors():
                await RulesServiceStub(channel).ListInstances(LIST)
        except ServiceError as error:
            return error.reason
    return "OK"


async def posted(running: Gateway, context: ssl.SSLContext) -> int:
    """Sends an empty webhook over HTTPS; returns the status, 0 where nobody shook hands."""
    url = f"https://{running.doors.http}/webhooks/distribution/cri-x"
    try:
        async with aiohttp.ClientSession() as session, session.post(url, ssl=context) as response:
            return response.status
    except aiohttp.ClientError:
        return 0


async def test_with_a_certificate_both_doors_speak_tls_only(database: str, tmp_path: Path) -> None:
    files = written(Authority(), tmp_path / "server")
    with structlog.testing.capture_logs() as logs:
        async with gateway(
            database, tmp_path / "t", grpc_listen="0.0.0.0:0", http_listen="0.0.0.0:0", **doors(files)
        ) as running:
            here = nearby(running.doors.grpc)
            async with open_channel(here, token=running.admin, credentials=trusting(files)) as channel:
                await RulesServiceStub(channel).ListInstances(LIST)
                await RulesServiceStub(channel).CreateInstance(
                    rules_pb.CreateInstanceRequest(instance=instance_pb2.Instance(name="lab", address="r.example"))
                )
                hook = await AdminServiceStub(channel).CreateKey(
                    pb.CreateKeyRequest(name="hook", role=pb.ROLE_WEBHOOK, instance="lab")
                )
            assert await called(running, None) == "SERVER_UNAVAILABLE"
            http = nearby(running.doors.http)
            context = ssl.create_default_context(cafile=str(files["tls_ca_file"]))
            headers = {"authorization": f"Bearer {hook.token}", "content-type": "application/json"}
            path = hook.webhook_url.partition("/webhooks")[2]
            async with (
                aiohttp.ClientSession() as session,
                session.post(
                    f"https://{http}/webhooks{path}", ssl=context, headers=headers, data=b'{"events": []}'
                ) as response,
            ):
                assert response.status == 202
            async with aiohttp.ClientSession() as session:
                with pytest.raises(aiohttp.ClientError):
                    await session.post(f"http://{http}/webhooks/distribution/x")
    assert hook.webhook_url.startswith("https://")
    assert not [entry for entry in logs if entry["event"] == "door.plaintext"]


async def test_callers_show_a_certificate_where_an_authority_is_named_and_a_token_besides(
    database: str, tmp_path: Path
) -> None:
    ours, theirs, strangers = (written(Authority(), tmp_path / name) for name in ("ours", "theirs", "strangers"))
    async with gateway(database, tmp_path / "t", **doors(ours, theirs)) as running:
        assert await called(running, trusting(ours, theirs)) == "OK"
        assert await called(running, trusting(ours)) == "SERVER_UNAVAILABLE"
        assert await called(running, trusting(ours, strangers)) == "SERVER_UNAVAILABLE"
        async with open_channel(running.doors.grpc, credentials=trusting(ours, theirs)) as channel:
            with pytest.raises(ServiceError) as caught, translated_errors():
                await RulesServiceStub(channel).ListInstances(LIST)
        assert caught.value.reason == "TOKEN_MISSING"
        context = ssl.create_default_context(cafile=str(ours["tls_ca_file"]))
        assert await posted(running, context) == 0
        context.load_cert_chain(theirs["tls_cert_file"], theirs["tls_key_file"])
        assert await posted(running, context) == 401


async def test_registries_need_no_certificate_where_only_the_grpc_door_asks(database: str, tmp_path: Path) -> None:
    ours, theirs = (written(Authority(), tmp_path / name) for name in ("ours", "theirs"))
    async with gateway(database, tmp_path / "t", **doors(ours, theirs, tls_client_doors="grpc")) as running:
        assert await called(running, trusting(ours)) == "SERVER_UNAVAILABLE"
        assert await posted(running, ssl.create_default_context(cafile=str(ours["tls_ca_file"]))) == 401


async def test_the_command_line_speaks_tls_as_its_environment_says(database: str, tmp_path: Path) -> None:
    ours, theirs = (written(Authority(), tmp_path / name) for name in ("ours", "theirs"))
    async with gateway(database, tmp_path / "t", **doors(ours, theirs)) as running:
        plain = {"DRYDOCK_SERVER": running.doors.grpc, "DRYDOCK_TOKEN": running.admin}
        half = {
            **plain,
            "DRYDOCK_TLS_CA": str(ours["tls_ca_file"]),
            "DRYDOCK_TLS_CERT": str(theirs["tls_cert_file"]),
        }
        whole = {**half, "DRYDOCK_TLS_KEY": str(theirs["tls_key_file"])}
        listed = await drydock("key", "list", "--output", "json", env=whole)
        refused = await drydock("key", "list", "--output", "json", env=plain)
        wrong = await drydock("key", "list", "--output", "json", env=half)
    assert [key["name"] for key in listed.json] == ["admin"]
    assert (refused.status, "DRYDOCK_TLS_CA" in refused.error["hint"]) == (4, True)
    assert (wrong.status, wrong.error["reason"], wrong.error["field"]) == (2, "TLS_INCOMPLETE", "DRYDOCK_TLS_KEY")


@pytest.mark.parametrize("missing", ["tls_cert_file", "tls_key_file"])
async def test_half_a_certificate_is_a_clear_error(database: str, tmp_path: Path, missing: str) -> None:
    said = doors(written(Authority(), tmp_path / "server"))
    del said[missing]
    with pytest.raises(ExceptionGroup) as caught:
        async with gateway(database, tmp_path / "t", **said):
            pass
    [error] = caught.value.exceptions
    assert isinstance(error, ServiceError)
    assert (error.reason, error.field) == ("TLS_INCOMPLETE", f"DRYDOCK_GATEWAY_{missing.upper()}")


async def shown_by(address: str) -> x509.Certificate:
    """Returns the certificate that a door shows."""
    host, _, port = address.rpartition(":")
    pem = await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)))
    return x509.load_pem_x509_certificate(pem.encode())


async def test_a_renewed_certificate_is_shown_without_a_restart_and_a_broken_one_is_not(tmp_path: Path) -> None:
    first, second = Authority("first"), Authority("second")
    files = written(first, tmp_path / "server")
    tls = DoorTls(certificate=files["tls_cert_file"], key=files["tls_key_file"], clients=None, doors="both")

    async def nothing(scope: object, receive: object, send: object) -> None:
        raise AssertionError

    async def issuers() -> set[str]:
        shown = [await shown_by(address) for address in (rpc.address, http)]
        return {certificate.issuer.rfc4514_string() for certificate in shown}

    async with (
        serve("127.0.0.1:0", [], interceptors=[], credentials=tls.grpc_credentials()) as rpc,
        serve_http(nothing, "127.0.0.1:0", tls=tls.http_context()) as http,
    ):
        assert await issuers() == {"CN=first"}
        second.write(tmp_path / "server")
        tls.refresh()
        assert await issuers() == {"CN=second"}
        files["tls_key_file"].write_text("half a file")
        with structlog.testing.capture_logs() as logs:
            tls.refresh()
            tls.refresh()
        assert await issuers() == {"CN=second"}
    assert [entry["event"] for entry in logs] == ["door.certificates_kept"]


async def test_another_authority_of_callers_counts_without_a_restart(tmp_path: Path) -> None:
    server, old, new = (written(Authority(), tmp_path / name) for name in ("server", "old", "new"))
    tls = DoorTls(
        certificate=server["tls_cert_file"],
        key=server["tls_key_file"],
        clients=old["tls_ca_file"],
        doors="both",
    )

    async def health(address: str, own: dict[str, Path]) -> bool:
        async with grpc.aio.secure_channel(address, trusting(server, own)) as channel:
            code, _, _ = await answer_of(channel, "/grpc.health.v1.Health/Check")
        return code is grpc.StatusCode.OK

    async with serve("127.0.0.1:0", [], interceptors=[], credentials=tls.grpc_credentials()) as rpc:
        assert (await health(rpc.address, old), await health(rpc.address, new)) == (True, False)
        old["tls_ca_file"].write_bytes(new["tls_ca_file"].read_bytes())
        tls.refresh()
        assert (await health(rpc.address, old), await health(rpc.address, new)) == (False, True)
