"""The console script as a process: what needs no server."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.lab.image import build_image, write_layout
from services.lab.layer import LayerBuilder
from services.scanner.advisories.files import AdvisoryFiles
from tests.builders.advisories import affected, before, record, write_zip
from tests.commandline import PROGRAM, drydock

pytestmark = pytest.mark.slow

COMMANDS = (
    "demo",
    "up",
    "serve",
    "migrate",
    "scan",
    "instance",
    "rule",
    "target",
    "task",
    "status",
    "findings",
    "report",
    "key",
    "dead-letter",
    "advisories",
    "version",
)


@pytest.fixture
def nobody_home(tmp_path: Path) -> dict[str, str]:
    """A server that is not there, and a data folder without a token."""
    return {"DRYDOCK_SERVER": "127.0.0.1:1", "DRYDOCK_DATA_DIR": str(tmp_path)}


def test_help_names_every_command_and_loads_none_of_them() -> None:
    program = "; ".join(
        (
            "import sys",
            "from services.cli.main import app",
            "app(['--help'], standalone_mode=False)",
            "print('/'.join(sys.modules))",
        )
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert all(f"  {command} " in done.stdout for command in COMMANDS)
    loaded = set(done.stdout.splitlines()[-1].split("/"))
    assert not loaded & {"grpc", "asyncio", "pydantic", "rich.table", "google.protobuf", "asyncpg", "msgspec"}


@pytest.mark.parametrize("command", COMMANDS)
async def test_every_command_has_help(command: str) -> None:
    ran = await drydock(command, "--help")
    assert (ran.status, ran.stderr) == (0, "")
    assert ran.stdout.startswith(f"Usage: drydock {command}")
    assert "completion" not in ran.stdout


@pytest.mark.parametrize(
    "command",
    [("instance", "create"), ("rule", "create"), ("key", "create"), ("advisories", "import"), ("report",)],
)
async def test_every_example_stands_on_a_line_of_its_own(command: tuple[str, ...]) -> None:
    ran = await drydock(*command, "--help", env={"COLUMNS": "60"})
    _, _, examples = ran.stdout.partition("Examples:\n")
    lines = [line for line in examples.splitlines() if line.strip()]
    assert len(lines) >= 2
    assert all(line.strip().startswith(f"drydock {' '.join(command)} ") for line in lines)


def test_the_script_runs_with_an_empty_environment() -> None:
    done = subprocess.run([PROGRAM, "version", "--output", "json"], env={}, capture_output=True, check=True)
    assert json.loads(done.stdout)["version"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["instance"],
        ["instance", "create", "prod"],
        ["instance", "update", "prod"],
        ["rule", "create", "prod", "r", "--scope", "everything", "--tag", ".*"],
        ["status", "prod", "team/app:1.0", "--wait", "5 minutes"],
        ["status", "prod", "Team/App:1.0"],
        ["task", "create", "prod", "team/app@sha256:abc"],
        ["findings", "list", "prod", "app:1", "--severity", "severe"],
        ["report", "prod", "Team/App:1.0"],
        ["scan", "app:1.0"],
        ["scan", "localhost:5000/app:1.0", "--severity", "severe"],
        ["scan", "localhost:5000/app:1.0", "--platform", "linux"],
        ["scan", "localhost:5000/app:1.0", "--password-stdin"],
        ["scan", "localhost:5000/app:1.0", "--username", "u"],
        ["scan", "localhost:5000/app:1.0", "--engine", "clair"],
        ["scan", "localhost:5000/app:1.0", "--advisories", "none.zip"],
        ["scan", "localhost:5000/app:1.0", "--advisories", __file__],
        ["advisories", "import", "none.zip"],
        ["scan", "oci:folder:1.0", "--username", "u", "--password-stdin"],
        ["instance", "create", "prod", "--address", "h", "--username", "u"],
        ["instance", "create", "prod", "--address", "h", "--password-stdin"],
        ["instance", "update", "prod", "--username", "u"],
        ["rule", "update", "crscnr-1"],
        ["up", "--nonsense"],
    ],
)
async def test_wrong_usage_is_exit_status_2(arguments: list[str], nobody_home: dict[str, str]) -> None:
    ran = await drydock(*arguments, env=nobody_home)
    assert ran.status == 2
    assert ran.stdout == "" or arguments == ["instance"]
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "reason", "option"),
    [
        (["scan", "h:1/app:1", "--username", "u", "--format", "json"], "INVALID_CREDENTIALS", "--password-stdin"),
        (["scan", "h:1/app:1", "--password-stdin", "--format", "json"], "INVALID_CREDENTIALS", "--username"),
        (
            ["scan", "h:1/app:1", "--advisories", "none.zip", "--format", "json"],
            "ADVISORY_SOURCE_NOT_FOUND",
            "--advisories",
        ),
        (
            ["scan", "h:1/app:1", "--advisories", __file__, "--format", "json"],
            "ADVISORY_SOURCE_BROKEN",
            "--advisories",
        ),
        (
            ["instance", "create", "p", "--address", "h", "--username", "u", "--output", "json"],
            "INVALID_CREDENTIALS",
            "--password-stdin",
        ),
    ],
)
async def test_wrong_usage_names_the_option_that_mends_it(
    arguments: list[str], reason: str, option: str, nobody_home: dict[str, str]
) -> None:
    ran = await drydock(*arguments, env=nobody_home)
    assert (ran.status, ran.error["reason"]) == (2, reason)
    assert option in ran.error["hint"]


async def test_an_engine_that_is_not_there_is_no_wrong_usage(nobody_home: dict[str, str]) -> None:
    nowhere = nobody_home | {"DRYDOCK_TRIVY": "/nowhere/trivy"}
    ran = await drydock("scan", "localhost:5000/app:1.0", "--engine", "trivy", "--format", "json", env=nowhere)
    assert (ran.status, ran.stdout, ran.error["reason"]) == (3, "", "TRIVY_MISSING")


async def test_an_engine_that_finds_nothing_of_the_kind_is_wrong_usage(nobody_home: dict[str, str]) -> None:
    ran = await drydock("scan", "oci:x", "--engine", "trivy", "--kind", "baseline", env=nobody_home)
    assert ran.status == 2
    assert "KIND_NOT_FOUND_BY_ENGINE" in ran.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["instance", "list"],
        ["key", "create", "ci", "--role", "client"],
        ["status", "prod", "team/app:1.0", "--wait", "5m"],
        ["task", "create", "prod", "team/app:1.0"],
    ],
)
async def test_a_server_that_cannot_be_reached_is_exit_status_4(
    arguments: list[str], nobody_home: dict[str, str]
) -> None:
    ran = await drydock(*arguments, "--output", "json", env=nobody_home)
    assert (ran.status, ran.stdout) == (4, "")
    assert ran.error["reason"] == "SERVER_UNAVAILABLE"
    assert "127.0.0.1:1" in ran.error["message"]


async def test_a_token_that_is_not_ours_to_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "admin.token").mkdir()
    ran = await drydock("instance", "list", "--data", str(tmp_path), "--server", "127.0.0.1:1")
    assert ran.status == 1
    assert str(tmp_path / "admin.token") in ran.stderr


async def test_a_wrong_setting_of_the_environment_is_named_without_its_value(tmp_path: Path) -> None:
    env = {"DRYDOCK_GATEWAY_GRACE_SECONDS": "hunter2", "DRYDOCK_DATA_DIR": str(tmp_path)}
    ran = await drydock("up", env=env)
    assert ran.status == 2
    assert "grace_seconds" in ran.stderr
    assert "hunter2" not in ran.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["up"],
        ["scan", "127.0.0.1:1/app:1.0", "--plain-http"],
        ["advisories", "status"],
        ["advisories", "update"],
    ],
)
async def test_a_setting_that_is_none_is_refused_wherever_settings_count(
    arguments: list[str], tmp_path: Path
) -> None:
    ran = await drydock(*arguments, "--data", str(tmp_path), env={"DRYDOCK_ADVISORY_MAX_AGE_DAY": "1"})
    assert (ran.status, ran.stdout) == (2, "")
    assert "UNKNOWN_SETTING" in ran.stderr
    assert "DRYDOCK_ADVISORY_MAX_AGE_DAYS" in ran.stderr


async def test_scanning_what_is_not_there_is_exit_status_3(tmp_path: Path) -> None:
    ran = await drydock("scan", f"oci:{tmp_path}/none:1", "--format", "json", "--data", str(tmp_path))
    assert (ran.status, ran.stdout) == (3, "")
    assert ran.error["reason"]
    assert ran.error["message"]


async def test_scanning_at_a_registry_that_is_not_there_is_exit_status_3(tmp_path: Path) -> None:
    ran = await drydock("scan", "127.0.0.1:1/app:1.0", "--plain-http", "--data", str(tmp_path))
    assert ran.status == 3
    assert "REGISTRY_UNREACHABLE" in ran.stderr


async def test_advisories_that_a_worker_cannot_read_are_the_reason_told(layout: str, tmp_path: Path) -> None:
    path = AdvisoryFiles(tmp_path).ensure()
    path.chmod(0o644)
    path.write_bytes(bytes(path.stat().st_size))
    ran = await drydock("scan", layout, "--format", "json", "--data", str(tmp_path))
    assert (ran.status, ran.stdout) == (3, "")
    assert ran.error["reason"] == "ADVISORIES_UNREADABLE"


@pytest.fixture
def layout(tmp_path: Path) -> str:
    """An image with one package that the sample has advisories for."""
    metadata = "Metadata-Version: 2.1\nName: Jinja2\nVersion: 2.10\n\n"
    path = "usr/lib/python3/dist-packages/Jinja2-2.10.dist-info/METADATA"
    base = LayerBuilder().file("etc/os-release", 'ID=debian\nVERSION_ID="12"\n').build()
    app = LayerBuilder().file(path, metadata).build()
    write_layout(tmp_path / "layout", {"1.0": build_image([base, app])})
    return f"oci:{tmp_path}/layout:1.0"


async def test_scan_shows_findings_coverage_and_the_warning_about_the_sample(layout: str, tmp_path: Path) -> None:
    ran = await drydock("scan", layout, "--data", str(tmp_path))
    assert ran.status == 0
    assert "CVE-2019-10906" in ran.stdout
    assert "SAMPLE_ADVISORIES" in ran.stdout
    assert ran.stderr == ""


async def test_the_gate_fails_on_what_is_bad_enough(layout: str, tmp_path: Path) -> None:
    ran = await drydock("scan", layout, "--data", str(tmp_path), "--fail-on", "medium")
    assert ran.status == 1
    assert "GATE_FAILED" in ran.stderr


async def test_the_gate_cannot_decide_where_advisories_are_missing(tmp_path: Path) -> None:
    base = LayerBuilder().file("etc/os-release", "ID=unheard-of\n").build()
    write_layout(tmp_path / "layout", {"1.0": build_image([base])})
    ran = await drydock("scan", f"oci:{tmp_path}/layout", "--data", str(tmp_path), "--fail-on", "critical")
    assert ran.status == 5


@pytest.mark.parametrize(
    ("files", "status", "reason"),
    [
        ({}, 0, ""),
        ({"etc/os-release": 'ID=rhel\nVERSION_ID="9.4"\n'}, 5, "NO_ADVISORIES"),
        ({"etc/os-release": 'ID=debian\nVERSION_ID="12"\n'}, 5, "NO_ADVISORIES"),
        ({"srv/y-1.dist-info/METADATA": "Metadata-Version: 2.1\n\n"}, 5, "PACKAGE_RECORD_BROKEN"),
        ({"app/node_modules/lodash/package.json": '{"version": "4.17.15"}'}, 5, "NO_ADVISORIES"),
        ({"app/deno.lock": "{}"}, 5, "ECOSYSTEM_NOT_READ"),
        ({"usr/bin/tool": b"\x7fELF" + bytes(3 << 20) + b"\xff Go buildinf:"}, 5, "ECOSYSTEM_NOT_READ"),
        ({"usr/share/vendored.js": "let x;", "app/requirements.txt": "y==1"}, 0, ""),
    ],
)
async def test_the_gate_passes_only_what_was_read_and_judged_in_full(
    tmp_path: Path, files: dict[str, str | bytes], status: int, reason: str
) -> None:
    today = datetime.now(UTC).isoformat()
    known = record("CVE-1-1", affected("PyPI", "x", *before("2")), modified=today)
    advisories = write_zip(tmp_path / "all.zip", [known])
    layer = LayerBuilder().file("srv/x-3.dist-info/METADATA", "Metadata-Version: 2.1\nName: x\nVersion: 3\n\n")
    for path, content in files.items():
        layer = layer.file(path, content)
    write_layout(tmp_path / "layout", {"1.0": build_image([layer.build()])})
    arguments = ["--advisories", str(advisories), "--data", str(tmp_path), "--format", "json"]
    ran = await drydock("scan", f"oci:{tmp_path}/layout", "--fail-on", "critical", *arguments)
    assert (ran.status, ran.json["summary"]["coverage_reason"]) == (status, reason)


async def test_the_gate_cannot_decide_on_an_image_of_packages_that_are_not_read(tmp_path: Path) -> None:
    layer = LayerBuilder().file("app.pex", b"PK").file("vendor/x.pex", b"PK").build()
    write_layout(tmp_path / "layout", {"1.0": build_image([layer])})
    ran = await drydock("scan", f"oci:{tmp_path}/layout", "--data", str(tmp_path), "--fail-on", "high")
    assert ran.status == 5
    assert "Packages of PyPI were seen and not read: 2 files tell of them (/app.pex)." in ran.stderr


async def test_a_malicious_package_is_told_as_a_malicious_sample(layout: str, tmp_path: Path) -> None:
    known = record("MAL-2026-1", affected("PyPI", "jinja2", versions=["2.10"]))
    advisories = write_zip(tmp_path / "all.zip", [known])
    arguments = ["--advisories", str(advisories), "--data", str(tmp_path), "--fail-on", "critical"]
    ran = await drydock("scan", layout, *arguments, "--format", "json")
    assert ran.status == 1
    (finding,) = ran.json["findings"]
    assert (finding["kind"], finding["package"]["name"]) == ("MALICIOUS_SAMPLE", "Jinja2")
    assert ran.json["summary"]["by_kind"]["MALICIOUS_SAMPLE"] == 1


async def test_a_shown_severity_hides_findings_but_no_counts(layout: str, tmp_path: Path) -> None:
    everything = await drydock("scan", layout, "--data", str(tmp_path), "--format", "json")
    some = await drydock("scan", layout, "--data", str(tmp_path), "--format", "json", "--severity", "low")
    assert everything.json["findings"]
    assert {finding["severity"] for finding in some.json["findings"]} <= {"LOW"}
    assert some.json["summary"] == everything.json["summary"]


@pytest.mark.parametrize(
    ("form", "mark"),
    [
        ("sarif", ("version", "2.1.0")),
        ("cyclonedx", ("specVersion", "1.6")),
        ("spdx", ("spdxVersion", "SPDX-2.3")),
    ],
)
async def test_other_programs_get_the_form_that_they_read(
    layout: str, tmp_path: Path, form: str, mark: tuple[str, str]
) -> None:
    arguments = ["--data", str(tmp_path), "--format", form, "--fail-on", "critical"]
    ran = await drydock("scan", layout, *arguments)
    assert ran.json[mark[0]] == mark[1]
    assert "Jinja2" in ran.stdout
    assert ran.status == 5  # whatever the format
    assert "[NO_ADVISORIES]" in ran.stderr


async def test_the_json_report_meets_its_schema(layout: str, tmp_path: Path) -> None:
    import jsonschema

    schema = json.loads((Path(__file__).parents[2] / "docs" / "report.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    ran = await drydock("scan", layout, "--data", str(tmp_path), "--format", "json")
    jsonschema.validate(ran.json, schema, jsonschema.Draft202012Validator)
    age = datetime.now(UTC) - datetime.fromisoformat(ran.json["scanned_at"])
    assert timedelta() <= age < timedelta(minutes=5)
    assert ran.json["findings"]
    assert ran.json["inventory"]["packages"]
    assert ran.json["warnings"]
