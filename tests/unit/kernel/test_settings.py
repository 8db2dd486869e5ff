"""A misspelt setting is refused, not taken for a default."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.kernel.environment import settings_in
from services.kernel.errors import ServiceError
from services.kernel.settings import KernelSettings, refuse_unknown
from services.processes.plan import identity_of
from services.processes.settings import ProcessSettings
from services.settings import SETTINGS, check_environment, read_settings


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
    assert caught.value.hint
    assert "hunter2" not in caught.value.sentence()


@pytest.mark.parametrize(
    ("variable", "days"),
    [
        ("DRYDOCK_RULES_SEEN_EVENT_DAYS", 13),
        ("DRYDOCK_SCANNER_SEEN_EVENT_DAYS", 10),
        ("DRYDOCK_NOTIFIER_RECEIPT_DAYS", 9),
    ],
)
def test_no_event_is_forgotten_that_the_bus_still_has(
    monkeypatch: pytest.MonkeyPatch, variable: str, days: int
) -> None:
    monkeypatch.setenv(variable, str(days))
    monkeypatch.setenv("DRYDOCK_BUS_RETENTION_DAYS", str(days - 1))
    check_environment()
    monkeypatch.setenv("DRYDOCK_BUS_RETENTION_DAYS", str(days))
    with pytest.raises(ServiceError) as caught:
        check_environment()
    assert (caught.value.reason, caught.value.field) == ("INVALID_SETTING", variable)


def test_no_settings_class_takes_what_it_does_not_know() -> None:
    assert {settings.model_config.get("extra") for settings in SETTINGS} == {"forbid"}


def test_what_the_command_line_says_of_up_goes_before_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DRYDOCK_KAFKA", "kafka:9092")
    monkeypatch.setenv("DRYDOCK_GATEWAY_GRPC_LISTEN", "127.0.0.1:1")
    monkeypatch.setenv("DRYDOCK_GATEWAY_MONITORING_LISTEN", "127.0.0.1:1")
    kernel, doors = read_settings(tmp_path, monitoring="127.0.0.1:2")
    assert (kernel.data_dir, kernel.kafka) == (tmp_path, "kafka:9092")
    assert (doors.grpc_listen, doors.monitoring_listen) == ("127.0.0.1:1", "127.0.0.1:2")


def test_secrets_may_come_as_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, text in (
        ("database_url", "postgresql://db/x"),
        ("secret_key", "ab" * 32),
        ("service_token", "t\nu"),
    ):
        (tmp_path / name).write_text(text + "\n")
        monkeypatch.setenv(f"DRYDOCK_{name.upper()}_FILE", str(tmp_path / name))
    check_environment()
    kernel, process = KernelSettings(), ProcessSettings()
    assert (kernel.database_url, kernel.secret_key.get_secret_value()) == ("postgresql://db/x", "ab" * 32)
    assert identity_of(process).tokens == ("t", "u")


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe"])
def test_a_secret_file_that_holds_none_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    monkeypatch.setenv("DRYDOCK_SECRET_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(ServiceError) as caught:
        check_environment()
    assert (caught.value.reason, caught.value.field) == ("INVALID_SETTING", "DRYDOCK_SECRET_KEY_FILE")


def test_a_secret_given_twice_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hunter2")
    monkeypatch.setenv("DRYDOCK_SERVICE_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("DRYDOCK_SERVICE_TOKEN", "hunter2")
    with pytest.raises(ServiceError) as caught:
        check_environment()
    assert caught.value.field == "DRYDOCK_SERVICE_TOKEN_FILE"
    assert "hunter2" not in caught.value.sentence()


def test_what_the_client_and_the_tests_read_is_no_setting() -> None:
    names = ["PATH", "DRYDOCK_TOKEN", "DRYDOCK_OSV_DIR", "drydock_log_level", "DRYDOCK_TOKN"]
    assert list(settings_in(names)) == ["drydock_log_level", "DRYDOCK_TOKN"]
