"""A run of Trivy: whatever the program does, it ends, with a reason of its own and nothing left of it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
import uvloop

from services.kernel.reasons import Reason, ScanFailure
from services.scanner.trivy.run import run_trivy
from tests.builders.trivy import fake_trivy

FATAL = "2026-01-01T00:00:00Z\\tFATAL\\tFatal error\\trun error: "


async def run(folder: Path, body: str, *arguments: str, seconds: float = 20) -> str:
    program = fake_trivy(folder, body)
    return await run_trivy([program, "image", *arguments], {"PATH": os.defpath}, folder, seconds)


@pytest.mark.parametrize(
    ("body", "why", "says"),
    [
        ("echo no luck >&2; exit 3", Reason.TRIVY_FAILED, "ended with status 3: no luck"),
        ("exit 1", Reason.TRIVY_FAILED, "ended with status 1."),
        ("kill -9 $$", Reason.TRIVY_KILLED, "killed by SIGKILL"),
        ("kill -11 $$", Reason.TRIVY_KILLED, "SIGSEGV"),
        (
            'printf "unexpected fault address 0x7f\\nfatal error: fault\\n\\nmain.go:19 +0x1f\\n" >&2; exit 2',
            Reason.TRIVY_FAILED,
            "ended with status 2: unexpected fault address",
        ),
        (
            f"printf \"{FATAL}'--skip-java-db-update' cannot be specified on the first run\\n\" >&2; exit 1",
            Reason.TRIVY_JAVA_DATABASE_MISSING,
            "Java archives",
        ),
        (
            f'printf "{FATAL}error in vulnerability DB initialize: invalid database\\n" >&2; exit 1',
            Reason.TRIVY_DATABASE_BROKEN,
            "invalid database",
        ),
    ],
)
async def test_every_bad_end_has_its_reason(tmp_path: Path, body: str, why: Reason, says: str) -> None:
    with pytest.raises(ScanFailure) as caught:
        await run(tmp_path, body)

    assert caught.value.why is why
    assert says in caught.value.message


async def test_a_server_that_is_away_is_told_apart(tmp_path: Path) -> None:
    body = f'printf "{FATAL}Post http://127.0.0.1:1/twirp: connect: connection refused\\n" >&2; exit 1'

    for arguments, why in ((("--server", "http://127.0.0.1:1"), "TRIVY_SERVER_UNREACHABLE"), ((), "TRIVY_FAILED")):
        with pytest.raises(ScanFailure) as caught:
            await run(tmp_path, body, *arguments)
        assert caught.value.reason == why


async def test_a_program_that_is_none_is_missing(tmp_path: Path) -> None:
    (tmp_path / "trivy").write_bytes(b"\x7fELF and no more")
    (tmp_path / "trivy").chmod(0o755)

    with pytest.raises(ScanFailure) as caught:
        await run_trivy([tmp_path / "trivy"], {}, tmp_path, 5)

    assert caught.value.why is Reason.TRIVY_MISSING


async def test_one_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    body = f"sleep 300 & echo $! >{tmp_path}/child; echo still here >&2; wait"

    with pytest.raises(ScanFailure) as caught:
        await run(tmp_path, body, seconds=0.5)

    assert caught.value.why is Reason.TRIVY_TIMED_OUT
    assert "still here" in caught.value.message
    await gone(int((tmp_path / "child").read_text()))


async def test_cancelling_kills_it_too(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ready")
    body = f"sleep 300 & echo $! >{tmp_path}/ready; wait"
    running = asyncio.create_task(run(tmp_path, body))
    child = int(await asyncio.to_thread((tmp_path / "ready").read_text))

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    await gone(child)


async def test_a_child_that_outlives_it_holds_nothing_up(tmp_path: Path) -> None:
    said = await run(tmp_path, f"sleep 300 & echo $! >{tmp_path}/child; echo done >&2; exit 0")

    assert said == "done\n"
    await gone(int((tmp_path / "child").read_text()))


async def test_of_endless_words_the_beginning_and_the_end_are_kept(tmp_path: Path) -> None:
    said = await run(tmp_path, "echo first >&2; yes | head -c 5000000 >&2; echo last >&2")

    assert said.startswith("first\n")
    assert said.endswith("last\n")
    assert len(said) < 200_000


def test_it_is_the_same_on_the_loop_that_servers_have(tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(run(tmp_path, "sleep 300 & echo done >&2; exit 0")) == "done\n"
        with pytest.raises(ScanFailure) as caught:
            runner.run(run(tmp_path, "sleep 300", seconds=0.2))

    assert caught.value.why is Reason.TRIVY_TIMED_OUT


async def test_words_of_the_image_are_fit_to_be_shown(tmp_path: Path) -> None:
    with pytest.raises(ScanFailure) as caught:
        await run(tmp_path, "printf 'bad \\033[2J\\377 thing\\n' >&2; exit 1")

    assert caught.value.message.isprintable()
    assert "thing" in caught.value.message


async def gone(process: int) -> None:
    """Waits until a process is dead: a zombie, or no longer there."""
    async with asyncio.timeout(10):
        while await asyncio.to_thread(_lives, process):
            await asyncio.sleep(0.01)


def _lives(process: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
