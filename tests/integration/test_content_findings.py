"""A planted image through `drydock scan`: all four kinds, each at its place, and no secret in anything printed."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from services.lab.image import build_image, write_layout
from services.lab.layer import LayerBuilder
from services.scanner.advisories.files import AdvisoryFiles
from tests.builders.malware import EICAR, zipped
from tests.commandline import drydock

pytestmark = pytest.mark.slow

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "report.schema.json").read_text())
PASSWORD = "q7Rw-TzK2m-Lx9"
KEY = "AKIA" + "4HZQTWNYBLK73RDV"
SECRETS = (PASSWORD, PASSWORD[4:], KEY, KEY[4:])


@pytest.fixture
def planted(tmp_path: Path) -> str:
    """A layout with something of everything; the secrets of the lower layer are deleted by the upper one."""
    lower = (
        LayerBuilder()
        .file("etc/os-release", 'ID=debian\nVERSION_ID="12"\n')
        .file("root/.aws/config", f"aws_access_key_id={KEY}\n")
        .file("opt/lib.zip", zipped(**{"x.txt": EICAR}))
        .file("etc/shadow", "root::19000::::::\n")
    )
    upper = LayerBuilder().whiteout("root/.aws/config").file("app/.env", f"DB_PASSWORD={PASSWORD}\n")
    image = build_image(
        [lower.build(), upper.build()],
        config={
            "config": {"Env": [f"API_TOKEN={PASSWORD}"]},
            "history": [{"created_by": f"ENV API_TOKEN={PASSWORD}"}],
        },
    )
    write_layout(tmp_path / "image", {"1.0": image})
    AdvisoryFiles(tmp_path / "data").ensure()
    return f"oci:{tmp_path}/image:1.0"


async def scanned(
    planted: str, tmp_path: Path, *options: str, env: dict[str, str] | None = None
) -> tuple[str, str, int]:
    done = await drydock("scan", planted, "--data", str(tmp_path / "data"), *options, env=env or {})
    return done.stdout, done.stderr, done.status


async def test_every_planted_thing_is_found_at_its_place(planted: str, tmp_path: Path) -> None:
    out, err, code = await scanned(planted, tmp_path, "--format", "json")
    assert code == 0, err
    report = json.loads(out)
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    found = {(each["id"], each["path"]): each for each in report["findings"]}
    assert set(found) == {
        ("aws-access-key-id", "/root/.aws/config"),
        ("eicar-test-file", "/opt/lib.zip!/x.txt"),
        ("account-empty-password", "/etc/shadow"),
        ("dotenv-secret", "/app/.env"),
        ("environment-secret", "config:/config/Env/0"),
        ("root-user", "config:/config/User"),
    }
    assert found[("aws-access-key-id", "/root/.aws/config")]["deleted"] is True
    assert "deleted" not in found[("dotenv-secret", "/app/.env")]
    assert found[("eicar-test-file", "/opt/lib.zip!/x.txt")]["sha256"].startswith("275a021b")
    assert report["summary"]["by_kind"] == {
        "SYSTEM_VULNERABILITY": 0,
        "APPLICATION_VULNERABILITY": 0,
        "BASELINE_RISK": 5,
        "MALICIOUS_SAMPLE": 1,
    }
    assert not any(secret in out + err for secret in SECRETS)


async def test_a_table_masks_and_marks(planted: str, tmp_path: Path) -> None:
    out, err, _ = await scanned(planted, tmp_path)
    assert "/root/.aws/config (deleted)" in out
    assert "AKIA********" in out
    assert not any(secret in out + err for secret in SECRETS)


async def test_only_the_kinds_that_are_asked_for_are_looked_for(planted: str, tmp_path: Path) -> None:
    out, _, _ = await scanned(planted, tmp_path, "--format", "json", "--kind", "system", "--kind", "application")
    report = json.loads(out)
    assert report["findings"] == []
    assert set(report["summary"]["by_kind"]) == {"SYSTEM_VULNERABILITY", "APPLICATION_VULNERABILITY"}
    out, _, _ = await scanned(planted, tmp_path, "--format", "json", "--kind", "malicious")
    assert [each["id"] for each in json.loads(out)["findings"]] == ["eicar-test-file"]


async def test_a_broken_rule_of_the_operator_is_told_and_the_others_work(planted: str, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "good.yar").write_text('rule Corp_Env { strings: $a = "DB_PASSWORD" condition: $a }')
    (rules / "bad.yar").write_text("rule broken {\n condition: $x }")
    out, err, code = await scanned(
        planted, tmp_path, "--format", "json", env={"DRYDOCK_SCANNER_MALWARE_RULES": str(rules)}
    )
    assert code == 0, err
    report = json.loads(out)
    assert "Corp_Env" in {each["id"] for each in report["findings"]}
    (warning,) = [each for each in report["warnings"] if each["code"] == "RULE_FILE_BROKEN"]
    assert "bad.yar, line 2" in warning["message"]
