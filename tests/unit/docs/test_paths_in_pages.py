"""Pages that lead through the code name files that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
_NAMED = re.compile(r"`((?:[a-z_0-9]+/)*[a-z_0-9]+\.(?:py|md|json|sh|service)|(?:[a-z_0-9]+/)+)`")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/map.md", "deploy/README.md"])
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    text = (ROOT / page).read_text()
    named = set(_NAMED.findall(text))
    places = (ROOT, ROOT / "services", ROOT / "deploy", ROOT / "protos")
    lost = sorted(name for name in named if not any((place / name).exists() for place in places))
    # What every service has is named without its folder.
    lost = [
        name
        for name in lost
        if name.count("/") > name.endswith("/") or not any((ROOT / "services").glob(f"*/{name}"))
    ]
    assert named
    assert lost == []


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/**/*.md")), ids=lambda page: page.name)
def test_code_that_a_page_leans_on_is_there(page: Path) -> None:
    named = set(re.findall(r"`((?:[a-z_0-9]+/)+[a-z_0-9]+\.(?:py|sql))`", page.read_text()))
    places = (ROOT, ROOT / "services", ROOT / "services/scanner")
    assert sorted(name for name in named if not any((place / name).exists() for place in places)) == []
