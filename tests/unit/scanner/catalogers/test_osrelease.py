"""Which distribution an image is, by its own word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scanner.catalogers.interface import Distribution, Evidence
from services.scanner.catalogers.systems.osrelease import OsReleaseCataloger
from services.scanner.reading.complaints import PACKAGE_RECORD_BROKEN

PATH = "etc/os-release"
UBUNTU = b"""# a comment
PRETTY_NAME="Ubuntu 22.04.3 LTS"
NAME='Ubuntu'
VERSION_ID="22.04"
VERSION_CODENAME=jammy
ID=ubuntu
ID_LIKE="debian linux"
HOME_URL=https://www.ubuntu.com/
"""


def read(content: bytes) -> Evidence:
    return OsReleaseCataloger().read(PATH, content)


def test_values_are_taken_out_of_their_quotes() -> None:
    assert read(UBUNTU) == Evidence(
        path=PATH,
        cataloger="osrelease",
        distribution=Distribution(
            id="ubuntu",
            version_id="22.04",
            codename="jammy",
            like=("debian", "linux"),
            pretty_name="Ubuntu 22.04.3 LTS",
        ),
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"ID=Debian\r\nVERSION_ID='12'\r\n", ("debian", "12")),
        (b"ID=a\nID=b\n", ("b", "")),
        (b"NAME=something\n", ("linux", "")),
        (b'  ID="al\\pine"\nVERSION_ID=3.18.4', ("alpine", "3.18.4")),
    ],
    ids=["case and carriage returns", "the last one counts", "no id", "escapes"],
)
def test_variants_that_a_shell_would_read(content: bytes, expected: tuple[str, str]) -> None:
    distribution = read(content).distribution

    assert distribution is not None
    assert (distribution.id, distribution.version_id) == expected


def test_file_without_assignments_gives_no_distribution() -> None:
    evidence = read(b"\x00\xff no assignment")

    assert evidence.distribution is None
    assert [warning.code for warning in evidence.warnings] == [PACKAGE_RECORD_BROKEN]


def test_id_that_cannot_be_one_is_told() -> None:
    evidence = read(b"ID=deb/ian\nVERSION_ID=$(x)\n")

    assert evidence.distribution == Distribution(id="linux")
    assert [warning.code for warning in evidence.warnings] == [PACKAGE_RECORD_BROKEN] * 2


@given(st.binary(max_size=300) | st.lists(st.sampled_from(UBUNTU.split(b"="))).map(b"=".join))
def test_any_bytes_give_evidence(content: bytes) -> None:
    assert isinstance(read(content), Evidence)
