"""Harbor's conversation with its scanner, from metadata to report, against both registries."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from drydock.gateway.v1 import admin_service_pb2 as admin
from drydock.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from drydock.scanner.v1 import scan_pb2
from services.kernel.model.access import RegistryAccess
from services.lab.push import push_image
from services.lab.tokens import Access, serve_tokens
from services.standalone import Running
from tests.acceptance.test_push_to_verdict import an_image
from tests.harbor import Image, JobService, basic, conforms
from tests.registries import PASSWORD, USERNAME, RunningRegistry, StartRegistry
from tests.running import Client, client_of, running_drydock
from tests.unit.cli.test_cli_formats import cyclonedx_schema, read_spdx

REPOSITORY = "library/app"
NOTICES = "DRYDOCK-"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A registry that lets nobody in without a password, and a Drydock whose instance of it has none."""

    registry: RunningRegistry
    running: Running
    client: Client
    instance_id: str
    digest: str
    tokens: dict[str, str]
    """Of keys by their role."""
    database: str

    @property
    def image(self) -> Image:
        return Image(
            registry=f"http://{self.registry.access.address}",
            repository=REPOSITORY,
            digest=self.digest,
            authorization=basic(USERNAME, PASSWORD),
        )

    def harbor(self, role: str = "client", form: str = "Bearer") -> JobService:
        token = self.tokens[role]
        headers = {
            "Bearer": {"Authorization": f"Bearer {token}"},
            "Basic": {"Authorization": basic("harbor", token)},
            "APIKey": {"X-ScannerAdapter-API-Key": token},
        }
        return JobService(f"http://{self.running.http}/harbor/api/v1", headers[form])

    async def rows(self, query: str) -> Any:
        connection = await asyncpg.connect(self.database)
        try:
            return await connection.fetch(query)
        finally:
            await connection.close()


ROLES = {
    "admin": admin.ROLE_ADMIN,
    "operator": admin.ROLE_OPERATOR,
    "client": admin.ROLE_CLIENT,
    "viewer": admin.ROLE_VIEWER,
    "webhook": admin.ROLE_WEBHOOK,
}


@pytest.fixture
async def scene(each_registry: StartRegistry, database: str, tmp_path: Path) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(each_registry(basic_auth=True))
        digest = await push_image(registry.access, REPOSITORY, "1.0", an_image())
        yield await set_up(stack, registry, digest, database, tmp_path)


async def set_up(
    stack: AsyncExitStack,
    registry: RunningRegistry,
    digest: str,
    database: str,
    data: Path,
) -> Scene:
    address = registry.access.address
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DRYDOCK_GATEWAY_HARBOR_REGISTRIES", f"http://{address}/=harbor")
        running = await stack.enter_async_context(running_drydock(data / "data", database))
    client = await stack.enter_async_context(client_of(running))
    instance_id = await client.instance(RegistryAccess(address=address, plain_http=True), "harbor")
    tokens = {}
    for role, number in ROLES.items():
        instance = "harbor" if role == "webhook" else ""
        request = admin.CreateKeyRequest(name=f"harbor-{role}", role=number, instance=instance)
        tokens[role] = (await AdminServiceStub(client.channel).CreateKey(request)).token
    return Scene(
        registry=registry,
        running=running,
        client=client,
        instance_id=instance_id,
        digest=digest,
        tokens=tokens,
        database=database,
    )


async def test_harbor_gets_its_vulnerability_report_and_its_sbom(scene: Scene) -> None:
    harbor = scene.harbor()
    said = await harbor.metadata()
    assert [each["type"] for each in said["capabilities"]] == ["vulnerability", "sbom"]

    answer = await harbor.scan(scene.image)
    assert (answer.status, answer.headers["content-type"]) == (
        200,
        "application/vnd.security.vulnerability.report; version=1.1",
    )
    assert harbor.polls
    report = conforms("HarborVulnerabilityReport", answer.body)
    assert report["artifact"] == {"repository": REPOSITORY, "digest": scene.digest}
    assert report["scanner"] == said["scanner"]
    items = {item["id"]: item for item in report["vulnerabilities"]}
    jinja = items["CVE-2019-10906"]
    assert (jinja["package"], jinja["version"], jinja["severity"]) == ("Jinja2", "2.10", "High")
    assert jinja["fix_version"] == "2.10.1"
    assert jinja["vendor_attributes"]["kind"] == "APPLICATION_VULNERABILITY"
    # The advisories that a test has are the sample: Harbor shows that no verdict rests on them.
    assert items[f"{NOTICES}SAMPLE_ADVISORIES"]["severity"] == "Unknown"

    answer = await harbor.scan(scene.image, "sbom")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/vnd.security.sbom.report+json; version=1.0"
    sbom = conforms("HarborSbomReport", answer.body)
    assert sbom["media_type"] == "application/spdx+json"
    packages = {package.name for package in read_spdx(sbom["sbom"]).packages}
    assert "Jinja2" in packages

    # Both are tasks of the instance like any other, and the second shared the scan of the first.
    tasks = await scene.client.tasks(scene.instance_id)
    assert [(task.namespace, task.repository, task.tag, task.digest, task.state) for task in tasks] == [
        ("library", "app", "", scene.digest, scan_pb2.STATE_COMPLETE)
    ] * 2
    [scans] = await scene.rows("SELECT count(*) AS begun FROM scanner.scan")
    assert scans["begun"] == 1

    # The same scan as CycloneDX, which no Harbor asks for yet.
    path = f"/scan/{tasks[0].task_id}/report?sbom_media_type=application%2Fvnd.cyclonedx%2Bjson"
    accept = {"Accept": "application/vnd.security.sbom.report+json; version=1.0"}
    sbom = conforms("HarborSbomReport", (await harbor.ask("GET", path, None, accept)).body)
    assert sbom["media_type"] == "application/vnd.cyclonedx+json"
    fault = cyclonedx_schema().validate_str(json.dumps(sbom["sbom"]))
    assert fault is None, fault


async def test_what_harbor_lends_is_sealed_while_the_scan_waits_and_gone_afterwards(scene: Scene) -> None:
    query = "SELECT t::text AS whole, loan, state FROM scanner.task AS t"
    await scene.harbor().submit(scene.image)
    for row in (rows := await scene.rows(query)):
        assert PASSWORD.encode() not in (row["loan"] or b"")
        assert PASSWORD not in row["whole"]
    assert [bool(row["loan"]) for row in rows] == [row["state"] != "COMPLETE" for row in rows]
    await scene.harbor().scan(scene.image)
    assert [(row["state"], row["loan"]) for row in await scene.rows(query)] == [("COMPLETE", None)] * 2


async def test_a_key_may_do_what_its_role_may_in_whichever_form_harbor_shows_it(scene: Scene) -> None:
    for form in ("Basic", "Bearer", "APIKey"):
        await scene.harbor(form=form).metadata()
        assert (await scene.harbor(form=form).submit(scene.image)).status == 202
    scan_id = (await scene.harbor().submit(scene.image)).body["id"]
    for role in ROLES:
        harbor = scene.harbor(role)
        statuses = [
            (await harbor.ask("GET", "/metadata", None, {})).status,
            (await harbor.submit(scene.image)).status,
            (await harbor.report(scan_id)).status,
        ]
        reads = 403 if role == "webhook" else 200
        assert statuses[0] == reads
        assert statuses[1] == (403 if role in ("webhook", "viewer") else 202)
        assert statuses[2] in ((403,) if role == "webhook" else (200, 302))


async def test_a_stranger_learns_nothing(scene: Scene) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer ddk_" + "x" * 43},
        {"Authorization": basic("admin", "Harbor12345")},
        {"Authorization": "Basic !!!"},
        {"X-ScannerAdapter-API-Key": "x"},
    ):
        harbor = JobService(f"http://{scene.running.http}/harbor/api/v1", headers)
        for answer in (
            await harbor.ask("GET", "/metadata", None, {}),
            await harbor.submit(scene.image),
            await harbor.report("3fa85f64-5717-4562-b3fc-2c963f66afa6"),
        ):
            assert answer.status == 401
            assert "token" in answer.message
            assert answer.headers["www-authenticate"].startswith("Basic ")


async def test_a_scan_that_failed_is_an_error_with_its_reason(scene: Scene) -> None:
    with capture_logs() as logs:
        wrong = dataclasses.replace(scene.image, authorization=basic("robot$app", "wr0ng-s3cret"))
        answer = await scene.harbor().scan(wrong)
    assert answer.status == 500
    assert "REGISTRY_UNAUTHORIZED" in answer.message
    assert "came with the request" in answer.message
    assert "instance" not in answer.message
    assert scene.digest in answer.message
    assert "wr0ng-s3cret" not in answer.message + repr(logs)

    gone = dataclasses.replace(scene.image, digest="sha256:" + "0" * 64)
    answer = await scene.harbor().scan(gone)
    assert answer.status == 500
    assert "IMAGE_NOT_FOUND" in answer.message


async def test_a_token_of_harbors_pulls_without_a_password(
    each_registry: StartRegistry, database: str, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        tokens = await stack.enter_async_context(serve_tokens(users={USERNAME: PASSWORD}))
        registry = await stack.enter_async_context(each_registry(tokens=tokens))
        push = tokens.authority.sign(USERNAME, (Access("repository", REPOSITORY, ("pull", "push")),))
        digest = await push_image(registry.access, REPOSITORY, "1.0", an_image(), token=push)
        scene = await set_up(stack, registry, digest, database, tmp_path)
        pull = tokens.authority.sign(USERNAME, (Access("repository", REPOSITORY, ("pull",)),))
        image = dataclasses.replace(scene.image, authorization=f"Bearer {pull}")
        answer = await scene.harbor().scan(image)
        assert answer.status == 200, answer.content
        assert not [seen for seen in tokens.seen if "authorization" in seen.headers]
