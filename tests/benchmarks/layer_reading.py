"""Reading a large layer, held against what decompressing and hashing it costs alone."""

from __future__ import annotations

import random
import struct
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Final

from isal import igzip

from services.layers.decompress import open_layer
from services.layers.limits import LayerLimits
from services.scanner.layers.analyse import analyse_layer
from services.scanner.layers.analysis import decode_analysis
from tests.benchmarks.figures import Figure, Result

_ROUNDS: Final = 7
_FILES: Final = 20_000
_POOL_BYTES: Final = 32 << 20
_LETTERS: Final = b"etaoinshrdlucmfwypvbgkjqxz_.(){}\n"
_ELF: Final = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
_MEDIA_TYPE: Final = "application/vnd.oci.image.layer.v1.tar+gzip"


async def measure() -> Result:
    """Makes the layers and reads them; takes about two minutes."""
    with tempfile.TemporaryDirectory(prefix="drydock-bench-") as folder:
        figures = [figure for name, path in _layers(Path(folder)) for figure in _measured(name, path)]
    return Result(
        question=(
            f"A layer of more than 200 MB gzip with {_FILES:,} files, a third of its bytes executables': package "
            "records read, executables searched, diffID computed, as a part of the speed of decompressing it "
            "alone, and of decompressing and hashing it; 1 would be work that costs nothing."
        ),
        figures=tuple(figures),
    )


def write_layer(path: Path, *, pax: bool, files: int = _FILES) -> None:
    """Writes the layer: the same bytes every time, of which a third are executables'."""
    gzip = igzip.IGzipFile(path, "wb", compresslevel=3)  # type: ignore[no-untyped-call]  # its stub has no types
    with gzip as file, tarfile.open(fileobj=file, mode="w|") as tar:
        for entry, content in _entries(files):
            if pax:
                entry.pax_headers = {"mtime": "1700000000.123456789", "LIBARCHIVE.creationtime": "1700000000.5"}
            entry.size = len(content)
            tar.addfile(entry, BytesIO(content))


def _layers(folder: Path) -> Iterator[tuple[str, Path]]:
    for name, pax in (("ordinary", False), ("pax on each entry", True)):
        path = folder / "layer.tar.gz"
        write_layer(path, pax=pax)
        yield name, path


def _measured(name: str, path: Path) -> tuple[Figure, ...]:
    path.read_bytes()  # into the page cache
    works: tuple[Callable[[Path], object], ...] = (_decompress, _unpack, _analyse)
    size = decode_analysis(_analyse(path)).uncompressed_size
    rounds, bare = [], []
    for number in range(_ROUNDS):
        took = {work: _timed(work, path) for work in (works if number % 2 else works[::-1])}
        rounds.append((took[_unpack], took[_analyse]))
        bare.append(took[_decompress][0] / took[_analyse][0])
    return (
        Figure(what=f"{name}: read / decompressed", rounds=tuple(bare), bar=">= 0.8"),
        Figure(
            what=f"{name}: read / decompressed and hashed",
            rounds=tuple(alone[0] / whole[0] for alone, whole in rounds),
            bar=">= 0.8",
        ),
        Figure(
            what=f"{name}: the same in CPU time, of all threads",
            rounds=tuple(alone[1] / whole[1] for alone, whole in rounds),
        ),
        Figure(
            what=f"{name}: read",
            rounds=tuple(size / 1e6 / whole[0] for _, whole in rounds),
            unit="MB/s",
        ),
    )


def _timed(work: Callable[[Path], object], path: Path) -> tuple[float, float]:
    """Returns wall time and CPU time, in seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work(path)
    return time.perf_counter() - wall, time.process_time() - cpu


def _decompress(path: Path) -> None:
    """Does nothing with the bytes: the fastest way here, in one thread and one buffer."""
    buffer = bytearray(1 << 20)
    with igzip.IGzipFile(path, "rb") as file:  # type: ignore[no-untyped-call]  # its stub has no types
        while file.readinto(buffer):
            pass


def _unpack(path: Path) -> str:
    """Decompresses and computes the diffID: what has to be done whatever is read."""
    with open_layer(path, _MEDIA_TYPE, LayerLimits()) as reader:
        while reader.next_chunk():
            pass
        return reader.diff_id()


def _analyse(path: Path) -> bytes:
    return analyse_layer(str(path), media_type=_MEDIA_TYPE, limits=LayerLimits())


def _entries(files: int) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    rng = random.Random(20261123)
    text, code = _text(rng), _code(rng)
    yield _file("etc/os-release"), b'ID=debian\nVERSION_ID="12"\n'
    yield _file("var/lib/dpkg/status"), _status(rng)
    for number in range(files):
        folder = f"usr/{('lib', 'share', 'lib/python3/dist-packages')[number % 3]}/package{number // 40}"
        if number % 40 == 0:
            yield _directory(folder), b""
        kind = number % 20
        if kind == 0:
            yield _file(f"{folder}/lib{number}.so.1"), _executable(code, rng)
        elif kind == 1:
            link = _file(f"{folder}/lib{number}.so")
            link.type, link.linkname = tarfile.SYMTYPE, f"lib{number - 1}.so.1"
            yield link, b""
        elif kind == 2 and number % 100 < 20:
            metadata = f"Metadata-Version: 2.1\nName: package{number}\nVersion: 1.{number}\n\n".encode()
            yield _file(f"{folder}-1.{number}.dist-info/METADATA"), metadata + _slice(text, rng, 4_000)
        else:
            # Log-normal, as the files of distributions are: half of them below 4 kB, few above 1 MB.
            size = min(int(rng.lognormvariate(8.4, 1.9)), 8 << 20)
            yield _file(f"{folder}/module{number}.py"), _slice(text, rng, size)


def _file(path: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.mtime = 1_700_000_000
    return entry


def _directory(path: str) -> tarfile.TarInfo:
    entry = _file(path)
    entry.type = tarfile.DIRTYPE
    return entry


def _status(rng: random.Random) -> bytes:
    records = (
        f"Package: lib{number}\nStatus: install ok installed\nPriority: optional\nSection: libs\n"
        f"Installed-Size: {rng.randrange(9999)}\nArchitecture: amd64\nSource: source{number // 3}\n"
        f"Version: 1.{number}-{rng.randrange(9)}\nDepends: libc6 (>= 2.36), lib{number // 2}\n"
        f"Description: package {number}\n It is one of many.\n"
        for number in range(400)
    )
    return "\n".join(records).encode()


def _executable(code: bytes, rng: random.Random) -> bytes:
    """An ELF header with three segments, of which the middle one is code, and the bytes that it speaks of."""
    size = min(max(int(rng.lognormvariate(11.2, 1.3)), 8_192), 64 << 20)
    first, second = size // 10, size * 7 // 10
    header = struct.pack("<16sHHIQQQIHHHHHH", _ELF, 3, 62, 1, 0, 64, 0, 0, 64, 56, 3, 64, 0, 0)
    segments = ((4, 0, first), (5, first, second - first), (6, second, size - second))
    table = b"".join(
        struct.pack("<IIQQQQQQ", 1, flags, at, at, at, length, length, 4096) for flags, at, length in segments
    )
    return header + table + _slice(code, rng, size - len(header + table))


def _slice(pool: bytes, rng: random.Random, size: int) -> bytes:
    at = rng.randrange(len(pool) - min(size, len(pool) // 2))
    return pool[at : at + size]


def _text(rng: random.Random) -> bytes:
    """Words as often as words of a language are: half of the text is of some hundred of them."""
    words = [bytes(rng.choices(_LETTERS, k=rng.randrange(2, 12))) for _ in range(1_500)]
    weights = [1 / (rank + 1) for rank in range(len(words))]
    return b" ".join(rng.choices(words, weights, k=_POOL_BYTES // 7))


def _code(rng: random.Random) -> bytes:
    """Instructions as often as a compiler emits them, with operands between."""
    instructions = [rng.randbytes(rng.randrange(2, 8)) for _ in range(1_024)]
    weights = [1 / (rank + 1) for rank in range(len(instructions))]
    return b"".join(rng.choices(instructions, weights, k=_POOL_BYTES // 5))
