"""Signatures of version 3: a real package of rpmbuild with one, from `tests/fixtures/rpm/make-v3.sh`."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.fixer.failure import FixFailure, FixReason
from services.fixer.systems.rpm.oldsignature import is_old, verify_old
from services.fixer.systems.rpm.package import check_payload, check_signature, open_package
from tests.builders.rpmdb import FIXTURES
from tests.builders.signing import signing_key

PACKAGE = FIXTURES / "v3.rpm"
KEY = (FIXTURES / "v3-key.gpg").read_bytes()


def failing(path: Path, key: bytes = KEY) -> FixReason:
    with pytest.raises(FixFailure) as caught:
        check_signature(open_package(path), [key])
    return caught.value.why


def test_a_package_with_a_signature_of_version_3_is_believed() -> None:
    package = open_package(PACKAGE)
    assert is_old(package.signatures.raw(268))
    check_signature(package, [signing_key().public, KEY])
    check_payload(package)


def test_a_changed_header_is_told_from_a_foreign_key(tmp_path: Path) -> None:
    changed = tmp_path / "changed.rpm"
    changed.write_bytes(PACKAGE.read_bytes().replace(b"made for tests", b"made for guests"[:14]))
    assert failing(changed) is FixReason.PACKAGE_TAMPERED
    assert failing(PACKAGE, signing_key().public) is FixReason.INDEX_KEY_UNKNOWN


def test_a_changed_signature_is_refused(tmp_path: Path) -> None:
    content = bytearray(PACKAGE.read_bytes())
    signature = open_package(PACKAGE).signatures.raw(268)
    content[content.index(signature) + len(signature) - 5] ^= 1
    changed = tmp_path / "changed.rpm"
    changed.write_bytes(content)
    assert failing(changed) is FixReason.PACKAGE_TAMPERED


def test_a_signature_from_before_its_key_is_refused(tmp_path: Path) -> None:
    content = PACKAGE.read_bytes()
    body = open_package(PACKAGE).signatures.raw(268)
    at = content.index(body) + body.index(b"\x03\x05") + 3
    changed = tmp_path / "changed.rpm"
    changed.write_bytes(content[:at] + bytes(4) + content[at + 4 :])
    assert failing(changed) is FixReason.INDEX_KEY_UNKNOWN


def test_no_damage_to_a_signature_is_more_than_a_failure() -> None:
    package = open_package(PACKAGE)
    signature = package.signatures.raw(268)
    start, refused = signature.index(b"\x03\x05"), 0
    # Two bytes of the hash are there to be quick with, and the number's length in bits: neither is what counts.
    places = set(range(len(signature))) - set(range(start + 17, start + 21))
    for at in places:
        damaged = signature[:at] + bytes([signature[at] ^ 0x15]) + signature[at + 1 :]
        if is_old(damaged):
            with pytest.raises(FixFailure):
                verify_old(package.signed, damaged, [KEY], what="The package")
            refused += 1
    assert refused > 200
