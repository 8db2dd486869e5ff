"""How words of the command line are read."""

from __future__ import annotations

import io

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from services.cli.duration import parse_duration
from services.cli.image import to_image_ref
from services.cli.password import check_pair, read_password
from services.cli.severity import parse_severities
from services.kernel.errors import ServiceError
from services.kernel.model.severity import Severity


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("2h", 7200), ("0s", 0)])
def test_times_are_read_in_seconds_minutes_and_hours(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@given(st.text())
def test_a_time_is_read_or_refused_as_wrong_usage(text: str) -> None:
    try:
        assert parse_duration(text) >= 0
    except typer.BadParameter as error:
        assert "90s" in str(error)


def test_no_severities_mean_all() -> None:
    assert parse_severities("") == frozenset(Severity)


def test_severities_are_a_list_in_any_case() -> None:
    assert parse_severities("High, critical") == {Severity.HIGH, Severity.CRITICAL}


def test_an_unknown_severity_is_refused() -> None:
    with pytest.raises(ServiceError, match="'SEVERE' is no severity"):
        parse_severities("high,severe")


def test_an_image_without_a_namespace_lies_in_the_namespace_of_none() -> None:
    ref = to_image_ref("prod", "app:1.0")
    assert (ref.instance, ref.namespace, ref.repository, ref.tag, ref.digest) == ("prod", "_", "app", "1.0", "")


def test_an_image_by_digest_has_no_tag() -> None:
    digest = "sha256:" + "a" * 64
    ref = to_image_ref("prod", f"team/sub/app@{digest}")
    assert (ref.namespace, ref.repository, ref.tag, ref.digest) == ("team/sub", "app", "", digest)


def test_a_password_is_the_first_line_of_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("s3cret with spaces \r\nnot this\n"))
    assert read_password(wanted=True) == "s3cret with spaces "


@pytest.mark.parametrize("given_text", ["", "\n", "x" * 5000])
def test_an_empty_or_endless_password_is_refused(monkeypatch: pytest.MonkeyPatch, given_text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(given_text))
    with pytest.raises(ServiceError) as caught:
        read_password(wanted=True)
    assert caught.value.reason == "INVALID_CREDENTIALS"


def test_a_password_without_a_user_is_refused() -> None:
    with pytest.raises(ServiceError, match="belongs to a user"):
        check_pair("", password_wanted=True)


def test_a_user_without_a_password_is_refused_and_nobody_without_one_is_fine() -> None:
    with pytest.raises(ServiceError, match="comes with a password"):
        check_pair("scanner", password_wanted=False)
    check_pair("", password_wanted=False)
    check_pair("scanner", password_wanted=True)
