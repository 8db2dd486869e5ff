import json
import os
from pathlib import Path

import pytest

from services.kernel.versions import SCHEMES, compare, satisfies

SHARED = Path(os.environ.get("DRYDOCK_SHARED", Path(__file__).parents[4] / "shared"))
VECTORS = SHARED / "vectors" / "version_vectors.json"
RANGES = SHARED / "vectors" / "range_vectors.json"
SIGNS = {"<": -1, "=": 0, ">": 1}
WITHOUT_ORDER_VECTORS = {"cargo", "npm"}
"""They order as semver does."""


@pytest.mark.skipif(not VECTORS.is_file(), reason="the shared version vectors are not on this machine")
@pytest.mark.parametrize("scheme", sorted(set(SCHEMES) - WITHOUT_ORDER_VECTORS))
def test_every_shared_vector_holds_in_both_directions(scheme: str) -> None:
    wrong = []
    for a, sign, b in json.loads(VECTORS.read_text())[scheme]:
        if (compare(scheme, a, b), compare(scheme, b, a)) != (SIGNS[sign], -SIGNS[sign]):
            wrong.append((a, sign, b))
    assert wrong == []


@pytest.mark.skipif(not VECTORS.is_file(), reason="the shared version vectors are not on this machine")
def test_every_scheme_of_the_shared_vectors_can_be_compared() -> None:
    assert set(json.loads(VECTORS.read_text())) <= set(SCHEMES)


@pytest.mark.skipif(not RANGES.is_file(), reason="the shared range vectors are not on this machine")
def test_every_shared_range_vector_holds() -> None:
    wrong = []
    for scheme, cases in json.loads(RANGES.read_text()).items():
        for expression, version, expected in cases:
            if satisfies(scheme, expression, version) is not expected:
                wrong.append((scheme, expression, version, expected))
    assert wrong == []
