"""A misspelt setting is refused, not taken for a default."""

from __future__ import annotations

import pytest

from services.kernel.errors import ServiceError
from services.kernel.settings import refuse_unknown
from services.standalone import SETTINGS


def test_settings_of_every_service_are_known() -> None:
    refuse_unknown(
        ["PATH", "DRYDOCK_DATA_DIR", "DRYDOCK_SCANNER_ATTEMPTS", "DRYDOCK_GATEWAY_GRPC_LISTEN", "DRYDOCK_TOKEN"],
        SETTINGS,
    )


def test_an_unknown_setting_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(ServiceError) as caught:
        refuse_unknown(["DRYDOCK_SCANNER_ATEMPTS"], SETTINGS)
    assert "DRYDOCK_SCANNER_ATTEMPTS" in caught.value.sentence()
