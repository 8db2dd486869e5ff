"""A damaged layer ends in an analysis or a reason, however it is compressed."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.reasons import ScanFailure
from services.layers.limits import LayerLimits
from services.scanner.layers.analyse import analyse_layer
from services.scanner.layers.analysis import decode_analysis
from tests.builders.tars import END, long_name, pax_header, tar_file, tar_header
from tests.fuzz.damage import damaged
from tests.fuzz.samples import SAMPLES

LIMITS = LayerLimits(uncompressed_bytes=8 << 20, expansion_free_bytes=4 << 20, entries=1_000)
TAR = b"".join(
    (
        *(tar_file(path.encode(), content) for samples in SAMPLES.values() for path, content in samples),
        pax_header((b"path", b"p" * 120)) + tar_file(b"a", b"x" * 600),
        long_name(b"n" * 130) + tar_header(b"l", flag=b"2", target=b"../../t"),
        tar_header(b"h", flag=b"1", target=b"etc/os-release"),
        tar_header(b"s", flag=b"S"),
        tar_header(b"var/lib/.wh..wh..opq"),
        tar_header(b"etc/.wh.passwd"),
        END,
    )
)
STORED = {"plain": TAR, "gzip": gzip.compress(TAR, 1), "zstd": zstandard.compress(TAR)}


@pytest.mark.parametrize("form", STORED)
@given(data=st.data())
def test_damage_ends_in_an_analysis_or_a_reason(form: str, data: st.DataObject) -> None:
    ends_well(data.draw(damaged(STORED[form])))


@given(data=st.data())
def test_damage_below_right_checksums_ends_the_same(data: st.DataObject) -> None:
    content = bytearray(data.draw(damaged(TAR)))
    for start in range(0, len(content) - 512, 512):
        block = content[start : start + 512]
        if block[257:262] == b"ustar":
            block[148:156] = b" " * 8
            content[start + 148 : start + 156] = b"%06o\0 " % sum(block)
    ends_well(bytes(content))


def ends_well(content: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        try:
            decode_analysis(analyse_layer(str(Path(file.name)), media_type="", limits=LIMITS))
        except ScanFailure as failure:
            assert failure.message
