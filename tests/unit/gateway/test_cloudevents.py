"""CloudEvents of registries, written by the CloudEvents SDK in both modes, and by nobody in his right mind."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.webhooks.cloudevents import CloudEvents
from services.gateway.webhooks.notice import Action, Ignored, Notice
from services.kernel.errors import ServiceError
from services.kernel.model import media
from tests.builders.senders import DIGEST, EVENTS, an_instance, cloud_event, harbor_push, sent

STRUCTURED = {"content-type": "application/cloudevents+json"}
IMAGE = {"repository": "team/app", "tag": "1.0", "digest": DIGEST}
ZOT = {
    "name": "team/app",
    "reference": "1.0",
    "digest": DIGEST,
    "mediaType": media.OCI_MANIFEST,
    "manifest": "{}",
}
LANGUAGE = CloudEvents()
pytestmark = pytest.mark.filterwarnings("error")


def read(headers: Mapping[str, str], body: bytes, *, username: str = "") -> Sequence[Notice | Ignored]:
    assert LANGUAGE.accepts(headers["content-type"].partition(";")[0], headers)
    return LANGUAGE.read(an_instance(username=username), headers, body)


def read_event(event: CloudEvent, *, binary: bool) -> Notice | Ignored:
    message = sent(event, binary=binary)
    [entry] = read(message.headers, message.body)
    return entry


both_modes = pytest.mark.parametrize("binary", [False, True], ids=["structured", "binary"])


@both_modes
def test_a_push_to_harbor_is_noticed(binary: bool) -> None:
    when = datetime(2026, 11, 26, 12, 0, 1, tzinfo=UTC)
    data = harbor_push()["event_data"]
    event = cloud_event("harbor.artifact.pushed", data, time=when, operator="jürgen, 100%")

    notice = read_event(event, binary=binary)

    assert isinstance(notice, Notice)
    assert (notice.action, notice.repository.path, notice.tag) == (Action.PUSH, "library/busybox", "1.36")
    assert (notice.occurred_at, notice.actor) == (when, "jürgen, 100%")


def test_the_scanners_own_pull_in_harbors_sample_is_no_use() -> None:
    assert read(STRUCTURED, (EVENTS / "harbor_pull_cloudevent.json").read_bytes()) == [Ignored.SCANNER]


@both_modes
def test_an_image_of_zot_is_noticed(binary: bool) -> None:
    notice = read_event(cloud_event("zotregistry.image.updated", ZOT), binary=binary)

    assert isinstance(notice, Notice)
    assert (notice.action, notice.tag, notice.digest) == (Action.PUSH, "1.0", DIGEST)
    assert notice.media_type == media.OCI_MANIFEST


@pytest.mark.parametrize(
    ("reference", "tag", "digest"), [("1.0", "1.0", ""), (DIGEST, "", DIGEST)], ids=["tag", "digest"]
)
def test_zot_tells_of_a_deleted_tag_or_of_a_deleted_manifest(reference: str, tag: str, digest: str) -> None:
    notice = read_event(cloud_event("zotregistry.image.deleted", ZOT | {"reference": reference}), binary=True)

    assert isinstance(notice, Notice)
    assert (notice.action, notice.tag, notice.digest) == (Action.DELETE, tag, digest)


def test_what_zot_holds_besides_images_starts_nothing() -> None:
    by_digest = ZOT | {"reference": DIGEST}
    other = ZOT | {"mediaType": "application/vnd.oci.image.layer.v1.tar"}
    assert read_event(cloud_event("zotregistry.image.updated", by_digest), binary=True) is Ignored.UNTAGGED
    assert read_event(cloud_event("zotregistry.image.updated", other), binary=True) is Ignored.MEDIA_TYPE


@both_modes
@pytest.mark.parametrize(
    ("kind", "action"),
    [
        ("drydock.image.pushed", Action.PUSH),
        ("drydock.image.deleted", Action.DELETE),
        ("drydock.image.pulled", Action.PULL),
    ],
)
def test_senders_of_ones_own_have_types_of_ours(binary: bool, kind: str, action: Action) -> None:
    notice = read_event(cloud_event(kind, IMAGE | {"actor": "ci"}), binary=binary)

    assert isinstance(notice, Notice)
    assert (notice.action, notice.repository.path, notice.actor) == (action, "team/app", "ci")


def test_data_in_base64_is_data() -> None:
    event = cloud_event("drydock.image.pushed", json.dumps(IMAGE).encode())
    message = sent(event, binary=False)
    assert b"data_base64" in message.body

    [notice] = read(message.headers, message.body)
    assert isinstance(notice, Notice)


def test_both_modes_of_one_event_have_the_same_id() -> None:
    event = cloud_event("drydock.image.pushed", IMAGE)
    first, second = read_event(event, binary=False), read_event(event, binary=True)

    assert isinstance(first, Notice)
    assert first == second


@pytest.mark.parametrize("change", [{"id": "e-2"}, {"source": "/other"}])
def test_an_event_is_told_by_source_and_id(change: dict[str, str]) -> None:
    first = read_event(cloud_event("drydock.image.pushed", IMAGE), binary=True)
    second = read_event(cloud_event("drydock.image.pushed", IMAGE, **change), binary=True)

    assert isinstance(first, Notice)
    assert isinstance(second, Notice)
    assert first.event_id != second.event_id


@both_modes
def test_other_types_start_nothing(binary: bool) -> None:
    for kind in ("harbor.scan.completed", "zotregistry.repository.created", "com.example.push"):
        assert read_event(cloud_event(kind, {"x": 1}), binary=binary) is Ignored.ACTION


@both_modes
@pytest.mark.parametrize(
    "data", [{}, {"repository": 7}, {"repository": "A"}, IMAGE | {"tag": "-"}, {"repository": "a"}]
)
def test_data_that_names_no_image_is_malformed(binary: bool, data: object) -> None:
    entry = read_event(cloud_event("drydock.image.pulled", data), binary=binary)
    assert entry is Ignored.MALFORMED


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"[" * 100_000,
        b"\xff",
        b'{"specversion": "1.0", "id": "1", "source": "s"}',
        b'{"specversion": "1.0", "id": "", "source": "s", "type": "t"}',
        b'{"specversion": "0.3", "id": "1", "source": "s", "type": "t"}',
        b'{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data_base64": "?"}',
    ],
)
def test_what_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(ServiceError) as refused:
        read(STRUCTURED, body)
    assert refused.value.reason == "WEBHOOK_MALFORMED"


BINARY = {
    "content-type": "application/json",
    "ce-specversion": "1.0",
    "ce-id": "1",
    "ce-source": "s",
    "ce-type": "drydock.image.pushed",
}


@pytest.mark.parametrize(
    "change", [{"ce-id": ""}, {"ce-specversion": "2"}, {"ce-source": "%ff"}, {"ce-id": "x" * 513}]
)
def test_headers_that_are_no_event_are_refused(change: dict[str, str]) -> None:
    with pytest.raises(ServiceError) as refused:
        read(BINARY | change, json.dumps(IMAGE).encode())
    assert refused.value.reason == "WEBHOOK_MALFORMED"


@pytest.mark.parametrize(
    ("media_type", "headers", "accepted"),
    [
        ("application/cloudevents+json", {}, True),
        ("application/cloudevents+json", {"ce-specversion": "1.0"}, True),
        ("application/cloudevents-batch+json", {"ce-specversion": "1.0"}, False),
        ("application/cloudevents+xml", {}, False),
        ("application/json", {"ce-specversion": "1.0"}, True),
        ("application/vnd.example+json", {"ce-specversion": "1.0"}, True),
        ("application/json", {}, False),
        ("text/plain", {"ce-specversion": "1.0"}, False),
        ("", {}, False),
    ],
)
def test_the_type_decides_about_the_mode(media_type: str, headers: dict[str, str], accepted: bool) -> None:
    assert LANGUAGE.accepts(media_type, headers) is accepted


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
KINDS = st.sampled_from(["drydock.image.deleted", "harbor.artifact.pushed", "zotregistry.image.deleted"])


@given(
    kind=KINDS, data=JSON, extra=st.dictionaries(st.sampled_from(["time", "operator", "data_base64"]), st.text())
)
def test_no_event_breaks_it(kind: str, data: Any, extra: dict[str, str]) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": kind, "data": data, **extra}
    try:
        read(STRUCTURED, json.dumps(event).encode())
    except ServiceError as error:
        assert error.reason == "WEBHOOK_MALFORMED"
