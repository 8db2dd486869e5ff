"""Pauses between attempts, redirects that are followed, and who gets the credentials."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from services.kernel.reasons import Reason, Retry, ScanFailure
from services.registry.limits import RetryPolicy
from services.registry.redirects import next_hop, same_registry
from services.registry.retry import FINAL, Retrier
from tests.builders.images import Waits


async def attempts_for(failure: ScanFailure) -> tuple[int, list[float]]:
    count: list[int] = []
    waits = Waits()
    retrier = Retrier(RetryPolicy(attempts=4), sleep=waits, draw=lambda: 0.5)

    async def attempt() -> None:
        count.append(1)
        raise failure

    with pytest.raises(ScanFailure) as caught:
        await retrier.call(attempt)
    assert caught.value is failure
    return len(count), waits.seconds


@pytest.mark.parametrize("why", Reason)
async def test_only_what_passes_by_itself_is_tried_again(why: Reason) -> None:
    count, _ = await attempts_for(ScanFailure(why, "Failed."))

    passing = why.code.startswith("REGISTRY_") and why.retry is Retry.AUTOMATIC
    assert count == (4 if passing or why is Reason.TRANSFER_CUT_OFF else 1)


async def test_pauses_double_and_are_drawn_at_random() -> None:
    _, pauses = await attempts_for(ScanFailure(Reason.REGISTRY_ERROR, "Failed."))

    assert pauses == [0.25, 0.5, 1.0]


async def test_final_failure_is_not_tried_again() -> None:
    count, _ = await attempts_for(ScanFailure(Reason.REGISTRY_UNREACHABLE, "No TLS.", metadata={FINAL: "tls"}))

    assert count == 1


@given(st.integers(1, 8), st.floats(0, 1), st.floats(0.01, 5), st.floats(0.01, 30), st.none() | st.floats(0, 100))
async def test_no_pause_is_longer_than_allowed_and_asked_for(
    attempts: int, drawn: float, first: float, longest: float, asked: float | None
) -> None:
    waits = Waits()
    policy = RetryPolicy(attempts=attempts, first_seconds=first, longest_seconds=longest)
    retrier = Retrier(policy, sleep=waits, draw=lambda: drawn)

    async def attempt() -> None:
        raise ScanFailure(Reason.REGISTRY_RATE_LIMITED, "Slowly.", retry_after=asked)

    with pytest.raises(ScanFailure):
        await retrier.call(attempt)
    assert len(waits.seconds) < attempts
    assert all((asked or 0) <= pause <= longest + min(asked or 0, longest) for pause in waits.seconds)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/v2/elsewhere", "https://registry.invalid/v2/elsewhere"),
        ("https://storage.invalid/blob?sig=1", "https://storage.invalid/blob?sig=1"),
        ("https://user:secret@storage.invalid/blob", "https://storage.invalid/blob"),
        ("//storage.invalid/blob", "https://storage.invalid/blob"),
    ],
)
def test_redirect_is_followed(location: str, target: str) -> None:
    assert str(next_hop(URL("https://registry.invalid/v2/x"), location)) == target


def test_redirect_may_upgrade_but_not_downgrade() -> None:
    assert next_hop(URL("http://registry.invalid/"), "https://storage.invalid/").scheme == "https"
    with pytest.raises(ScanFailure) as caught:
        next_hop(URL("https://registry.invalid/"), "http://storage.invalid/?signature=secret")
    assert caught.value.why is Reason.REGISTRY_REDIRECT_REFUSED
    assert "secret" not in caught.value.sentence()


def test_signature_in_an_address_survives_the_redirect_unchanged() -> None:
    query = "X-Amz-Signature=a%2Fb%3D%3D&x=%7E+%20"
    signed = f"https://storage.invalid/a%2Fblob?{query}"

    target = next_hop(URL("https://registry.invalid/"), signed)

    assert (target.raw_path, target.raw_query_string) == ("/a%2Fblob", query)


@pytest.mark.parametrize(
    ("registry", "target", "same"),
    [
        ("http://r.invalid:5000", "http://r.invalid:5000/x", True),
        ("http://r.invalid:5000", "http://r.invalid:5001/x", False),
        ("http://r.invalid", "https://r.invalid/x", True),
        ("http://r.invalid:5000", "https://r.invalid:5000/x", False),
        ("https://r.invalid", "https://other.invalid/x", False),
        ("https://r.invalid", "https://r.invalid.evil.invalid/x", False),
    ],
)
def test_credentials_belong_to_the_registry_alone(registry: str, target: str, same: bool) -> None:
    assert same_registry(URL(registry), URL(target)) is same
