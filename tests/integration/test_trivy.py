"""Real Trivy as an engine: alone, beside our own on one image, as a server, and where it lacks something."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from services.kernel.reasons import ScanFailure
from services.lab.image import build_image, build_index, write_layout
from services.lab.layer import LayerBuilder
from services.lab.push import push_image
from services.scanner.trivy.server import ask_server
from tests.builders.advisories import affected, before, cvss, record, write_lines
from tests.builders.archives import docker_files, tar_of
from tests.builders.jars import jar, properties
from tests.builders.records import dpkg_status, metadata
from tests.commandline import Ran, drydock
from tests.registries import PASSWORD, USERNAME, lab_registry
from tests.running import running_drydock

pytestmark = [pytest.mark.slow, pytest.mark.real_trivy]

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "report.schema.json").read_text())
HIGH = cvss("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H")
NOW = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
RECORDS = (
    record("CVE-2026-1001", affected("Debian:12", "openssl", *before("3.0.11"))),
    record("CVE-2026-1002", affected("Debian:12", "bash", {"introduced": "0"})),
    record("PYSEC-2026-7", affected("PyPI", "flask", *before("0.13")), aliases=["CVE-2026-1003"], severity=HIGH),
    # Two say of one id how far it goes: our engine tells the version that leaves both behind, Trivy the next one.
    record("GHSA-aaaa-bbbb-cccc", affected("npm", "lodash", *before("4.17.21")), aliases=["CVE-2026-1004"]),
    record("CVE-2026-1004", affected("npm", "lodash", *before("4.18.0"))),
)
BASE = (
    LayerBuilder()
    .file("etc/os-release", 'ID=debian\nVERSION_ID="12"\n')
    .file("etc/debian_version", "12.5\n")
    .file("var/lib/dpkg/status", dpkg_status(openssl="3.0.9-1", bash="5.2.15-2"))
    .build()
)
FLASK = "usr/lib/python3/dist-packages/Flask-0.12.2.dist-info/METADATA"
APP = (
    LayerBuilder()
    .file(FLASK, metadata("Flask", "0.12.2"))
    .file("srv/node_modules/lodash/package.json", '{"name":"lodash","version":"4.17.20"}')
    .file("root/.aws/config", "aws_access_key_id=" + "AKIA" + "4HZQTWNYBLK73RDV\n")
    .build()
)
IMAGE = build_image([BASE, APP])
WITH_JAR = build_image([BASE, LayerBuilder().file("srv/app.jar", jar(properties("g", "a", "1"))).build()])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A data directory with advisories, the same ones as Trivy's database, and real Trivy."""

    folder: Path
    env: dict[str, str]

    async def scan(self, image: str, *options: str, **env: str) -> Ran:
        """Runs `drydock scan` with the JSON format."""
        where = ("--data", str(self.folder / "data"), "--format", "json")
        return await drydock("scan", image, *where, *options, env=self.env | env)

    async def report(self, image: str, *options: str, **env: str) -> Any:
        """The report of a scan that goes well, held against its schema."""
        ran = await self.scan(image, *options, **env)
        assert ran.status == 0, ran.stderr
        jsonschema.Draft202012Validator(SCHEMA).validate(ran.json)
        return ran.json


@pytest.fixture
async def stage(trivy: Path, tmp_path: Path) -> Stage:
    records = write_lines(tmp_path / "records.ndjson", [each | {"modified": NOW} for each in RECORDS])
    data, env = str(tmp_path / "data"), {"DRYDOCK_ADVISORY_TRIVY_WRITER": str(trivy / "trivy-advisories")}
    imported = await drydock("advisories", "import", str(records), "--data", data, env=env)
    assert imported.status == 0, imported.stderr
    exported = await drydock("advisories", "export", "--format", "trivy-db", "--data", data, env=env)
    assert exported.status == 0, exported.stderr
    assert exported.stdout == f"{tmp_path}/data/trivy\n"
    return Stage(folder=tmp_path, env=env | {"DRYDOCK_TRIVY": str(trivy / "trivy")})


@pytest.fixture
def layout(tmp_path: Path) -> str:
    write_layout(tmp_path / "image", {"1.0": IMAGE, "jar": WITH_JAR, "both": build_index([IMAGE])})
    return f"oci:{tmp_path}/image:1.0"


async def test_trivy_alone_finds_what_our_engine_finds_of_packages(stage: Stage, layout: str) -> None:
    ours, its = await stage.report(layout), await stage.report(layout, "--engine", "trivy")

    def told(report: Any) -> set[tuple[str, str, str]]:
        known = (each for each in report["findings"] if each["package"])
        return {(each["id"], each["package"]["name"], each["severity"]) for each in known}

    assert told(its) == told(ours) != set()
    assert its["engine"] == {"name": "TRIVY", "version": "0.72.0"}
    assert its["advisories"] == ours["advisories"]
    assert its["summary"]["coverage"] == "FULL", its["warnings"]
    assert its["image"]["layers"] == ours["image"]["layers"]
    places = {each["id"]: (each["path"], each["layer"]) for each in its["findings"]}
    assert places["CVE-2026-1001"] == ("", BASE.digest)
    assert places["CVE-2026-1003"] == (
        "/usr/lib/python3/dist-packages/Flask-0.12.2.dist-info/METADATA",
        APP.digest,
    )


async def test_both_engines_give_one_verdict(stage: Stage, layout: str) -> None:
    report = await stage.report(layout, "--engine", "all")

    found = {each["id"]: each for each in report["findings"]}
    assert len(found) == len(report["findings"])
    both = ["SECURITY_CENTER", "TRIVY"]
    assert {name: each["engines"] for name, each in found.items()} == {
        "CVE-2026-1001": both,
        "CVE-2026-1002": both,
        "CVE-2026-1003": both,
        "CVE-2026-1004": both,
        "aws-access-key-id": ["SECURITY_CENTER"],
    }
    assert found["CVE-2026-1001"]["path"] == "/var/lib/dpkg/status"
    assert found["CVE-2026-1003"]["severity"] == "HIGH"
    assert found["CVE-2026-1004"]["disagreements"] == [
        {"about": "fixed_version", "said": {"SECURITY_CENTER": "4.18.0", "TRIVY": "4.17.21"}}
    ]
    assert [each.get("disagreements") for name, each in found.items() if name != "CVE-2026-1004"] == [None] * 4
    assert [(each["name"], each["coverage"], each["findings"]) for each in report["engines"]] == [
        ("SECURITY_CENTER", "FULL", 5),
        ("TRIVY", "FULL", 4),
    ]
    assert report["summary"]["coverage"] == "FULL"
    assert len(report["inventory"]["packages"]) == 4


async def test_a_gate_weighs_what_either_says(stage: Stage, layout: str) -> None:
    assert (await stage.scan(layout, "--engine", "all", "--fail-on", "critical")).status == 0
    assert (await stage.scan(layout, "--engine", "all", "--fail-on", "high")).status == 1
    # One of them could not look: what it would have found is not known.
    limited = await stage.scan(layout, "--engine", "all", "--fail-on", "critical", DRYDOCK_TRIVY_LAYER_BYTES="10")
    assert (limited.status, limited.error["reason"]) == (5, "ENGINE_FAILED")
    assert limited.json["warnings"][0]["message"].startswith("TRIVY could not scan the image (LAYER_TOO_LARGE)")


async def test_every_form_of_an_image_can_be_scanned(stage: Stage, layout: str, tmp_path: Path) -> None:
    (tmp_path / "app.tar").write_bytes(tar_of(docker_files({"team/app:1.0": IMAGE})))
    names = [layout, layout.replace(":1.0", ":both"), f"docker-archive:{tmp_path}/app.tar"]
    reports = [await stage.report(name, "--engine", "trivy") for name in names]
    async with lab_registry(basic_auth=True) as registry:
        await push_image(registry.access, "team/app", "1.0", IMAGE)
        address = f"{registry.access.address}/team/app:1.0"
        known = ("--username", USERNAME, "--password-stdin", "--plain-http")
        where = ("--data", str(stage.folder / "data"), "--format", "json", "--engine", "trivy")
        ran = await drydock("scan", address, *where, *known, env=stage.env, stdin=PASSWORD)
        unknown = await stage.scan(address, "--engine", "trivy", "--plain-http")

    assert ran.status == 0, ran.stderr
    for report in (*reports, ran.json):
        assert {each["id"] for each in report["findings"]} == {f"CVE-2026-100{number}" for number in (1, 2, 3, 4)}
    assert (unknown.status, unknown.error["reason"]) == (3, "REGISTRY_UNAUTHORIZED")


async def test_jars_without_their_database_are_no_verdict(stage: Stage, layout: str) -> None:
    ran = await stage.scan(layout.replace(":1.0", ":jar"), "--engine", "trivy")

    assert (ran.status, ran.error["reason"]) == (3, "TRIVY_JAVA_DATABASE_MISSING")


async def test_a_database_that_trivy_cannot_use_is_no_verdict_and_stays(stage: Stage, layout: str) -> None:
    database = stage.folder / "data" / "trivy" / "db" / "trivy.db"
    database.write_bytes(b"no bolt database" * 10_000)

    ran = await stage.scan(layout, "--engine", "trivy")

    assert (ran.status, ran.error["reason"]) == (3, "TRIVY_DATABASE_BROKEN")
    assert database.exists()


async def test_without_advisories_of_the_system_nothing_is_clean(
    stage: Stage, layout: str, tmp_path: Path
) -> None:
    one = record("PYSEC-1", affected("PyPI", "nothing", *before("1"))) | {"modified": NOW}
    records = write_lines(tmp_path / "one.ndjson", [one])
    for command in (("import", str(records)), ("export", "--format", "trivy-db")):
        ran = await drydock("advisories", *command, "--data", str(tmp_path / "data"), env=stage.env)
        assert ran.status == 0, ran.stderr

    report = await stage.report(layout, "--engine", "trivy")

    assert report["findings"] == []
    assert report["summary"]["coverage"] == "PARTIAL"
    assert [each["code"] for each in report["warnings"]] == ["NO_ADVISORIES", "NO_ADVISORIES"]


async def test_an_export_that_fails_leaves_the_old_database(stage: Stage, tmp_path: Path) -> None:
    failing = tmp_path / "failing"
    failing.write_text("#!/bin/sh\necho no room >&2; exit 1\n")
    failing.chmod(0o755)
    before_ = (tmp_path / "data" / "trivy" / "db" / "drydock.json").read_text()
    command = ("advisories", "export", "--format", "trivy-db", "--data", str(tmp_path / "data"))

    failed = await drydock(*command, env={"DRYDOCK_ADVISORY_TRIVY_WRITER": str(failing)})
    missing = await drydock(*command, env={"DRYDOCK_ADVISORY_TRIVY_WRITER": str(tmp_path / "nothing")})

    assert "no room" in failed.stderr
    assert "TRIVY_WRITER_MISSING" in missing.stderr
    assert "make trivy" in missing.stderr
    assert (tmp_path / "data" / "trivy" / "db" / "drydock.json").read_text() == before_


@asynccontextmanager
async def serving(trivy: Path, cache: Path, token: str) -> AsyncIterator[str]:
    """A Trivy server that is ready."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port = door.getsockname()[1]
    command = ("server", "--listen", f"127.0.0.1:{port}", "--cache-dir", cache, "--skip-db-update")
    process = await asyncio.create_subprocess_exec(
        trivy / "trivy", *command, env=os.environ | {"TRIVY_TOKEN": token}, stderr=asyncio.subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(30):
            while not await answers(address):
                await asyncio.sleep(0.05)
        yield address
    finally:
        process.kill()
        await process.wait()


async def answers(address: str) -> bool:
    try:
        await ask_server(address)
    except ScanFailure as failure:
        assert failure.reason == "TRIVY_SERVER_UNREACHABLE"
        return False
    return True


async def test_a_server_judges_by_its_own_database(trivy: Path, stage: Stage, layout: str, tmp_path: Path) -> None:
    shutil.move(tmp_path / "data" / "trivy", tmp_path / "cache")
    metadata_of = json.loads((tmp_path / "cache" / "db" / "metadata.json").read_text())
    async with serving(trivy, tmp_path / "cache", "s3cret") as address:
        known = {"DRYDOCK_TRIVY_SERVER": address, "DRYDOCK_TRIVY_TOKEN": "s3cret"}
        report = await stage.report(layout, "--engine", "trivy", **known)
        refused = await stage.scan(layout, "--engine", "trivy", DRYDOCK_TRIVY_SERVER=address)
    away = await stage.scan(layout, "--engine", "trivy", **known)

    assert len(report["findings"]) == 4
    assert report["advisories"]["version"] == metadata_of["UpdatedAt"]
    assert (refused.status, refused.error["reason"]) == (3, "TRIVY_FAILED")
    assert "invalid token" in refused.error["message"]
    assert (away.status, away.error["reason"]) == (3, "TRIVY_SERVER_UNREACHABLE")


async def test_a_server_scans_with_trivy_and_with_both(
    stage: Stage, tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRYDOCK_TRIVY", stage.env["DRYDOCK_TRIVY"])
    monkeypatch.setenv("DRYDOCK_SCANNER_SELF_REPORT_SECONDS", "1")
    data = tmp_path / "data"
    async with lab_registry(basic_auth=True) as registry, running_drydock(data, database) as running:
        env = stage.env | {"DRYDOCK_SERVER": running.grpc, "DRYDOCK_DATA_DIR": str(data)}

        async def shell(*arguments: str, stdin: str = "") -> Ran:
            return await drydock(*arguments, "--output", "json", env=env, stdin=stdin)

        async def created(engine: str) -> Ran:
            return await shell("task", "create", "lab", "team/app:1.0", "--engine", engine, "--wait", "60s")

        async def state_of(engine: str) -> str:
            engines: list[dict[str, str]] = (await shell("instance", "engines", "lab")).json
            return {each["engine"]: each["state"] for each in engines}[engine]

        await push_image(registry.access, "team/app", "1.0", IMAGE)
        where = ("--address", registry.access.address, "--plain-http", "--username", USERNAME, "--password-stdin")
        assert (
            await shell("instance", "create", "lab", "--engine", "security-center", *where, stdin=PASSWORD)
        ).status == 0

        both = (await created("all")).json
        assert (both["engine"], both["state"], both["coverage"]) == ("ALL", "COMPLETE", "FULL")
        assert [(each["engine"], each["state"]) for each in both["platforms"]] == [
            ("SECURITY_CENTER", "COMPLETE"),
            ("TRIVY", "COMPLETE"),
        ]
        found = {each["id"]: each for each in (await shell("findings", "list", "lab", "team/app:1.0")).json}
        assert len(found) == 5 == sum(both["findings"].values())
        assert found["CVE-2026-1001"]["engines"] == ["SECURITY_CENTER", "TRIVY"]
        assert [each["about"] for each in found["CVE-2026-1004"]["disagreements"]] == ["fixed_version"]
        report = (await drydock("report", "lab", "team/app:1.0", env=env)).json
        jsonschema.Draft202012Validator(SCHEMA).validate(report)
        assert (report["engine"]["name"], len(report["findings"])) == ("ALL", 5)

        alone = (await created("trivy")).json
        assert (alone["engine"], alone["state"], sum(alone["findings"].values())) == ("TRIVY", "COMPLETE", 4)
        assert alone["platforms"][0]["scan_id"] == both["platforms"][1]["scan_id"]

        more = record("CVE-2026-1005", affected("Debian:12", "bash", {"introduced": "0"})) | {"modified": NOW}
        records = write_lines(tmp_path / "more.ndjson", [*(each | {"modified": NOW} for each in RECORDS), more])
        for command in (("import", str(records)), ("export", "--format", "trivy-db")):
            assert (await drydock("advisories", *command, "--data", str(data), env=env)).status == 0
        async with asyncio.timeout(60):
            while (anew := (await created("trivy")).json)["advisories_version"] == alone["advisories_version"]:
                await asyncio.sleep(0.5)
        assert sum(anew["findings"].values()) == 5

        shutil.rmtree(data / "trivy" / "db")
        async with asyncio.timeout(60):  # a task before that would be tried again and again
            while await state_of("TRIVY") == "ACTIVE":
                await asyncio.sleep(0.5)
        refused = await created("all")
        assert refused.error["reason"] == "ENGINE_NOT_READY"
        assert "TRIVY_DATABASE_MISSING" in refused.error["message"]
        assert (await created("security-center")).status == 0
