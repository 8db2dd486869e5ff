"""Which pulls are told."""

from __future__ import annotations

import json

from services.gateway.webhooks.envelope import read_event
from services.gateway.webhooks.notice import Ignored, Notice
from services.gateway.webhooks.pulls import PullSieve
from services.kernel.model import media
from tests.fakes.clock import ManualClock


def a_pull(tag: str) -> Notice:
    target = {
        "mediaType": media.OCI_MANIFEST,
        "digest": "sha256:" + "a" * 64,
        "repository": "team/app",
        "tag": tag,
    }
    notice = read_event("cri-1", json.dumps({"id": tag, "action": "pull", "target": target}).encode())
    assert isinstance(notice, Notice)
    return notice


def test_the_same_tag_of_another_instance_is_another_pull() -> None:
    sieve = PullSieve(ManualClock(), 60)
    sieve.told("cri-1", [a_pull("1")])
    assert sieve.sift("cri-1", [a_pull("1")], sync=True) == (Ignored.REPEATED,)
    assert sieve.sift("cri-2", [a_pull("1")], sync=True) == (a_pull("1"),)


def test_no_more_pulls_are_remembered_than_fit() -> None:
    sieve = PullSieve(ManualClock(), 60, most=2)
    sieve.told("cri-1", [a_pull("1"), a_pull("2"), a_pull("3")])
    assert sieve.sift("cri-1", [a_pull("1"), a_pull("3")], sync=True) == (a_pull("1"), Ignored.REPEATED)
