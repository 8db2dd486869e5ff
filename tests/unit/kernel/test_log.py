"""Logs tell what failed, never what was in the hands of the code that failed."""

from __future__ import annotations

import io

import pytest
import structlog

from services.kernel.log import configure_logs


@pytest.mark.parametrize("as_json", [True, False])
def test_a_logged_failure_shows_no_local_variables(as_json: bool) -> None:
    stream = io.StringIO()
    configure_logs(stream=stream, as_json=as_json)
    try:
        hidden = "".join(["hunt", "er2"])
        raise RuntimeError(str(len(hidden)))
    except RuntimeError:
        structlog.get_logger().exception("delivery.failed")
    finally:
        structlog.reset_defaults()
    assert "RuntimeError" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()
