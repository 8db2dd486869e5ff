"""Layers as files, tar headers written by hand, and a cataloger small enough to see through."""

from __future__ import annotations

from pathlib import Path

from services.kernel.model.report import ReportWarning
from services.lab.layer import BuiltLayer, Compression, LayerBuilder
from services.layers.decompress import open_layer
from services.layers.limits import LayerLimits
from services.layers.tar import TarEntry, TarWalker
from services.scanner.catalogers.interface import Cataloger, Evidence, FoundPackage, PackageFormat
from services.scanner.layers.analyse import analyse_layer
from services.scanner.layers.analysis import LayerAnalysis, decode_analysis

BLOCK = 512
END = bytes(2 * BLOCK)


class LineCataloger(Cataloger):
    """Every line of a file called `packages` is `NAME VERSION`."""

    name = "lines"
    version = 1
    max_bytes = 1 << 16

    def wants(self, path: str) -> bool:
        return path.rpartition("/")[2] == "packages"

    def read(self, path: str, content: bytes) -> Evidence:
        packages, warnings = [], []
        for line in content.decode("utf-8", "replace").splitlines():
            name, _, version = line.partition(" ")
            if version:
                packages.append(FoundPackage(format=PackageFormat.PYPI, name=name, version=version))
            else:
                warnings.append(ReportWarning(code="PACKAGE_RECORD_BROKEN", message=line, path=path))
        return Evidence(path=path, cataloger=self.name, packages=tuple(packages), warnings=tuple(warnings))


def tar_header(
    name: bytes = b"file",
    *,
    flag: bytes = b"0",
    size: int | bytes = 0,
    target: bytes = b"",
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
    signed: bool = False,
) -> bytes:
    """One tar header; a size in bytes is written as it stands."""
    field = size if isinstance(size, bytes) else b"%011o\0" % size
    head = bytearray(BLOCK)
    for start, value in (
        (0, name[:100]),
        (100, b"0000644\0"),
        (124, field),
        (136, b"00000000000\0"),
        (148, b" " * 8),
        (156, flag),
        (157, target[:100]),
        (257, magic),
        (345, prefix),
    ):
        head[start : start + len(value)] = value
    total = sum(byte - 256 if signed and byte > 127 else byte for byte in head)
    head[148:156] = b"%06o\0 " % total
    return bytes(head)


def padded(content: bytes) -> bytes:
    """The content filled up to whole blocks."""
    return content + bytes(-len(content) % BLOCK)


def tar_file(name: bytes, content: bytes) -> bytes:
    """Header and content of a regular file."""
    return tar_header(name, size=len(content)) + padded(content)


def pax_header(*records: tuple[bytes, bytes], flag: bytes = b"x") -> bytes:
    """An extended header with these records."""
    content = b"".join(_pax_record(key, value) for key, value in records)
    return tar_header(b"PaxHeaders/x", flag=flag, size=len(content)) + padded(content)


def long_name(name: bytes, flag: bytes = b"L") -> bytes:
    """A GNU header with the name, or with flag `K` the link target, of the entry after it."""
    content = name + b"\0"
    return tar_header(b"././@LongLink", flag=flag, size=len(content)) + padded(content)


def layer_file(folder: Path, layer: BuiltLayer | bytes) -> Path:
    """The layer as a file."""
    path = folder / "layer"
    path.write_bytes(layer if isinstance(layer, bytes) else layer.content)
    return path


def analysis_of(
    folder: Path, layer: BuiltLayer | LayerBuilder | bytes, limits: LayerLimits | None = None
) -> LayerAnalysis:
    """What `analyse_layer` tells of a layer with the cataloger from here."""
    built = layer.build(Compression.NONE) if isinstance(layer, LayerBuilder) else layer
    path = layer_file(folder, built)
    encoded = analyse_layer(str(path), media_type="", limits=limits or LayerLimits(), catalogers=[LineCataloger()])
    return decode_analysis(encoded)


def walked(folder: Path, content: bytes, limits: LayerLimits | None = None) -> list[tuple[TarEntry, bytes]]:
    """Every entry of a plain tar with its content."""
    limits = limits or LayerLimits()
    with open_layer(layer_file(folder, content), "", limits) as reader:
        walker = TarWalker(reader, limits)
        return [(entry, walker.content()) for entry in walker]


def _pax_record(key: bytes, value: bytes) -> bytes:
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while length != len(str(length)) + len(rest):
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest
