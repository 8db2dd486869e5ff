"""A template that is a fork of the program keeps every promise of one that is an interpreter of its own.

Each test forks an interpreter that was begun for it: the suite's has threads of gRPC, and for what they held at
that moment a worker would wait for ever.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from functools import partial
from inspect import signature
from pathlib import Path

import pytest

from services.kernel.workers.forked import fork_template
from services.kernel.workers.pool import WorkerPool
from tests.unit.kernel import test_workers

PROMISES = [name for name, test in vars(test_workers).items() if "pool" in getattr(test, "__annotations__", ())]


def run_alone(function: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Calls a function of this file in an interpreter of its own."""
    call = f"from {__name__} import {function}; {function}(*{arguments!r})"
    return subprocess.run([sys.executable, "-c", call], capture_output=True, text=True, timeout=60, check=False)


def keep(promise: str, folder: str) -> None:
    test = getattr(test_workers, promise)
    given = {"pool": a_pool(), "tmp_path": Path(folder)}
    asyncio.run(test(**{name: given[name] for name in signature(test).parameters}))


def a_pool(*later: str) -> WorkerPool:
    return WorkerPool(partial(fork_template, (), later), processes=1, memory_bytes=1 << 30)


@pytest.mark.parametrize("promise", PROMISES)
def test_a_fork_keeps_the_promise(promise: str, tmp_path: Path) -> None:
    ended = run_alone("keep", promise, str(tmp_path))
    assert ended.returncode == 0, ended.stderr


def test_an_idle_worker_imports_what_is_needed_later() -> None:
    ended = run_alone("import_later")
    assert ended.returncode == 0, ended.stderr


def import_later() -> None:
    async def until_known() -> None:
        pool = a_pool("wave")
        assert not await pool.run(20, test_workers.knows, "wave")
        async with asyncio.timeout(20):
            while not await pool.run(20, test_workers.knows, "wave"):
                await asyncio.sleep(0.1)

    asyncio.run(until_known())


def test_a_process_with_threads_is_not_forked() -> None:
    ending = threading.Event()
    thread = threading.Thread(target=ending.wait)
    thread.start()
    try:
        with pytest.raises(RuntimeError):
            fork_template(())
    finally:
        ending.set()
        thread.join()


def test_a_template_that_cannot_import_says_why() -> None:
    ended = run_alone("import_nothing")
    assert ended.returncode == 0, ended.stderr
    assert "No module named 'no'" in ended.stderr


def import_nothing() -> None:
    template = fork_template(("no.such.module",))
    worker = template.start_worker(1 << 30)
    assert worker.poll(10)
    with pytest.raises(EOFError):
        worker.recv()
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)  # our own end would cut it short
