"""Layers that are large by their bytes or by their entries: how long they take, and in how much memory."""

from __future__ import annotations

import asyncio
import json
import random
import resource
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import RawIOBase
from pathlib import Path
from typing import Final

from isal import igzip

from services.layers.decompress import open_layer
from services.layers.limits import LayerLimits
from services.scanner.layers.analyse import analyse_layer
from tests.benchmarks.figures import Figure, Result

_ROUNDS: Final = 3
_BYTES: Final = 4 << 30
_RANDOM_BYTES: Final = 256 << 20
_ENTRIES: Final = 3_000_000
_PIECE: Final = 1 << 20
_LINE: Final = b"2026-01-01 INFO request id=%d path=/api/v1/items status=200\n"
_MEDIA_TYPE: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
_LIMITS: Final = LayerLimits()
_STATUS: Final = b"Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2.15-2+b7\n\n"


async def measure() -> Result:
    """Makes both layers and reads each in a process of its own; takes about four minutes."""
    with tempfile.TemporaryDirectory(prefix="drydock-bench-") as folder:
        large, many = Path(folder) / "large.tar.gz", Path(folder) / "many.tar.gz"
        _write_large(large)
        _write_many(many)
        rounds = [
            (await _in_process("unpack", large), await _in_process("analyse", large)) for _ in range(_ROUNDS)
        ]
        crowded = await _in_process("analyse", many)
    return Result(
        question=(
            "A layer of 4.3 GB, packages only, against decompressing and hashing it alone; and one of "
            f"{_ENTRIES:,} empty files. Memory is the peak of the process, interpreter and all."
        ),
        figures=(
            Figure(
                what="4.3 GB: read / decompressed and hashed",
                rounds=tuple(alone["seconds"] / whole["seconds"] for alone, whole in rounds),
                bar=">= 0.8",
            ),
            Figure(
                what="4.3 GB: peak memory",
                rounds=tuple(whole["megabytes"] for _, whole in rounds),
                unit="MB",
                bar="<= 200",
            ),
            Figure(what=f"{_ENTRIES:,} entries: read", rounds=(crowded["seconds"],), unit="s"),
            Figure(
                what=f"{_ENTRIES:,} entries: peak memory",
                rounds=(crowded["megabytes"],),
                unit="MB",
                bar="<= 512",
            ),
        ),
    )


async def _in_process(what: str, path: Path) -> dict[str, float]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, what, str(path), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    found: dict[str, float] = json.loads(said)
    return found


class _Content(RawIOBase):
    """So many bytes of a repeated piece, or of noise."""

    def __init__(self, size: int, piece: bytes | None) -> None:
        self._left = size
        self._piece = piece
        self._random = random.Random(1)

    def read(self, size: int = -1) -> bytes:
        """Gives the next ones."""
        count = min(self._left, _PIECE if size < 0 else size)
        self._left -= count
        return self._random.randbytes(count) if self._piece is None else self._piece[:count]


def _write_large(path: Path) -> None:
    zeros, text = bytes(_PIECE), (_LINE * (_PIECE // len(_LINE) + 1))[:_PIECE]
    with _archive(path) as tar:
        _add(tar, "etc/os-release", 25, b'ID=debian\nVERSION_ID="12"\n')
        _add(tar, "var/lib/dpkg/status", len(_STATUS), _STATUS)
        _add(tar, "data/half.bin", _BYTES // 2, zeros)
        _add(tar, "data/random.bin", _RANDOM_BYTES, None)
        rest = (_BYTES // 2 - _RANDOM_BYTES) // 2_000
        for number in range(2_000):
            _add(tar, f"data/{number // 100}/{number}.log", rest, text)


def _write_many(path: Path) -> None:
    with _archive(path) as tar:
        for number in range(_ENTRIES):
            tar.addfile(tarfile.TarInfo(f"srv/{number // 1000}/{number}"))


@contextmanager
def _archive(path: Path) -> Iterator[tarfile.TarFile]:
    gzip = igzip.IGzipFile(path, "wb", compresslevel=1)  # type: ignore[no-untyped-call]  # its stub has no types
    with gzip as file, tarfile.open(fileobj=file, mode="w|", bufsize=_PIECE) as tar:
        yield tar


def _add(tar: tarfile.TarFile, name: str, size: int, piece: bytes | None) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = size
    tar.addfile(entry, _Content(size, piece))


def _unpack(path: Path) -> None:
    with open_layer(path, _MEDIA_TYPE, _LIMITS) as reader:
        reader.drain()
        reader.diff_id()


def _analyse(path: Path) -> None:
    analyse_layer(str(path), media_type=_MEDIA_TYPE, limits=_LIMITS)


def _timed(what: str, path: Path) -> dict[str, float]:
    began = time.perf_counter()
    {"unpack": _unpack, "analyse": _analyse}[what](path)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


if __name__ == "__main__":
    print(json.dumps(_timed(sys.argv[1], Path(sys.argv[2]))))
