"""Users and groups, read from files that nobody vouches for."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.fixer.systems.accounts import ids_of
from services.fixer.systems.apk.ids import Ids
from services.fixer.systems.rpm.owners import Owners
from tests.builders.dpkg_images import write
from tests.fakes.folders import FolderTree


def test_names_have_the_numbers_of_their_first_lines() -> None:
    text = "root:x:0:0:root:/root:/bin/sh\nnfsnobody:x:4294967294:4294967294::/:\nroot:x:7:\n"
    assert ids_of(text) == {"root": 0, "nfsnobody": 4_294_967_294}


@pytest.mark.parametrize("number", ["", "-1", "²", "٣", "4294967296", "9" * 5_000, "0x10", " 1"])
def test_what_is_no_number_of_a_user_is_left_out(number: str, tmp_path: Path) -> None:
    text = f"odd:x:{number}:\nadm:x:4:\n:x:5:\nshort:x\n"
    assert ids_of(text) == {"adm": 4}
    write(tmp_path, {"etc/passwd": text, "etc/group": text})
    for system in (Ids, Owners):
        system(FolderTree(tmp_path))
