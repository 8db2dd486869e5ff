"""What the scanner promises, kept by the application in process and by its client across the network."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from services.kernel.errors import Kind, ServiceError
from services.kernel.model.digest import Digest, digest_of
from services.kernel.model.engine import Engine
from services.kernel.model.finding import FindingKind
from services.kernel.model.page import encode_token
from services.kernel.model.report import Coverage, Report
from services.kernel.model.severity import Severity
from services.lab.image import build_index
from services.lab.push import push_image
from services.rules.api import NewInstance
from services.scanner.api import FindingFilter, ImageQuery, ScannerApi, State, Task, TaskFilter
from services.scanner.client import ScannerClient
from services.scanner.servicer import inner_services
from services.scanner.settings import ScannerSettings
from services.scanner.wiring.server import server
from tests.acceptance.test_push_to_verdict import ARM64, an_image
from tests.builders.edge import real_rules
from tests.builders.ground import a_ground, end
from tests.builders.peers import inner_door, peer_at
from tests.builders.rules import BOX
from tests.registries import lab_registry

SCHEMAS = (("rules", "services.rules"), ("scanner", "services.scanner"))
ALL = FindingFilter()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A scanner, and an instance whose registry has `team/app:1.0` of two platforms."""

    api: ScannerApi
    instance_id: str
    digest: str

    def image(self, **fields: Any) -> ImageQuery:
        said = {"instance": self.instance_id, "namespace": "team", "repository": "app", "tag": "1.0"}
        return ImageQuery(**{**said, **fields})

    async def scanned(self) -> Task:
        """Scans the image and returns its task."""
        task = await self.api.create_task(self.image())
        ended = await self.ended(task.task_id)
        assert ended.state is State.COMPLETE, ended
        return ended

    async def ended(self, task_id: str) -> Task:
        """Waits for the end of a task."""
        async with asyncio.timeout(60):
            while not (ended := await self.api.get_task(task_id)).state.ended:
                await asyncio.sleep(0.05)
        assert isinstance(ended, Task)
        return ended


@pytest.fixture(params=["application", "client"])
async def scene(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> AsyncIterator[Scene]:
    async with lab_registry() as registry, a_ground(database, *SCHEMAS) as ground:
        index = build_index([an_image(), an_image(ARM64, salt="arm")])
        digest = await push_image(registry.access, "team/app", "1.0", index)
        rules = real_rules(ground.pool, ground.clock)
        instance = await rules.create_instance(
            NewInstance(name="lab", address=registry.access.address, plain_http=True)
        )
        async with server(ground, rules=rules, box=BOX, data=tmp_path, settings=ScannerSettings()) as application:
            if request.param == "application":
                yield Scene(api=application, instance_id=instance.instance_id, digest=digest)
            else:
                async with inner_door(inner_services(application)) as door, peer_at(door.address) as peer:
                    client = ScannerClient(peer)
                    yield Scene(api=client, instance_id=instance.instance_id, digest=digest)
            await end(ground)


async def refusal(call: Any) -> tuple[Kind, str]:
    with pytest.raises(ServiceError) as caught:
        await call
    assert caught.value.message
    return caught.value.kind, caught.value.reason


@pytest.mark.slow
async def test_a_task_is_told_of_whole_from_its_start_to_its_end(scene: Scene) -> None:
    task = await scene.scanned()
    assert (task.instance_id, task.namespace, task.repository, task.tag) == (
        scene.instance_id,
        "team",
        "app",
        "1.0",
    )
    assert (task.digest, task.engine, task.rule_ids) == (scene.digest, Engine.SECURITY_CENTER, ())
    assert isinstance(task.coverage, Coverage)
    assert task.advisories_version
    assert task.findings[Severity.MEDIUM] + task.findings[Severity.HIGH] > 0
    assert task.ended_at is not None
    assert task.created_at <= task.ended_at
    assert [part.platform for part in task.platforms] == ["linux/amd64", "linux/arm64"]
    bare = dataclasses.replace(task, platforms=())
    assert await scene.api.image_status(scene.image()) == bare
    assert await scene.api.image_status(scene.image(tag="", digest=task.digest)) == bare
    by_task = ImageQuery(instance=scene.instance_id, task_id=task.task_id)
    assert await scene.api.image_status(by_task) == bare
    listed = await scene.api.list_tasks(TaskFilter(instance="lab", state=State.COMPLETE))
    assert (listed.items, listed.next_token) == ((bare,), "")
    assert (await scene.api.list_tasks(TaskFilter(state=State.FAILED))).items == ()
    assert (await scene.api.list_tasks(TaskFilter(namespaces=("ci", "team")))).items == (bare,)
    assert (await scene.api.list_tasks(TaskFilter(namespaces=("ci",)))).items == ()


@pytest.mark.slow
async def test_findings_and_reports_are_told_of_whole(scene: Scene) -> None:
    task = await scene.scanned()
    found = await scene.api.findings(scene.image(), ALL)
    assert found.task == dataclasses.replace(task, platforms=())
    assert {"linux/amd64", "linux/arm64"} == set(found.findings[0].platforms)
    packed = await scene.api.report(scene.image(), "linux/amd64")
    report = msgspec.json.decode(packed, type=Report)
    # Every field of every finding and package, as the scan wrote them down.
    assert tuple(placed.finding for placed in found.findings) == report.findings
    descending = await scene.api.findings(scene.image(), FindingFilter(descending=True))
    assert descending.findings[0].finding.severity.rank >= descending.findings[-1].finding.severity.rank
    assert sorted(descending.findings, key=str) == sorted(found.findings, key=str)
    by_kind = FindingFilter(kinds=frozenset({FindingKind.BASELINE_RISK, FindingKind.SYSTEM_VULNERABILITY}))
    assert (await scene.api.findings(scene.image(), by_kind)).findings == ()
    some = FindingFilter(
        kinds=frozenset({FindingKind.APPLICATION_VULNERABILITY}),
        severities=frozenset(Severity),
        id_contains="cve-2019-10906",
        platform="linux/arm64",
    )
    [only] = (await scene.api.findings(scene.image(), some)).findings
    assert only.finding.id == "CVE-2019-10906"
    by_task = ImageQuery(instance=scene.instance_id, task_id=task.task_id)
    assert await scene.api.findings(by_task, ALL) == found


@pytest.mark.slow
async def test_the_same_request_is_the_same_task(scene: Scene) -> None:
    request_id = str(uuid.uuid4())
    one = await scene.api.create_task(scene.image(), engine=Engine.SECURITY_CENTER, request_id=request_id)
    two = await scene.api.create_task(scene.image(), request_id=request_id)
    assert one.task_id == two.task_id == request_id
    reused = scene.api.create_task(scene.image(tag="", digest=scene.digest), request_id=request_id)
    assert await refusal(reused) == (Kind.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    page = await scene.api.list_tasks(page_size=1)
    assert [task.task_id for task in page.items] == [request_id]


@pytest.mark.slow
async def test_refusals_keep_kind_and_reason(scene: Scene) -> None:
    task = await scene.scanned()
    api, image = scene.api, scene.image
    other = digest_of(b"other")
    mismatch = ImageQuery(instance=scene.instance_id, repo_id="crr-x", task_id=task.task_id)
    for call, kind, reason in (
        (api.create_task(image(tag="none")), Kind.NOT_FOUND, "TAG_NOT_EXIST"),
        (api.create_task(image(digest=other)), Kind.FAILED_PRECONDITION, "TAG_MOVED"),
        (api.create_task(image(), engine=Engine.TRIVY), Kind.FAILED_PRECONDITION, "ENGINE_NOT_READY"),
        (api.create_task(image(), request_id="junk"), Kind.INVALID_ARGUMENT, "INVALID_REQUEST_ID"),
        (api.get_task(str(uuid.uuid4())), Kind.NOT_FOUND, "SCAN_TASK_NOT_EXIST"),
        (api.image_status(image(instance="none")), Kind.NOT_FOUND, "INSTANCE_NOT_EXIST"),
        (api.image_status(image(repository="none")), Kind.NOT_FOUND, "REPO_NOT_EXIST"),
        (api.image_status(image(tag="2.0")), Kind.NOT_FOUND, "IMAGE_NOT_SCANNED"),
        (api.image_status(mismatch), Kind.INVALID_ARGUMENT, "TASK_DOES_NOT_MATCH"),
        (api.findings(image(tag="2.0"), ALL), Kind.NOT_FOUND, "IMAGE_NOT_SCANNED"),
        (api.report(image()), Kind.INVALID_ARGUMENT, "PLATFORM_AMBIGUOUS"),
        (api.report(image(), "linux/s390x"), Kind.NOT_FOUND, "PLATFORM_NOT_EXIST"),
        (api.list_tasks(TaskFilter(namespaces=("x",) * 101)), Kind.INVALID_ARGUMENT, "INVALID_NAMESPACE"),
        (api.list_tasks(page_token="junk"), Kind.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"),
    ):
        assert await refusal(call) == (kind, reason)


async def test_tags_are_listed_by_name_page_by_page(scene: Scene) -> None:
    await scene.scanned()
    page = await scene.api.list_tags(instance="lab", namespace="team", repository="app", page_size=1)
    [tag] = page.items
    assert (tag.tag, tag.digest, tag.pulled_at, page.next_token) == ("1.0", scene.digest, None, "")
    assert tag.seen_at is not None
    assert (await scene.api.list_tags(instance="lab", namespace="_", repository="app")).items == ()
    assert (await scene.api.list_removals(instance="lab")).items == ()


@pytest.mark.slow
async def test_the_stream_of_findings_is_read_on_and_what_is_open_listed(scene: Scene) -> None:
    began = datetime.now(UTC) - timedelta(minutes=1)
    assert await scene.api.finding_events() == ((), "")
    await scene.scanned()
    found = (await scene.api.findings(scene.image(), ALL)).findings
    count = sum(len(placed.platforms) for placed in found)
    events: list[bytes] = []
    cursor = ""
    async with asyncio.timeout(30):
        while len(events) < count:
            some, cursor = await scene.api.finding_events(since=began, cursor=cursor, limit=1)
            events += some
            await asyncio.sleep(0 if some else 0.1)
    assert await scene.api.finding_events(cursor=cursor) == ((), cursor)
    assert await scene.api.finding_events(since=datetime.now(UTC) + timedelta(days=1)) == ((), "")
    assert (await scene.api.finding_events(limit=1000))[0] == tuple(events)
    uids = {msgspec.json.decode(event)["subject"] for event in events}
    assert len(uids) == count
    for instance in ("", "lab", scene.instance_id):
        listed: list[bytes] = []
        token = ""
        while len(listed) < count:
            page = await scene.api.open_findings(instance=instance, page_size=1, page_token=token)
            listed, token = [*listed, *page.items], page.next_token
        assert token == ""
        assert {msgspec.json.decode(event)["subject"] for event in listed} == uids
    for call, reason in (
        (scene.api.finding_events(cursor="junk"), "INVALID_PAGE_TOKEN"),
        (scene.api.finding_events(cursor=encode_token(("0", "nowhere"), "finding events")), "INVALID_PLACE"),
        (scene.api.finding_events(cursor=encode_token(("0",), "finding events")), "INVALID_PAGE_TOKEN"),
        (scene.api.finding_events(limit=-1), "INVALID_PAGE_SIZE"),
        (scene.api.finding_events(limit=1001), "INVALID_PAGE_SIZE"),
        (scene.api.open_findings(page_token="junk"), "INVALID_PAGE_TOKEN"),
        (
            scene.api.open_findings(page_token=encode_token(("", "", "no uuid"), "open findings", "")),
            "INVALID_PAGE_TOKEN",
        ),
    ):
        assert await refusal(call) == (Kind.INVALID_ARGUMENT, reason)
    assert await refusal(scene.api.open_findings(instance="nobody")) == (Kind.NOT_FOUND, "INSTANCE_NOT_EXIST")


def test_the_client_has_every_method_of_the_interface() -> None:
    for name, method in inspect.getmembers(ScannerApi, inspect.isfunction):
        if not name.startswith("_"):
            assert inspect.signature(getattr(ScannerClient, name)) == inspect.signature(method), name


@pytest.mark.slow
async def test_an_image_is_scanned_by_an_access_that_the_caller_brings(scene: Scene) -> None:
    async with lab_registry(basic_auth=True) as other:
        one = an_image(salt="lent")
        digest = Digest(await push_image(other.access, "team/app", "1.0", one))
        image = scene.image(tag="", digest=digest)
        both = scene.api.create_task(scene.image(digest=digest), access=other.access)
        assert await refusal(both) == (Kind.INVALID_ARGUMENT, "INVALID_IMAGE")
        wrong = dataclasses.replace(other.access, password=SecretStr("wr0ng"))
        ends = []
        for access in (wrong, other.access):  # one after the other: they would share a scan
            asked = await scene.api.create_task(image, access=access)
            assert asked.digest == digest
            ends.append(await scene.ended(asked.task_id))
        refused, found = ends

    assert (refused.state, refused.reason) == (State.FAILED, "REGISTRY_UNAUTHORIZED")
    assert "wr0ng" not in refused.message
    assert found.state is State.COMPLETE, found


async def test_a_task_is_compared_with_the_one_before_it(scene: Scene) -> None:
    first = await scene.scanned()
    told = await scene.api.compare(first.task_id)
    assert told.earlier_task_id == ""
    assert told.new == told.found
    counts = sum(count for of_kind in told.found.values() for count in of_kind.values())
    assert counts == sum(first.findings.values()) > 0
    again = await scene.scanned()
    second = await scene.api.compare(again.task_id)
    assert (second.earlier_task_id, second.new, second.examples) == (first.task_id, {}, ())
    assert second.found == told.found
    unknown = scene.api.compare("00000000-0000-0000-0000-000000000000")
    assert await refusal(unknown) == (Kind.NOT_FOUND, "SCAN_TASK_NOT_EXIST")
