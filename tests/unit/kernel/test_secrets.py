"""Secrets at rest open only in the place where they were sealed, with the key they were sealed with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from services.kernel.errors import ServiceError
from services.kernel.secrets import SecretBox, load_key


def test_a_sealed_secret_opens_in_its_own_place() -> None:
    box = SecretBox(os.urandom(32))
    sealed = box.seal("pässword", "rules.instance:cri-1")
    assert b"ssword" not in sealed
    assert box.open(sealed, "rules.instance:cri-1") == "pässword"


def test_a_sealed_secret_cannot_be_moved_changed_or_opened_with_another_key() -> None:
    box = SecretBox(os.urandom(32))
    sealed = box.seal("password", "here")
    with pytest.raises(ServiceError, match="cannot be decrypted"):
        box.open(sealed, "there")
    with pytest.raises(ServiceError):
        box.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), "here")
    with pytest.raises(ServiceError):
        SecretBox(os.urandom(32)).open(sealed, "here")


@pytest.mark.parametrize("kept", [b"", b"\x01", b"\x01" + b"n" * 7, b"\x01" + b"n" * 12])
def test_what_was_cut_off_at_rest_is_unreadable_and_no_fault_of_ours(kept: bytes) -> None:
    with pytest.raises(ServiceError) as caught:
        SecretBox(os.urandom(32)).open(kept, "here")
    assert caught.value.reason == "SECRET_UNREADABLE"


def test_the_key_file_is_made_once_and_private(tmp_path: Path) -> None:
    file = tmp_path / "secret.key"
    key = load_key("", file)
    assert load_key("", file) == key
    assert file.stat().st_mode & 0o777 == 0o600


def test_processes_that_start_together_make_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret.key"
    others: list[bytes] = []
    really_open = os.fdopen

    def open_late(*arguments: Any) -> Any:
        monkeypatch.setattr(os, "fdopen", really_open)
        others.append(load_key("", file))  # another process begins while we are about to write
        return really_open(*arguments)

    monkeypatch.setattr(os, "fdopen", open_late)
    assert [load_key("", file)] == others
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]


def test_a_configured_key_wins_and_a_bad_one_is_refused(tmp_path: Path) -> None:
    assert load_key("ab" * 32, tmp_path / "unused") == b"\xab" * 32
    with pytest.raises(ServiceError) as caught:
        load_key("too short", tmp_path / "unused")
    assert "too short" not in caught.value.sentence()
