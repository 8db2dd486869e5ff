"""The page about retention names every setting that says how many days something is kept, with its default."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.settings import SETTINGS

PAGE = (Path(__file__).parents[3] / "docs" / "retention.md").read_text()
DAYS = [
    (f"{cls.model_config.get('env_prefix', '')}{name}".upper(), field.default)
    for cls in SETTINGS
    for name, field in cls.model_fields.items()
    if name.endswith("_days") and name != "max_age_days"
]


@pytest.mark.parametrize(("variable", "default"), DAYS)
def test_a_setting_of_days_is_told_with_its_default(variable: str, default: int) -> None:
    assert re.search(rf"`{variable}`, {default}\b", PAGE)
