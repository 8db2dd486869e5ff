"""Webhooks of Harbor: what is read from them, and that nothing in them breaks us."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.webhooks.harbor import Harbor
from services.gateway.webhooks.notice import Action, Ignored, Notice
from services.kernel.errors import ServiceError
from tests.builders.senders import DIGEST, EVENTS, an_instance, harbor_push

BUSYBOX = "sha256:dde8e930c7b6a490f728e66292bc9bce42efc9bbb5278bae40e4f30f6e00fe8c"


def read(payload: object, *, username: str = "") -> Sequence[Notice | Ignored]:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Harbor().read(an_instance(username=username), {}, body)


def the_notice(payload: object, **options: Any) -> Notice:
    [notice] = read(payload, **options)
    assert isinstance(notice, Notice), notice
    return notice


def test_a_push_of_a_tag_is_noticed() -> None:
    notice = the_notice((EVENTS / "harbor_push_artifact.json").read_bytes())

    assert (notice.action, notice.repository.path, notice.tag) == (Action.PUSH, "library/busybox", "1.36")
    assert (notice.digest, notice.actor) == (BUSYBOX, "admin")
    assert notice.occurred_at == datetime(2023, 3, 6, 5, 58, 23, tzinfo=UTC)
    assert uuid.UUID(notice.event_id).version == 5


def test_an_event_that_is_sent_again_has_the_same_id() -> None:
    assert the_notice(harbor_push()).event_id == the_notice(harbor_push()).event_id


@pytest.mark.parametrize(
    "change",
    [
        {"occur_at": 1678082304},
        {"operator": "somebody"},
        {"type": "DELETE_ARTIFACT"},
        {"resources": [{"digest": BUSYBOX, "tag": "1.37"}]},
        {"resources": [{"digest": DIGEST, "tag": "1.36"}]},
        {"repository": {"repo_full_name": "library/alpine"}},
    ],
)
def test_another_event_has_another_id(change: dict[str, Any]) -> None:
    assert the_notice(harbor_push(**change)).event_id != the_notice(harbor_push()).event_id


def test_the_digest_in_place_of_a_tag_is_no_tag() -> None:
    """So Harbor tells of a platform's manifest, whose index follows with the tag."""
    assert read(harbor_push(resources=[{"digest": BUSYBOX, "tag": BUSYBOX}])) == [Ignored.UNTAGGED]


def test_a_deleted_artifact_takes_all_its_tags_along() -> None:
    notice = the_notice(harbor_push(type="DELETE_ARTIFACT"))

    assert (notice.action, notice.tag, notice.digest) == (Action.DELETE, "", BUSYBOX)


def test_a_deletion_without_a_digest_is_one_of_the_tag() -> None:
    notice = the_notice(harbor_push(type="DELETE_ARTIFACT", resources=[{"tag": "1.36"}]))

    assert (notice.tag, notice.digest) == ("1.36", "")


def test_a_deletion_that_names_no_artifact_is_none_of_the_repository() -> None:
    assert read(harbor_push(type="DELETE_ARTIFACT", resources=[{}])) == [Ignored.MALFORMED]
    assert read(harbor_push(type="DELETE_ARTIFACT", resources=[])) == [Ignored.MALFORMED]


def test_a_pull_by_digest_has_no_tag() -> None:
    notice = the_notice(harbor_push(type="PULL_ARTIFACT", resources=[{"digest": BUSYBOX, "tag": BUSYBOX}]))

    assert (notice.action, notice.tag, notice.digest) == (Action.PULL, "", BUSYBOX)


@pytest.mark.parametrize(
    ("operator", "username", "expected"),
    [
        ("robot$library+scanner-Trivy-51fe4548-bbe5-11ed-9217-0242ac14000d", "", Ignored.SCANNER),
        ("robot$drydock", "robot$drydock", Ignored.SCANNER),
        ("robot$drydock", "", None),
        ("", "", None),
        ("robot$ci", "robot$drydock", None),
    ],
)
def test_pulls_by_scanners_are_no_use_of_the_image(operator: str, username: str, expected: Ignored | None) -> None:
    [entry] = read(harbor_push(type="PULL_ARTIFACT", operator=operator), username=username)

    assert entry is expected if expected else isinstance(entry, Notice)


@pytest.mark.parametrize(
    "kind", ["SCANNING_COMPLETED", "QUOTA_EXCEED", "REPLICATION", "TAG_RETENTION", "", "push"]
)
def test_other_events_start_nothing(kind: str) -> None:
    assert read(harbor_push(type=kind)) == [Ignored.ACTION]
    assert read({"type": kind}) == [Ignored.ACTION]


def test_each_resource_is_an_event() -> None:
    entries = read(
        harbor_push(resources=[{"digest": BUSYBOX, "tag": "1"}, {"digest": "?", "tag": "2"}, {"digest": DIGEST}])
    )

    assert [entry if isinstance(entry, Ignored) else entry.tag for entry in entries] == [
        "1",
        Ignored.MALFORMED,
        Ignored.UNTAGGED,
    ]


def test_hosts_are_not_looked_at() -> None:
    resource = {"digest": BUSYBOX, "tag": "1", "resource_url": "evil.example.com/a/b:1"}

    assert the_notice(harbor_push(resources=[resource])).repository.path == "library/busybox"


@pytest.mark.parametrize(
    "change",
    [
        {"repository": {"repo_full_name": "../etc"}},
        {"repository": {"repo_full_name": "evil.example.com:5000/a"}},
        {"repository": {"name": "busybox"}},
        {"repository": None},
        {"resources": [{"digest": BUSYBOX, "tag": "-rf"}]},
        {"resources": [{"tag": "1"}]},
        {"resources": "1"},
        {"resources": [{"digest": BUSYBOX, "tag": "1"}] * 1001},
        {"event_data": None},
    ],
)
def test_what_names_no_image_is_malformed(change: dict[str, Any]) -> None:
    assert set(read(harbor_push(**change))) == {Ignored.MALFORMED}


@pytest.mark.parametrize("seconds", [0, -5, 10**18])
def test_a_clock_that_cannot_be_read_is_none(seconds: int) -> None:
    assert the_notice(harbor_push(occur_at=seconds)).occurred_at is None


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'{"type": 7}', b"\xff", b"[" * 100_000])
def test_what_is_no_payload_is_refused(body: bytes) -> None:
    with pytest.raises(ServiceError) as refused:
        read(body)
    assert refused.value.reason == "WEBHOOK_MALFORMED"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@given(kind=st.sampled_from(["PUSH_ARTIFACT", "DELETE_ARTIFACT", "PULL_ARTIFACT"]), data=JSON, resources=JSON)
def test_no_data_breaks_it(kind: str, data: object, resources: object) -> None:
    read({"type": kind, "event_data": data})
    read(harbor_push(type=kind, resources=resources, repository=data))
