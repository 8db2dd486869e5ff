"""Signatures of OpenPGP (RFC 9580), checked with keys of our own: one library's work behind two functions.

A signature counts when a certificate of the keyring could sign at the moment it says it was made: keys that have
expired since still vouch for what they signed before; how old an index may be is for its own date to say.
"""

from __future__ import annotations

from collections.abc import Sequence

from pysequoia import Cert, Sig, verify
from pysequoia.packet import Packet, PacketPile, Tag

from services.fixer.failure import FixFailure, FixReason

_ARMOR = b"-----BEGIN PGP "
_MOST_SIGNATURES = 32


def verify_inline(content: bytes, keys: Sequence[bytes], *, what: str = "The index") -> bytes:
    """Returns what a clear-signed or signed message holds, and nothing of what stands around it.

    Args:
        content: the whole message, as `InRelease` is.
        keys: files of keyrings, binary or armored.
        what: the thing's name in sentences, at their beginning.

    Raises:
        FixFailure: INDEX_UNSIGNED, INDEX_KEY_UNKNOWN or INDEX_SIGNATURE_INVALID.
    """
    if _ARMOR not in content[:4096] and not content[:1] > b"\x7f":
        raise _unsigned(what)
    return _Verifier(keys, what).check(content, None)


def verify_detached(content: bytes, signature: bytes, keys: Sequence[bytes], *, what: str = "The index") -> None:
    """Checks a signature that lies beside what it signs; one good signature among several is enough.

    Raises:
        FixFailure: as `verify_inline`.
    """
    verifier = _Verifier(keys, what)
    try:
        packets = [each for each in PacketPile.from_bytes(signature) if each.tag == Tag.Signature]
    except Exception as error:
        raise _unsigned(what) from error
    if not packets:
        raise _unsigned(what)
    failures: list[FixFailure] = []
    for packet in packets[:_MOST_SIGNATURES]:
        try:
            verifier.check(content, _signature_of(packet))
        except FixFailure as failure:
            failures.append(failure)
        else:
            return
    # A key that we know and that did not sign this says more than one that we do not know.
    raise next((each for each in failures if each.why is FixReason.INDEX_SIGNATURE_INVALID), failures[0])


def _signature_of(packet: Packet) -> Sig:
    return Sig.from_bytes(bytes(packet))


class _Verifier:
    def __init__(self, keys: Sequence[bytes], what: str) -> None:
        self._what = what
        self._certificates = [cert for content in keys for cert in Cert.split_bytes(content)]
        self._known = {name for content in keys for name in _names(content)}

    def check(self, content: bytes, signature: Sig | None) -> bytes:
        """Returns what was signed."""
        asked: list[str] = []

        def certificates(issuers: list[str]) -> list[Cert]:
            asked.extend(issuers)
            return self._certificates

        try:
            checked = verify(bytes=content, store=certificates, signature=signature)
        except Exception as error:
            # The library has one error for everything, and its text is a stack: who was asked for says more.
            if not asked:
                raise _unsigned(self._what) from error
            if not self._known.intersection(name.lower() for name in asked):
                raise _unknown(self._what, asked) from error
            raise _invalid(self._what) from error
        if not checked.valid_sigs:
            raise _unknown(self._what, asked)
        return content if checked.bytes is None else bytes(checked.bytes)


def _names(content: bytes) -> set[str]:
    """Returns the fingerprints and key ids of all keys of a keyring, subkeys too."""
    packets = PacketPile.from_bytes(content)
    names = {name for packet in packets for name in (packet.fingerprint, packet.key_id)}
    return {name.lower() for name in names if name}


def _unsigned(what: str) -> FixFailure:
    return FixFailure(
        FixReason.INDEX_UNSIGNED,
        f"{what} has no signature that can be read.",
        hint="Name a repository that signs its index; what nobody signed is not used.",
    )


def _unknown(what: str, issuers: Sequence[str]) -> FixFailure:
    return FixFailure(
        FixReason.INDEX_KEY_UNKNOWN,
        f"{what} is signed by keys that are not trusted for this distribution: "
        f"{', '.join(name[-16:].upper() for name in issuers[:4]) or 'none is named'}.",
        hint="If it is right, put the repository's public key into the folder of DRYDOCK_FIXER_KEYRINGS_DIR.",
    )


def _invalid(what: str) -> FixFailure:
    return FixFailure(
        FixReason.INDEX_SIGNATURE_INVALID,
        f"{what} is not what its signature was made over, or the key could not sign then.",
        hint="The repository or its mirror is damaged, or somebody changed it: ask another mirror.",
    )
