"""What an operator says of registries and images reaches the source of images."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.kernel.model.reference import parse_reference
from services.kernel.reasons import Reason, ScanFailure
from services.kernel.workers.template import spawn_template
from services.lab.image import write_layout
from services.registry.limits import ImageLimits, RetryPolicy, SourceSettings, Timeouts
from services.scanner.bounds import ScanBounds
from services.scanner.settings import ScannerSettings, bounds_of_settings
from services.scanner.wiring.one_shot import one_shot
from tests.builders.images import an_image


def test_settings_that_nobody_changed_are_the_bounds_that_are_used_without_reading_any() -> None:
    assert bounds_of_settings() == ScanBounds()


def test_every_setting_of_registries_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {
        "REGISTRY_CONNECT_SECONDS": "1",
        "REGISTRY_IDLE_SECONDS": "2",
        "REGISTRY_REQUEST_SECONDS": "3",
        "REGISTRY_SLOWEST_BYTES_PER_SECOND": "4",
        "REGISTRY_ATTEMPTS": "5",
        "REGISTRY_RETRY_LONGEST_SECONDS": "6",
        "REGISTRY_TOKEN_HOSTS": "Login.example.com, sso.example.com",
        "MANIFEST_BYTES": "7000",
        "CONFIG_BYTES": "8000",
        "IMAGE_LAYERS": "9",
        "INDEX_CHILDREN": "10",
    }
    for name, value in said.items():
        monkeypatch.setenv(f"DRYDOCK_SCANNER_{name}", value)

    assert ScannerSettings().source == SourceSettings(
        limits=ImageLimits(manifest_bytes=7000, config_bytes=8000, layers=9, children=10),
        timeouts=Timeouts(connect_seconds=1, idle_seconds=2, request_seconds=3, slowest_bytes_per_second=4),
        retry=RetryPolicy(attempts=5, longest_seconds=6),
        token_hosts=frozenset({"login.example.com", "sso.example.com"}),
    )


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [("IMAGE_LAYERS", "1", Reason.TOO_MANY_LAYERS), ("MANIFEST_BYTES", "1024", Reason.MANIFEST_TOO_LARGE)],
)
async def test_a_scan_keeps_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, why: Reason
) -> None:
    monkeypatch.setenv(f"DRYDOCK_SCANNER_{name}", value)
    write_layout(tmp_path / "image", {"1.0": an_image(*(str(number) for number in range(10)))})

    with pytest.raises(ScanFailure) as caught:
        await one_shot(
            parse_reference(f"oci:{tmp_path}/image:1.0"), template=spawn_template(()), data=tmp_path / "data"
        )

    assert caught.value.why is why
