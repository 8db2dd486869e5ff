"""Signatures: what is believed, and how each thing that is not is called."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from pysequoia import ArmorKind, armor

from services.fixer.failure import FixFailure, FixReason
from services.fixer.repositories.openpgp import verify_detached, verify_inline
from tests.builders.signing import signing_key

TEXT = b"Origin: Test\nSuite: stable\n"
OURS, THEIRS = signing_key("archive"), signing_key("stranger")


def failing(check: Callable[[], object]) -> FixReason:
    with pytest.raises(FixFailure) as caught:
        check()
    return caught.value.why


def test_a_clear_signed_text_is_returned_without_its_signature() -> None:
    assert verify_inline(OURS.clear_sign(TEXT), [OURS.public]) == TEXT


def test_what_stands_around_the_signed_text_is_not_returned() -> None:
    signed = b"Suite: evil\n\n" + OURS.clear_sign(TEXT) + b"\nSuite: evil\n"
    assert b"evil" not in verify_inline(signed, [OURS.public])


def test_an_armored_keyring_is_as_good_as_a_binary_one() -> None:
    armored = armor(OURS.public, ArmorKind.PublicKey).encode()
    assert verify_inline(OURS.clear_sign(TEXT), [THEIRS.public, armored])


def test_a_changed_text_is_told_from_a_foreign_key() -> None:
    signed = OURS.clear_sign(TEXT)
    changed = signed.replace(b"stable", b"staple")
    assert failing(lambda: verify_inline(changed, [OURS.public])) is FixReason.INDEX_SIGNATURE_INVALID
    assert failing(lambda: verify_inline(signed, [THEIRS.public])) is FixReason.INDEX_KEY_UNKNOWN
    assert failing(lambda: verify_inline(signed, [])) is FixReason.INDEX_KEY_UNKNOWN


@pytest.mark.parametrize(
    "content", [b"", b"Suite: stable\n", b"-----BEGIN PGP SIGNED MESSAGE-----\n", b"\xff" * 40]
)
def test_what_is_not_signed_is_called_so(content: bytes) -> None:
    assert failing(lambda: verify_inline(content, [OURS.public])) is FixReason.INDEX_UNSIGNED


def test_one_good_signature_beside_the_content_is_enough() -> None:
    both = THEIRS.sign(TEXT), OURS.sign(TEXT)
    verify_detached(TEXT, both[1], [OURS.public])
    assert failing(lambda: verify_detached(TEXT, both[0], [OURS.public])) is FixReason.INDEX_KEY_UNKNOWN
    assert (
        failing(lambda: verify_detached(TEXT + b"x", both[1], [OURS.public])) is FixReason.INDEX_SIGNATURE_INVALID
    )


def test_what_is_no_signature_is_called_so() -> None:
    for nonsense in (b"", b"hello", OURS.clear_sign(b"")[:30]):
        check = partial(verify_detached, TEXT, nonsense, [OURS.public])
        assert failing(check) is FixReason.INDEX_UNSIGNED


def test_a_failure_names_what_it_is_about_and_what_to_do() -> None:
    with pytest.raises(FixFailure) as caught:
        verify_inline(TEXT, [], what="The index of example.org")
    assert caught.value.message.startswith("The index of example.org has no signature")
    assert caught.value.hint
