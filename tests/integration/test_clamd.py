"""clamd itself, with a signature of ours: a planted image is scanned with it, through it and past it."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.lab.image import build_image, write_layout
from services.lab.layer import LayerBuilder
from services.scanner.advisories.files import AdvisoryFiles
from services.scanner.inspectors.clamd import Clamd, ClamdFailed, Question, release_of
from tests.builders.malware import zipped
from tests.commandline import drydock

CLAMD = shutil.which("clamd", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CLAMD is None, reason="there is no clamd on this machine")]

MARKER = b"drydock-clamd-marker-7f1c"
PATIENCE_SECONDS = 30
CONF = """
LocalSocket {folder}/clamd.sock
DatabaseDirectory {folder}/signatures
TemporaryDirectory {folder}
Foreground true
StreamMaxLength 1M
"""


@pytest.fixture
def clamd(tmp_path: Path) -> Iterator[str]:
    """The socket of a clamd that knows one signature."""
    assert CLAMD is not None
    (tmp_path / "signatures").mkdir()
    (tmp_path / "signatures" / "own.ndb").write_text(f"Drydock.Test.Marker:0:*:{MARKER.hex()}\n")
    (tmp_path / "clamd.conf").write_text(CONF.format(folder=tmp_path))
    with (
        (tmp_path / "clamd.out").open("wb") as out,
        subprocess.Popen([CLAMD, "-c", str(tmp_path / "clamd.conf")], stdout=out, stderr=out) as process,
    ):
        try:
            address, until = str(tmp_path / "clamd.sock"), time.monotonic() + PATIENCE_SECONDS
            while not _answers(address):
                assert process.poll() is None, (tmp_path / "clamd.out").read_text()
                assert time.monotonic() < until
            yield address
        finally:
            process.terminate()


def _answers(address: str) -> bool:
    try:
        return release_of(Clamd(address=address)).startswith("ClamAV ")
    except ClamdFailed:
        return False


@pytest.fixture
def planted(tmp_path: Path) -> str:
    layer = (
        LayerBuilder()
        .file("etc/os-release", 'ID=debian\nVERSION_ID="12"\n')
        .file("opt/bad", b"\x7fELF" + MARKER)
        .file("opt/good", "good")
        .file("opt/bad.zip", zipped(**{"x": MARKER}))
        .file("opt/large", b"\1\2" * (1 << 20))
    )
    write_layout(tmp_path / "image", {"1.0": build_image([layer.build()], config={"config": {"User": "app"}})})
    AdvisoryFiles(tmp_path / "data").ensure()
    return f"oci:{tmp_path}/image:1.0"


async def scanned(planted: str, tmp_path: Path, clamd: str) -> dict[str, list[dict[str, str]]]:
    options = ("--data", str(tmp_path / "data"), "--format", "json", "--kind", "malicious")
    done = await drydock("scan", planted, *options, env={"DRYDOCK_CLAMD": clamd})
    assert done.status == 0, done.stderr
    report: dict[str, list[dict[str, str]]] = json.loads(done.stdout)
    return report


async def test_what_clamd_knows_is_found_and_what_it_does_not_take_is_told(
    planted: str, tmp_path: Path, clamd: str
) -> None:
    report = await scanned(planted, tmp_path, clamd)
    found = {each["path"]: each for each in report["findings"]}
    assert set(found) == {"/opt/bad", "/opt/bad.zip"}
    assert {each["id"] for each in found.values()} == {"Drydock.Test.Marker.UNOFFICIAL"}
    assert all(each["layer"].startswith("sha256:") and each["sha256"] for each in found.values())
    told = [each for each in report["warnings"] if each["code"].startswith("CLAMD")]
    assert [(each["code"], each.get("path")) for each in told] == [("CLAMD_LIMIT", "/opt/large")]
    assert "StreamMaxLength" in told[0]["message"]


async def test_without_clamd_the_report_says_that_nobody_looked(planted: str, tmp_path: Path) -> None:
    report = await scanned(planted, tmp_path, str(tmp_path / "nobody"))
    told = [each["code"] for each in report["warnings"] if each["code"].startswith("CLAMD")]
    assert told == ["CLAMD_UNAVAILABLE"]


def test_it_takes_a_file_in_pieces_and_forgets_one_that_is_given_up(clamd: str) -> None:
    daemon = Clamd(address=clamd, seconds=20)
    with Question(daemon) as given_up:
        given_up.send(b"half of")
    with Question(daemon) as question:
        for piece in (MARKER[:9], b"", MARKER[9:]):
            question.send(piece)
        assert question.verdict() == "Drydock.Test.Marker.UNOFFICIAL"
