"""Addresses that an image makes up: none of them reaches a sentence, or breaks what reads it."""

from __future__ import annotations

import pytest

from services.fixer.systems.apk.survey import _repository
from services.fixer.systems.dpkg.sources import read_sources
from services.fixer.systems.rpm.sources import _is_address

HOSTILE = ("http://h:99999/x", "http://h:no/x", "http://h/\x1b]0;owned\x07", "http://h/\x9b2J", "http://[::1/x")


@pytest.mark.parametrize("address", HOSTILE)
def test_what_is_no_address_is_no_repository(address: str) -> None:
    assert read_sources([("a.list", f"deb {address} stable main\n".encode())], "amd64") == ()
    assert _repository(address) is None
    assert not _is_address(address)


def test_suites_and_components_are_words_as_well() -> None:
    lines = b"deb http://h/x su\x1b[2Jite main\ndeb http://h/x suite ma\x1b[2Jin\n"
    assert read_sources([("a.list", lines)], "amd64") == ()
