"""Damaged documents of registries, webhooks and advisory feeds are read, or refused with a reason."""

from __future__ import annotations

import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.webhooks.cloudevents import CloudEvents
from services.gateway.webhooks.envelope import open_envelope, read_event
from services.gateway.webhooks.harbor import Harbor
from services.kernel.errors import ServiceError
from services.kernel.model.digest import digest_of
from services.kernel.reasons import ScanFailure
from services.kernel.versions import sort_key
from services.lab.image import build_image, build_index
from services.registry.config import parse_config
from services.registry.interface import ImageManifest, RawManifest
from services.registry.limits import ImageLimits
from services.registry.manifest import parse_manifest
from services.scanner.advisories.claims import claims_of
from services.scanner.advisories.merge import merge
from services.scanner.advisories.sources import read_source
from tests.builders.images import a_layer
from tests.builders.senders import an_instance
from tests.fuzz.damage import damaged

IMAGE = build_image([a_layer("base"), a_layer("app")])
EVENTS_FOLDER = Path(__file__).parents[1] / "fixtures" / "events"
EVENTS = sorted(EVENTS_FOLDER.glob("*_event.json"))
RECORD = (
    b'{"id":"GHSA-aaaa-bbbb-cccc","modified":"2025-06-01T00:00:00Z","aliases":["CVE-2024-1"],'
    b'"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:L/A:N"}],'
    b'"affected":[{"package":{"ecosystem":"PyPI","name":"Jinja2"},"versions":["2.9","2.9.1"],'
    b'"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"2.10.1"}]}]}]}'
)


@pytest.mark.parametrize("document", [IMAGE.manifest, build_index([IMAGE]).manifest], ids=["image", "index"])
@given(data=st.data())
def test_a_manifest(document: bytes, data: st.DataObject) -> None:
    content = data.draw(damaged(document))
    raw = RawManifest(media_type="", digest=digest_of(content), content=content)
    try:
        assert parse_manifest(raw, ImageLimits()).digest == raw.digest
    except ScanFailure as failure:
        assert failure.message


@given(data=st.data())
def test_an_image_s_configuration(data: st.DataObject) -> None:
    raw = RawManifest(media_type=IMAGE.media_type, digest=IMAGE.digest, content=IMAGE.manifest)
    manifest = parse_manifest(raw, ImageLimits())
    assert isinstance(manifest, ImageManifest)
    try:
        config = parse_config(data.draw(damaged(IMAGE.blobs[manifest.config.digest])), manifest)
        assert len(config.diff_ids) == len(manifest.layers)
    except ScanFailure as failure:
        assert failure.message


@pytest.mark.parametrize("event", EVENTS, ids=lambda path: path.stem)
@given(data=st.data())
def test_a_registry_s_event(event: Path, data: st.DataObject) -> None:
    try:
        events = open_envelope(data.draw(damaged(event.read_bytes())))
    except ServiceError as error:
        assert error.reason.startswith("WEBHOOK_")
    else:
        for each in events:
            read_event("cri-1", each)


@given(data=st.data())
def test_a_payload_of_harbor(data: st.DataObject) -> None:
    body = data.draw(damaged((EVENTS_FOLDER / "harbor_push_artifact.json").read_bytes()))
    try:
        Harbor().read(an_instance(), {}, body)
    except ServiceError as error:
        assert error.reason == "WEBHOOK_MALFORMED"


@given(data=st.data())
def test_a_cloud_event(data: st.DataObject) -> None:
    body = data.draw(damaged((EVENTS_FOLDER / "harbor_pull_cloudevent.json").read_bytes()))
    try:
        CloudEvents().read(an_instance(), {"content-type": "application/cloudevents+json"}, body)
    except ServiceError as error:
        assert error.reason == "WEBHOOK_MALFORMED"


@given(data=st.data())
def test_an_advisory(data: st.DataObject) -> None:
    with tempfile.NamedTemporaryFile(suffix=".ndjson") as file:
        file.write(data.draw(damaged(RECORD)) + b"\n")
        file.flush()
        try:
            records = read_source(Path(file.name), "feed")
            claims = [claim for record in records for claim in claims_of(record, Counter())]
        except ServiceError as error:
            assert error.reason.startswith("ADVISORY_SOURCE_")
        else:
            merge([claim for _, claim in claims], partial(sort_key, "pep440"), system=False)
