"""Requests as rules writes them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.kernel.bus.interface import BULK_REQUESTS, SCAN_REQUESTS
from services.kernel.model.digest import digest_of
from services.kernel.model.engine import Engine
from services.kernel.model.reference import RepositoryName
from services.rules.convert_events import to_message
from services.rules.events import ScanRequest
from tests.builders.requests import from_message


@pytest.mark.parametrize(("bulk", "topic"), [(False, SCAN_REQUESTS), (True, BULK_REQUESTS)])
def test_one_of_many_requests_travels_apart_and_says_so(bulk: bool, topic: str) -> None:
    request = ScanRequest(
        task_id="00000000-0000-0000-0000-000000000007",
        instance_id="cri-1",
        repo_id="crr-1",
        repository=RepositoryName(namespace="team", name="app"),
        tag="1.0",
        digest=digest_of(b"image"),
        revision=1,
        engine=Engine.SECURITY_CENTER,
        rule_ids=("crscnr-1",),
        target_ids=(),
        requested_at=datetime(2026, 11, 26, tzinfo=UTC),
        bulk=bulk,
    )
    message = to_message(request)
    assert message.topic == topic
    assert from_message(message) == request
