"""`drydock demo` from its beginning to its end, as a newcomer runs it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.kernel.embedded.account import root_home_of
from tests.commandline import drydock

pytestmark = pytest.mark.slow


async def test_the_demo_shows_one_scan_from_push_to_notification_and_leaves_nothing(tmp_path: Path) -> None:
    ran = await drydock("demo", env={"TMPDIR": str(tmp_path)}, seconds=110)
    assert (ran.status, ran.stderr) == (0, "")
    told = [line.split() for line in ran.stdout.splitlines()]
    words = [line[2] for line in told if len(line) > 2 and line[1] == "s"]
    wanted = ["pushed", "noticed", "status", "judged", "told"]
    assert [word for word in dict.fromkeys(words) if word in wanted] == wanted
    assert ["status", "COMPLETE"] in [line[2:4] for line in told]
    assert "scan.completed" in ran.stdout
    assert "eicar-test-file" in ran.stdout
    assert "/root/.aws/credentials (deleted)" in ran.stdout
    assert "4HZQTWNYBLK73RDV" not in ran.stdout
    assert "drydock up" in ran.stdout
    assert list(tmp_path.iterdir()) == []
    (folder,) = re.findall(r"in (\S+), a folder of the demo's own", ran.stdout)
    assert Path(folder).parent == tmp_path
    assert not root_home_of(Path(folder)).exists()


async def test_the_demo_of_a_fix_goes_from_push_to_proof_and_leaves_nothing(tmp_path: Path) -> None:
    ran = await drydock("demo", "--fix", env={"TMPDIR": str(tmp_path)}, seconds=110)
    assert (ran.status, ran.stderr) == (0, "")
    told = [line.split() for line in ran.stdout.splitlines()]
    words = [line[2] for line in told if len(line) > 2 and line[1] == "s"]
    wanted = ["pushed", "scanned", "planned", "asked", "proven"]
    assert [word for word in dict.fromkeys(words) if word in wanted] == wanted
    assert "NO_FIXED_VERSION" in ran.stdout
    assert "37 fixed, 1 not fixable, 0 new" in ran.stdout
    assert "attached vex linux/amd64" in ran.stdout
    assert list(tmp_path.iterdir()) == []
