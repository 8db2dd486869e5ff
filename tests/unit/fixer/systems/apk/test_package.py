"""Packages: the chain from the signed index over the control part to every byte of the data."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from services.fixer.failure import FixFailure, FixReason
from services.fixer.repositories.apk_identity import ApkHash, NotAnApk, apk_identity
from services.fixer.systems.apk.package import Control, open_control, open_data
from tests.builders.apk_fixes import candidate_of
from tests.builders.apks import Apk, Link, Special, signing_key

PACKAGE = Apk(
    name="curl",
    version="8.9.1-r0",
    files={
        "usr/bin/curl": Special(b"elf", mode=0o755, xattrs={"security.capability": "\x01\x02=\n\x00x"}),
        "usr/bin/link": Link("curl"),
    },
    scripts={"post-upgrade": "#!/bin/sh\nexit 0\n"},
    replaces="old-curl wcurl<2",
    replaces_priority=7,
    triggers="/a /b",
)


def opened(folder: Path, content: bytes) -> Control:
    path = folder / "package.apk"
    path.write_bytes(content)
    return open_control(path, candidate_of(PACKAGE))


@pytest.mark.parametrize("signed", [True, False])
def test_a_package_is_what_the_index_says(tmp_path: Path, signed: bool) -> None:
    control = opened(tmp_path, PACKAGE.build(signing_key() if signed else None))
    assert control.scripts == {"post-upgrade": b"#!/bin/sh\nexit 0\n"}
    assert control.triggers == ("/a", "/b")
    assert (control.replaces, control.replaces_priority) == ("old-curl wcurl<2", 7)
    assert f"apk1:{apk_identity(tmp_path / 'package.apk')}" == candidate_of(PACKAGE).checksum


def test_the_data_comes_entry_by_entry(tmp_path: Path) -> None:
    control = opened(tmp_path, PACKAGE.build())
    with open_data(tmp_path / "package.apk", control, "curl") as entries:
        found = {
            entry.path: (content.read() if content else b"", dict(entry.xattrs)) for entry, content in entries
        }
    assert list(found) == ["usr", "usr/bin", "usr/bin/curl", "usr/bin/link"]
    assert found["usr/bin/curl"] == (b"elf", {"security.capability": b"\x01\x02=\n\x00x"})


def with_flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def test_no_byte_of_control_or_data_can_be_changed(tmp_path: Path) -> None:
    content = PACKAGE.build()
    for at in range(0, len(content), 7):
        with pytest.raises(FixFailure) as failure:
            opened(tmp_path, with_flipped(content, at))
        assert failure.value.why is FixReason.PACKAGE_TAMPERED, at


def test_nothing_can_be_put_behind_or_taken_away(tmp_path: Path) -> None:
    content = PACKAGE.build()
    for changed in (content + b"\0", content + gzip.compress(b"more"), content[:-1], b"", content[:40]):
        with pytest.raises(FixFailure) as failure:
            opened(tmp_path, changed)
        assert failure.value.why is FixReason.PACKAGE_TAMPERED


def test_another_control_with_the_same_data_is_refused(tmp_path: Path) -> None:
    data = PACKAGE.data()
    other = Apk(name="curl", version="8.9.1-r0", files=PACKAGE.files, scripts={"post-upgrade": "rm -rf /\n"})
    with pytest.raises(FixFailure) as failure:
        opened(tmp_path, other.control(data) + data)
    assert failure.value.why is FixReason.PACKAGE_TAMPERED


def test_an_older_package_under_the_new_ones_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FixFailure) as failure:
        opened(tmp_path, Apk(name="curl", version="8.0-r0").build(signing_key()))
    assert failure.value.why is FixReason.PACKAGE_TAMPERED


def test_a_package_of_apk_3_is_refused_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(FixFailure, match="ADB"):
        opened(tmp_path, b"ADBd" + bytes(64))


def test_a_control_that_names_no_hash_of_its_data_is_none(tmp_path: Path) -> None:
    path = tmp_path / "package.apk"
    control = PACKAGE.control(b"").replace(b"", b"")
    plain = gzip.decompress(control).replace(b"datahash", b"nodahash")
    path.write_bytes(gzip.compress(plain) + PACKAGE.data())
    with pytest.raises(NotAnApk, match=r"no \.PKGINFO"):
        apk_identity(path)


def test_a_control_that_unpacks_to_too_much_is_none(tmp_path: Path) -> None:
    path = tmp_path / "package.apk"
    path.write_bytes(gzip.compress(bytes(17 << 20)))
    with pytest.raises(NotAnApk, match="more than"):
        apk_identity(path)


@pytest.mark.parametrize("path", ["../etc/passwd", "/etc/passwd", "usr/./x", "usr/../x", "etc/.wh.x", "a\nb"])
def test_files_that_lead_elsewhere_are_refused(tmp_path: Path, path: str) -> None:
    package = Apk(name="curl", version="8.9.1-r0", files={path: b"x"})
    file = tmp_path / "package.apk"
    file.write_bytes(package.build())
    control = open_control(file, candidate_of(package))
    with pytest.raises(FixFailure) as failure, open_data(file, control, "curl") as entries:
        list(entries)
    assert failure.value.why is FixReason.PACKAGE_INVALID


@pytest.mark.parametrize("step", [1, 3, 500])
def test_a_package_is_hashed_as_it_comes(step: int) -> None:
    content = PACKAGE.build(signing_key())
    seen = ApkHash()
    for at in range(0, len(content), step):
        seen.update(content[at : at + step])
    assert f"apk1:{seen.hexdigest()}" == candidate_of(PACKAGE).checksum
    seen.update(b"\0")
    assert not seen.hexdigest()
