from __future__ import annotations

import pytest

from services.fixer.failure import FixFailure, FixReason
from services.fixer.publish.tags import backup_tag, fixed_tag
from services.kernel.model.digest import Digest, digest_of
from services.kernel.model.reference import is_tag


def test_a_fix_has_the_tag_of_its_image_and_a_suffix_once() -> None:
    assert fixed_tag("1.0") == "1.0_fixd"
    assert fixed_tag("1.0_fixd") == "1.0_fixd"
    assert fixed_tag("_fixd") == "_fixd_fixd"


def test_a_tag_that_would_be_too_long_is_refused() -> None:
    assert is_tag(fixed_tag("a" * 123))
    with pytest.raises(FixFailure) as caught:
        fixed_tag("a" * 124)
    assert caught.value.why is FixReason.TAG_TOO_LONG


def test_a_backup_is_named_by_what_it_holds() -> None:
    short, long = digest_of(b"x"), Digest("sha512:" + "ab" * 64)

    assert backup_tag(short) == f"sha256-{short[7:]}.drydock-backup"
    assert is_tag(backup_tag(short))
    assert is_tag(backup_tag(long))
