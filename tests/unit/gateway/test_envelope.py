"""Envelopes of registries: what is read from them, and that nothing in them breaks us."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.webhooks.envelope import MAX_EVENTS, open_envelope, read_event
from services.gateway.webhooks.notice import Action, Ignored, Notice
from services.kernel.errors import ServiceError
from services.kernel.model import media
from tests.builders.gateway import INSTANCE_ID

FIXTURES = Path(__file__).parents[2] / "fixtures" / "events"
DIGEST = "sha256:" + "a" * 64
INDEX = "application/vnd.oci.image.index.v1+json"


def event(**changes: Any) -> dict[str, Any]:
    target = {"mediaType": INDEX, "digest": DIGEST, "repository": "team/app", "tag": "1.0"}
    whole = {"id": "e-1", "timestamp": "2026-11-23T03:51:21.209361525Z", "action": "push", "target": target}
    target.update(changes.pop("target", {}))
    return {**whole, **changes}


def read(wire: object) -> Notice | Ignored:
    return read_event(INSTANCE_ID, json.dumps(wire).encode())


def notices_in(fixture: str) -> list[Notice | Ignored]:
    return [read_event(INSTANCE_ID, raw) for raw in open_envelope((FIXTURES / fixture).read_bytes())]


def test_a_real_push_of_a_tag_is_noticed() -> None:
    [notice] = notices_in("registry_push_event.json")

    assert isinstance(notice, Notice)
    assert (notice.action, notice.repository.path, notice.tag) == (Action.PUSH, "library/debian", "12-old")
    assert notice.digest == "sha256:abaf9c3fc8cf3da46c4dcc4e040b8cce0c8e1c2d55a0d8dcd4d99a8b971ad55b"
    assert notice.media_type == "application/vnd.oci.image.manifest.v1+json"
    assert notice.occurred_at == datetime(2026, 11, 23, 3, 51, 21, 209362, tzinfo=UTC)
    assert uuid.UUID(notice.event_id).version == 5


def test_a_real_push_of_an_index_is_noticed() -> None:
    [notice] = notices_in("registry_push_index_event.json")

    assert isinstance(notice, Notice)
    assert notice.media_type == INDEX


def test_a_real_deletion_of_a_tag_has_no_digest() -> None:
    [notice] = notices_in("registry_delete_event.json")

    assert isinstance(notice, Notice)
    assert (notice.action, notice.tag, notice.digest) == (Action.DELETE, "1", "")


@pytest.mark.parametrize("fixture", ["registry_push_blob_event.json", "registry_htpasswd_event.json"])
def test_real_events_about_layers_start_nothing(fixture: str) -> None:
    assert notices_in(fixture) == [Ignored.MEDIA_TYPE]


@pytest.mark.parametrize("media_type", sorted(media.MANIFEST_TYPES | media.INDEX_TYPES))
def test_every_manifest_type_is_noticed(media_type: str) -> None:
    assert isinstance(read(event(target={"mediaType": media_type})), Notice)


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        (event(action="mount"), Ignored.ACTION),
        (event(action=""), Ignored.ACTION),
        (event(action="PUSH"), Ignored.ACTION),
        (event(target={"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip"}), Ignored.MEDIA_TYPE),
        (event(target={"mediaType": ""}), Ignored.MEDIA_TYPE),
        (event(target={"tag": ""}), Ignored.UNTAGGED),
        (event(target={"tag": "../x"}), Ignored.MALFORMED),
        (event(target={"tag": 5}), Ignored.MALFORMED),
        (event(target={"digest": "sha256:xyz"}), Ignored.MALFORMED),
        (event(target={"digest": ""}), Ignored.MALFORMED),
        (event(target={"repository": "UPPER/case"}), Ignored.MALFORMED),
        (event(target={"repository": "a/" * 200 + "b"}), Ignored.MALFORMED),
        (event(target={"repository": ""}), Ignored.MALFORMED),
        (event(id=""), Ignored.MALFORMED),
        (event(id="x" * 300), Ignored.MALFORMED),
        ({**event(), "target": None}, Ignored.MALFORMED),
        (event(action="pull", target={"digest": ""}), Ignored.MALFORMED),
        (event(action="pull", request={"method": "HEAD"}), Ignored.LOOK),
        (event(action="pull", request={"method": "GET", "useragent": "drydock"}), Ignored.SCANNER),
        (event(action="pull", request={"method": "GET", "useragent": "trivy/0.72.0 x"}), Ignored.SCANNER),
        (event(action="pull", request={"method": 5}), Ignored.MALFORMED),
        (None, Ignored.MALFORMED),
        ([], Ignored.MALFORMED),
        ("push", Ignored.MALFORMED),
    ],
)
def test_what_cannot_be_used_is_ignored_with_its_reason(wire: object, why: Ignored) -> None:
    assert read(wire) is why


def test_a_deletion_by_digest_names_no_media_type() -> None:
    notice = read(event(action="delete", target={"mediaType": "", "tag": ""}))

    assert isinstance(notice, Notice)
    assert (notice.action, notice.tag, notice.digest) == (Action.DELETE, "", DIGEST)


def test_a_deletion_of_neither_tag_nor_digest_is_of_the_repository() -> None:
    notice = read(event(action="delete", target={"mediaType": "", "tag": "", "digest": ""}))

    assert isinstance(notice, Notice)
    assert (notice.repository.path, notice.tag, notice.digest) == ("team/app", "", "")


@pytest.mark.parametrize("request_", [{}, {"method": "GET", "useragent": "containerd/1.7"}])
def test_a_pull_by_somebody_else_is_noticed(request_: dict[str, str]) -> None:
    notice = read(event(action="pull", request=request_))

    assert isinstance(notice, Notice)
    assert (notice.action, notice.tag, notice.digest) == (Action.PULL, "1.0", DIGEST)


@pytest.mark.parametrize("method", ["HEAD", "PUT"])
def test_what_a_pusher_is_called_and_how_it_pushes_does_not_matter(method: str) -> None:
    assert isinstance(read(event(request={"method": method, "useragent": "drydock"})), Notice)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-11-23T03:51:21", "9999-99-99T00:00:00Z", "0001-01-01T00:00:00+14:00"]
)
def test_an_unreadable_time_does_not_lose_the_event(text: str) -> None:
    notice = read(event(timestamp=text))

    assert isinstance(notice, Notice)
    assert notice.occurred_at is None


def test_the_same_event_has_the_same_id_and_any_other_another() -> None:
    def id_of(instance_id: str, **changes: Any) -> str:
        notice = read_event(instance_id, json.dumps(event(**changes)).encode())
        assert isinstance(notice, Notice)
        return notice.event_id

    ids = [
        id_of(INSTANCE_ID),
        id_of("cri-other"),
        id_of(INSTANCE_ID, id="e-2"),
        id_of(INSTANCE_ID, target={"tag": "2.0"}),
        id_of(INSTANCE_ID, action="pull"),
        id_of(INSTANCE_ID, target={"digest": "sha256:" + "b" * 64}),
    ]

    assert len(set(ids)) == len(ids)
    assert id_of(INSTANCE_ID) == ids[0]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"events": 5}', b'{"events": null}', b"{}", b"\xff\xfe", b"[" * 100_000]
)
def test_a_body_that_is_no_envelope_is_refused(body: bytes) -> None:
    with pytest.raises(ServiceError) as caught:
        open_envelope(body)

    assert caught.value.reason == "WEBHOOK_MALFORMED"


def test_deep_nesting_inside_an_event_does_not_spoil_the_others() -> None:
    deep = b'{"target": ' + b"[" * 500 + b"]" * 500 + b"}"
    body = b'{"events": [' + deep + b"," + json.dumps(event()).encode() + b"]}"

    read_events = [read_event(INSTANCE_ID, raw) for raw in open_envelope(body)]

    assert read_events[0] is Ignored.MALFORMED
    assert isinstance(read_events[1], Notice)


def test_an_envelope_with_too_many_events_is_refused() -> None:
    body = b'{"events": [' + b",".join([b"{}"] * (MAX_EVENTS + 1)) + b"]}"

    with pytest.raises(ServiceError) as caught:
        open_envelope(body)

    assert caught.value.reason == "WEBHOOK_TOO_MANY_EVENTS"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "id": JSON,
            "action": st.sampled_from(["push", "delete", "pull"]) | JSON,
            "timestamp": JSON,
            "actor": JSON,
            "target": JSON
            | st.fixed_dictionaries(
                {},
                optional={
                    "mediaType": st.sampled_from([INDEX, ""]) | JSON,
                    "digest": st.just(DIGEST) | JSON,
                    "repository": st.just("a/b") | JSON,
                    "tag": st.just("1") | JSON,
                },
            ),
        },
    )
)
def test_no_event_makes_reading_fail(wire: dict[str, Any]) -> None:
    assert isinstance(read_event(INSTANCE_ID, msgspec.json.encode(wire)), Notice | Ignored)


@given(st.binary(max_size=200))
def test_no_bytes_make_reading_fail(raw: bytes) -> None:
    assert isinstance(read_event(INSTANCE_ID, raw), Notice | Ignored)
