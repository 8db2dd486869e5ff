import json
import os
from pathlib import Path

import pytest

from services.kernel.versions import SCHEMES, compare

SHARED = Path(os.environ.get("DRYDOCK_SHARED", Path(__file__).parents[4] / "shared"))
VECTORS = SHARED / "vectors" / "version_vectors.json"
SIGNS = {"<": -1, "=": 0, ">": 1}


@pytest.mark.skipif(not VECTORS.is_file(), reason="the shared version vectors are not on this machine")
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_shared_vector_holds_in_both_directions(scheme: str) -> None:
    wrong = []
    for a, sign, b in json.loads(VECTORS.read_text())[scheme]:
        if (compare(scheme, a, b), compare(scheme, b, a)) != (SIGNS[sign], -SIGNS[sign]):
            wrong.append((a, sign, b))
    assert wrong == []
