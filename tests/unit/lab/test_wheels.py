"""Wheels are kept only with the right digest; what the cache has is not fetched again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from services.kernel.errors import ServiceError
from services.lab.wheels import Wheel, fetch_wheels

CONTENT = b"wheel"


def a_wheel(sha256: str) -> Wheel:
    return Wheel(requirement="drydock-no-such-wheel==0", file="thing-0-py3-none-any.whl", sha256=sha256)


def test_a_wheel_in_the_cache_is_taken_without_asking_anybody(tmp_path: Path) -> None:
    (tmp_path / "thing-0-py3-none-any.whl").write_bytes(CONTENT)
    found = fetch_wheels(tmp_path, (a_wheel(hashlib.sha256(CONTENT).hexdigest()),))
    assert found == (tmp_path / "thing-0-py3-none-any.whl",)


@pytest.fixture
def no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets pip ask nobody: neither an index nor a folder."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)


@pytest.mark.slow
@pytest.mark.usefixtures("no_index")
def test_a_damaged_wheel_in_the_cache_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "thing-0-py3-none-any.whl").write_bytes(b"other")
    with pytest.raises(ServiceError) as caught:
        fetch_wheels(tmp_path, (a_wheel(hashlib.sha256(CONTENT).hexdigest()),))
    assert caught.value.reason == "WHEELS_UNAVAILABLE"
    assert [path.name for path in tmp_path.iterdir()] == ["thing-0-py3-none-any.whl"]
