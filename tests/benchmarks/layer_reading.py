"""Reading a large layer, held against what decompressing and hashing it costs alone.

`python -m tests.benchmarks.layer_reading` makes two layers of more than 200 MB gzip, an ordinary one and one with
a pax header on each entry, reads each in rounds, and prints the ratios: 1.0 would be a walker, catalogers and
searches that cost nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import statistics
import struct
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Final

from isal import igzip

from services.scanner.layers.analyse import analyse_layer
from services.scanner.layers.analysis import decode_analysis
from services.scanner.layers.decompress import open_layer
from services.scanner.layers.limits import LayerLimits

GATE: Final = 0.8
ROUNDS: Final = 7
_FILES: Final = 20_000
_POOL_BYTES: Final = 32 << 20
_LETTERS: Final = b"etaoinshrdlucmfwypvbgkjqxz_.(){}\n"
_ELF: Final = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
_MEDIA_TYPE: Final = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How fast a layer is read, as a part of the speed of decompressing and hashing it; one for each round."""

    name: str
    stored: int
    uncompressed: int
    entries: int
    wall: tuple[float, ...]
    cpu: tuple[float, ...]
    """Of the thread that decompresses and walks; the hash has a thread of its own."""
    megabytes_per_second: float
    """Uncompressed, median."""

    def __str__(self) -> str:
        """One line, for people."""
        low, high = min(self.wall), max(self.wall)
        return (
            f"{self.name}: {self.value:.2f} of decompressing and hashing ({low:.2f} to {high:.2f} in "
            f"{len(self.wall)} rounds; CPU time {statistics.median(self.cpu):.2f}), "
            f"{self.megabytes_per_second:.0f} MB/s; {self.stored / 1e6:.0f} MB stored, "
            f"{self.uncompressed / 1e6:.0f} MB in {self.entries} entries"
        )

    @property
    def value(self) -> float:
        """The median of the wall times' ratios."""
        return statistics.median(self.wall)


def measure(rounds: int = ROUNDS) -> tuple[Ratio, ...]:
    """Makes the layers and measures them; takes about two minutes."""
    with tempfile.TemporaryDirectory(prefix="drydock-bench-") as folder:
        return tuple(_measured(name, path, rounds) for name, path in _layers(Path(folder)))


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


def _measured(name: str, path: Path, rounds: int) -> Ratio:
    path.read_bytes()  # into the page cache
    works: tuple[Callable[[Path], object], ...] = (_unpack, _analyse)
    analysis = decode_analysis(_analyse(path))
    wall: list[float] = []
    cpu: list[float] = []
    seconds: list[float] = []
    for number in range(rounds):
        took = {work: _timed(work, path) for work in (works if number % 2 else works[::-1])}
        (wall_alone, cpu_alone), (wall_whole, cpu_whole) = took[_unpack], took[_analyse]
        wall.append(wall_alone / wall_whole)
        cpu.append(cpu_alone / cpu_whole)
        seconds.append(wall_whole)
    return Ratio(
        name=name,
        stored=path.stat().st_size,
        uncompressed=analysis.uncompressed_size,
        entries=analysis.entries,
        wall=tuple(wall),
        cpu=tuple(cpu),
        megabytes_per_second=analysis.uncompressed_size / 1e6 / statistics.median(seconds),
    )


def _timed(work: Callable[[Path], object], path: Path) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.thread_time()
    work(path)
    return time.perf_counter() - wall, time.thread_time() - cpu


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


def main() -> None:
    """Prints a line for each layer; ends with 1 when a ratio is below the gate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    ratios = measure(parser.parse_args().rounds)
    for ratio in ratios:
        print(ratio)
    raise SystemExit(any(ratio.value < GATE for ratio in ratios))


if __name__ == "__main__":
    main()
