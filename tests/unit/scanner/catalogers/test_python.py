"""Installed Python distributions, as wheels and as setuptools leave them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scanner.catalogers.interface import Evidence, FoundPackage, PackageFormat
from services.scanner.catalogers.python.metadata import PythonCataloger
from services.scanner.reading.complaints import PACKAGE_RECORD_BROKEN

PATH = "usr/lib/python3/site-packages/Jinja2-3.1.2.dist-info/METADATA"
METADATA = b"""Metadata-Version: 2.1
Name: Jinja2
Version: 3.1.2
Summary: A template engine
License: BSD
        Name: continued

Name: description
Version: 9
"""


def read(content: bytes) -> Evidence:
    return PythonCataloger().read(PATH, content)


@pytest.mark.parametrize(
    "content",
    [
        METADATA,
        METADATA.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + METADATA,
        METADATA.replace(b"Name: J", b"NAME:J"),
        METADATA.replace(b"Summary", b"Version: 4\nSummary"),
    ],
    ids=["as it is", "carriage returns", "byte order mark", "other case", "second version"],
)
def test_name_and_version_come_from_the_headers(content: bytes) -> None:
    evidence = read(content)

    assert evidence.packages == (FoundPackage(format=PackageFormat.PYPI, name="Jinja2", version="3.1.2"),)
    assert evidence.warnings == ()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        METADATA.replace(b"Name: Jinja2\n", b""),
        METADATA.replace(b"Version: 3.1.2\n", b""),
        METADATA.replace(b"Jinja2", b"Jin ja2"),
        METADATA.replace(b"3.1.2", b"3.1/2"),
        METADATA.replace(b"Jinja2", b"Jinja\x00"),
    ],
)
def test_metadata_without_name_or_version_is_told(content: bytes) -> None:
    evidence = read(content)

    assert evidence.packages == ()
    assert [(warning.code, warning.path) for warning in evidence.warnings] == [(PACKAGE_RECORD_BROKEN, f"/{PATH}")]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (PATH, True),
        ("x-1.dist-info/METADATA", True),
        ("opt/x-1.egg-info/PKG-INFO", True),
        ("opt/x-1.egg/EGG-INFO/PKG-INFO", True),
        ("usr/lib/python3/dist-packages/x-1.egg-info", True),
        ("METADATA", False),
        ("opt/x/METADATA", False),
        ("opt/x-1.dist-info/RECORD", False),
        ("opt/x-1.dist-info/PKG-INFO", False),
        ("opt/x-1.dist-info/licenses/METADATA", False),
    ],
)
def test_wants_metadata_wherever_it_lies(path: str, wanted: bool) -> None:
    assert PythonCataloger().wants(path) is wanted


@given(st.binary(max_size=300) | st.lists(st.sampled_from(METADATA.split(b":"))).map(b":".join))
def test_any_bytes_give_a_package_or_a_warning(content: bytes) -> None:
    evidence = read(content)

    assert bool(evidence.packages) != bool(evidence.warnings)
