"""Package files: what stands before the payload, and whether all of it is what was signed (RPM V4)."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from services.fixer.failure import FixFailure, FixReason
from services.fixer.repositories.openpgp import verify_detached
from services.fixer.systems.rpm import tags
from services.fixer.systems.rpm.header import INT32, MAGIC, Header
from services.fixer.systems.rpm.oldsignature import is_old, verify_old
from services.rpmdb.faults import Damaged

_LEAD: Final = 96
_LEAD_MAGIC: Final = b"\xed\xab\xee\xdb"
_MAX_SIGNATURES: Final = 1 << 20
_MAX_HEADER: Final = 65 << 20
_CHUNK: Final = 1 << 20

# In the header of signatures, which has a numbering of its own.
_DSA: Final = 267
_RSA: Final = 268
_OPENPGP: Final = 278
_WHOLE_PGP: Final = 1002
_WHOLE_GPG: Final = 1005
_HASHES: Final = {8: "sha256", 9: "sha384", 10: "sha512"}

_AS_INSTALLED: Final = {
    1000: 257, 1002: 259, 1004: tags.SIGMD5, 1005: 262, 1007: 1046, 274: 274, 275: 275, 276: 276, 277: 277,
    269: 269, 273: 273, 267: 267, 268: 268, 270: 270, 271: 271,
}  # fmt: skip
"""Entries of the signatures that rpm takes into its database, and the tags that they get there."""


@dataclasses.dataclass(frozen=True, slots=True)
class Package:
    """What was read of a package file."""

    path: Path
    header: Header
    signatures: Header
    signed: bytes
    """The header as it was signed, with its magic."""
    payload: int
    """Where in the file it begins."""

    @property
    def title(self) -> str:
        """Name, version, release and architecture, as rpm writes them."""
        try:
            name, version, release, arch = map(
                self.header.text, (tags.NAME, tags.VERSION, tags.RELEASE, tags.ARCH)
            )
        except Damaged:
            return self.path.name
        return f"{name}-{version}-{release}.{arch}"

    def inherited(self) -> list[tuple[int, int, int, bytes]]:
        """Returns the entries that rpm takes over from the signatures when it installs."""
        found = []
        for tag, becomes in _AS_INSTALLED.items():
            if tag in self.signatures and becomes not in self.header:
                kind, count = self.signatures.kind(tag), self.signatures.count(tag)
                found.append((becomes, kind, count, self.signatures.raw(tag)))
        return found


def open_package(path: Path) -> Package:
    """Reads what stands before the payload.

    Raises:
        FixFailure: PACKAGE_INVALID.
    """
    try:
        with path.open("rb") as file:
            if file.read(_LEAD)[:4] != _LEAD_MAGIC:
                raise Damaged("does not begin as packages do")
            signatures, length = _header(file, _MAX_SIGNATURES)
            file.seek(-length % 8, 1)
            start = file.tell()
            header, length = _header(file, _MAX_HEADER)
            file.seek(start)
            return Package(path, header, signatures, file.read(length), start + length)
    except Damaged as damage:
        raise invalid(path.name, str(damage)) from damage


def _header(file: BinaryIO, at_most: int) -> tuple[Header, int]:
    preface = file.read(16)
    if len(preface) < 16 or not preface.startswith(MAGIC):
        raise Damaged("has no header where one must be")
    size = 16 * int.from_bytes(preface[8:12]) + int.from_bytes(preface[12:])
    if size > at_most:
        raise Damaged("has a header that is larger than any")
    return Header(preface[8:] + file.read(size)), 16 + size


def check_signature(package: Package, keys: Sequence[bytes]) -> None:
    """Checks that one of our keys signed the package, all of it, whatever any index says.

    Raises:
        FixFailure: INDEX_UNSIGNED, INDEX_KEY_UNKNOWN, PACKAGE_TAMPERED, PACKAGE_INVALID.
    """
    what = f"The package {package.title}"
    try:
        made = _signatures(package)
        if not made:
            raise FixFailure(
                FixReason.INDEX_UNSIGNED,
                f"Neither the repository's index nor {what.lower()} is signed.",
                hint="Name a repository that signs one of them; what nobody signed is not used.",
            )
        digested = payload_digest(package) is not None
        covered = (
            package.signed if digested else package.path.read_bytes()[package.payload - len(package.signed) :]
        )
        _first_good(covered, made, keys, what)
    except Damaged as damage:
        raise invalid(package.title, str(damage)) from damage
    except FixFailure as failure:
        if failure.why is FixReason.INDEX_SIGNATURE_INVALID:
            raise tampered(package.title, "its signature was made over something else") from failure
        raise


def _first_good(content: bytes, signatures: Sequence[bytes], keys: Sequence[bytes], what: str) -> None:
    failures: list[FixFailure] = []
    for signature in signatures:
        try:
            if is_old(signature):
                verify_old(content, signature, keys, what=what)
            else:
                verify_detached(content, signature, keys, what=what)
        except FixFailure as failure:
            failures.append(failure)
        else:
            return
    raise next((each for each in failures if each.why is FixReason.INDEX_SIGNATURE_INVALID), failures[0])


def _signatures(package: Package) -> list[bytes]:
    """Returns those over the header, or over all where the header does not tell what its payload is."""
    found = package.signatures
    if payload_digest(package) is None:
        return [found.raw(tag) for tag in (_WHOLE_PGP, _WHOLE_GPG) if tag in found]
    made = [found.raw(tag) for tag in (_RSA, _DSA) if tag in found]
    try:
        made += [base64.b64decode(text, validate=True) for text in found.texts(_OPENPGP)[:8]]
    except (binascii.Error, ValueError) as error:
        raise Damaged("has a signature that is no text of one") from error
    return made


def payload_digest(package: Package) -> tuple[str, str] | None:
    """Returns the algorithm and the hash of the compressed payload; None where the header tells none."""
    digest = package.header.text(tags.PAYLOAD_DIGESTS)
    algorithm = _HASHES.get(package.header.number(tags.PAYLOAD_DIGEST_ALGORITHM))
    return (algorithm, digest) if digest and algorithm else None


def check_payload(package: Package) -> None:
    """Holds the payload against what the header tells of it.

    Raises:
        FixFailure: PACKAGE_TAMPERED.
    """
    said = payload_digest(package)
    if said is None:
        return
    hasher = hashlib.new(said[0])
    with package.path.open("rb") as file:
        file.seek(package.payload)
        for chunk in _chunks(file):
            hasher.update(chunk)
    if hasher.hexdigest() != said[1].lower():
        raise tampered(package.title, "its content has another hash than its header says")


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def numbers_entry(tag: int, value: int) -> tuple[int, int, int, bytes]:
    """Returns an entry of one number, for `Header.with_more`."""
    return (tag, INT32, 1, value.to_bytes(4))


def invalid(name: str, why: str) -> FixFailure:
    """Returns the failure of a package that cannot be read."""
    return FixFailure(FixReason.PACKAGE_INVALID, f"The package {name} cannot be used: it {why}.")


def tampered(name: str, why: str) -> FixFailure:
    """Returns the failure of a package that is not what was signed."""
    return FixFailure(
        FixReason.PACKAGE_TAMPERED,
        f"The package {name} is not what was signed: {why}.",
        hint="Nothing of it was used. Ask another mirror; if that has the same, tell whoever runs the repository.",
    )
