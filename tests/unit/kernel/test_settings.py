"""A misspelt setting is refused, not taken for a default."""

from __future__ import annotations

import pytest

from services.kernel.errors import ServiceError
from services.kernel.settings import refuse_unknown
from services.settings import SETTINGS, check_environment


def test_settings_of_every_service_are_known() -> None:
    refuse_unknown(
        ["PATH", "DRYDOCK_DATA_DIR", "DRYDOCK_SCANNER_ATTEMPTS", "DRYDOCK_GATEWAY_GRPC_LISTEN", "DRYDOCK_TOKEN"],
        SETTINGS,
    )


def test_an_unknown_setting_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(ServiceError) as caught:
        refuse_unknown(["DRYDOCK_SCANNER_ATEMPTS"], SETTINGS)
    assert "DRYDOCK_SCANNER_ATTEMPTS" in caught.value.sentence()


def test_a_wrong_value_is_refused_by_the_name_of_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRYDOCK_SCANNER_REGISTRY_ATTEMPTS", "hunter2")
    with pytest.raises(ServiceError) as caught:
        check_environment()
    assert (caught.value.reason, caught.value.field) == ("INVALID_SETTING", "DRYDOCK_SCANNER_REGISTRY_ATTEMPTS")
    assert "hunter2" not in caught.value.sentence()


def test_no_settings_class_takes_what_it_does_not_know() -> None:
    assert {settings.model_config.get("extra") for settings in SETTINGS} == {"forbid"}
