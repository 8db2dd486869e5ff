from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from services.fixer.image.assemble import AddedLayer, described, fixed_config, fixed_index, fixed_manifest
from services.fixer.image.mark import BASE_DIGEST, BASE_NAME, SOURCE, Origin, fix_of
from services.kernel.model import media
from services.kernel.model.digest import Digest, digest_of
from services.kernel.reasons import Reason, ScanFailure
from services.lab.image import BuiltImage, BuiltIndex, build_index
from services.registry.config import parse_config
from services.registry.interface import ImageManifest, RawManifest
from services.registry.limits import ImageLimits
from services.registry.manifest import IndexDocument, parse_manifest
from tests.builders.images import an_image

MADE = datetime(2026, 11, 26, 20, 0, 0, 999, tzinfo=UTC)
LAYER = AddedLayer(digest=digest_of(b"stored"), diff_id=digest_of(b"plain"), size=6)
ORIGIN = Origin(digest=digest_of(b"original"), name="localhost:5000/team/app:1.0")
CONFIG = (
    b'{ "os":"linux","architecture":"amd64","zz": {"b" : 1.0e5, "a":[ 1 ]},"big":123456789012345678901234567890,'
    b'"config":{"Labels":{"a":"b"},"Env":["X=\\u00e9"]},"rootfs":{"type":"layers","x":1,"diff_ids":["sha256:%s"]},'
    b'"history":[{"created_by":"base","unknown": [1 , 2]}],"created":"2020-01-01T00:00:00.5Z"}' % (b"a" * 64)
)


def raw(built: BuiltImage | BuiltIndex) -> RawManifest:
    return RawManifest(media_type=built.media_type, digest=built.digest, content=built.manifest)


def config() -> bytes:
    return fixed_config(CONFIG, LAYER, created=MADE, created_by="drydock fix openssl")


def test_the_configuration_gets_a_layer_and_keeps_every_other_byte() -> None:
    made = config()

    for kept in (
        b'{"b" : 1.0e5, "a":[ 1 ]}',
        b"123456789012345678901234567890",
        b'{"Labels":{"a":"b"},"Env":["X=',
    ):
        assert kept in made
    assert b'{"created_by":"base","unknown": [1 , 2]}' in made
    told = msgspec.json.decode(made)
    assert list(told) == list(msgspec.json.decode(CONFIG))
    assert told["rootfs"] == {"type": "layers", "x": 1, "diff_ids": ["sha256:" + "a" * 64, LAYER.diff_id]}
    assert told["created"] == "2026-11-26T20:00:00Z"
    assert told["history"][-1]["created_by"] == "drydock fix openssl"
    assert made == config()


def test_a_configuration_without_history_gets_none() -> None:
    plain = msgspec.json.encode({"rootfs": {"diff_ids": []}, "history": None})

    assert msgspec.json.decode(fixed_config(plain, LAYER, created=MADE, created_by="x"))["history"] is None


@pytest.mark.parametrize("content", [b"[]", b"{}", b'{"rootfs":[]}', b'{"rootfs":{"diff_ids":[]},"history":1}'])
def test_a_configuration_that_cannot_be_changed_is_refused(content: bytes) -> None:
    with pytest.raises(ScanFailure) as caught:
        fixed_config(content, LAYER, created=MADE, created_by="x")

    assert caught.value.why is Reason.CONFIG_INVALID


@pytest.mark.parametrize("docker", [False, True])
def test_a_manifest_stays_of_its_kind(docker: bool) -> None:
    from services.lab.image import build_image
    from tests.builders.images import a_layer

    original = raw(build_image([a_layer()], docker=docker))

    fixed = fixed_manifest(original, config(), LAYER, ORIGIN)

    assert fixed.media_type == original.media_type
    image = parse_manifest(fixed, ImageLimits())
    assert isinstance(image, ImageManifest)
    assert image.config.digest == digest_of(config())
    assert image.config.media_type == (media.DOCKER_CONFIG if docker else media.OCI_CONFIG)
    assert image.layers[-1].digest == LAYER.digest
    assert image.layers[-1].media_type == (media.DOCKER_LAYER_GZIP if docker else f"{media.OCI_LAYER}+gzip")
    assert parse_config(config(), image).diff_ids[-1] == LAYER.diff_id


def test_a_manifest_keeps_its_annotations_and_says_what_it_was_made_from() -> None:
    document = msgspec.json.decode(an_image().manifest)
    document["annotations"] = {"org.example": "kept", BASE_NAME: "older"}
    document["config"] |= {"data": "e30=", "annotations": {"x": "y"}}
    document["unknown"] = [1]
    content = msgspec.json.encode(document)

    fixed = fixed_manifest(
        RawManifest(media_type="", digest=digest_of(content), content=content), config(), LAYER, ORIGIN
    )

    told = msgspec.json.decode(fixed.content)
    assert told["annotations"]["org.example"] == "kept"
    assert told["annotations"][BASE_NAME] == ORIGIN.name
    assert told["annotations"][BASE_DIGEST] == told["annotations"][SOURCE] == ORIGIN.digest
    assert told["config"] == {
        "mediaType": media.OCI_CONFIG,
        "digest": digest_of(config()),
        "size": len(config()),
        "annotations": {"x": "y"},
    }
    assert told["unknown"] == [1]
    assert fix_of(fixed.content) == ORIGIN.digest
    assert fix_of(content) is None


@pytest.mark.parametrize("docker", [False, True])
def test_an_index_leads_to_the_fixed_image_and_keeps_the_others_in_their_order(docker: bool) -> None:
    first, second, third = an_image("a"), an_image("b"), an_image("c")
    original = raw(build_index([first, second, third], docker=docker, attestations=True))
    fixed = fixed_manifest(raw(second), config(), LAYER, ORIGIN)

    index = fixed_index(original, {second.digest: described(fixed)}, ORIGIN)

    before, after = (msgspec.json.decode(each)["manifests"] for each in (original.content, index.raw.content))
    assert [each["digest"] for each in after[:3]] == [first.digest, fixed.digest, third.digest]
    assert after[1]["size"] == len(fixed.content)
    assert after[1]["platform"] == before[1]["platform"]
    assert index.dropped == (before[4]["digest"],)
    assert after[3:] == [before[3], before[5]]
    assert index.raw.media_type == original.media_type
    assert isinstance(parse_manifest(index.raw, ImageLimits()), IndexDocument)
    assert fix_of(index.raw.content) == ORIGIN.digest


def test_indexes_inside_indexes_are_made_from_the_inside() -> None:
    image = an_image()
    inner = build_index([image])
    outer = build_index([inner, an_image("other")])
    fixed = fixed_manifest(raw(image), config(), LAYER, ORIGIN)

    within = fixed_index(raw(inner), {image.digest: described(fixed)}, ORIGIN).raw
    without = fixed_index(raw(outer), {inner.digest: described(within)}, ORIGIN).raw

    told = msgspec.json.decode(without.content)["manifests"]
    assert [each["digest"] for each in told] == [within.digest, an_image("other").digest]


@pytest.mark.parametrize("content", [b"[]", b"{}", b'{"manifests":[1]}', b'{"manifests":[],"annotations":1}'])
def test_an_index_that_cannot_be_changed_is_refused(content: bytes) -> None:
    original = RawManifest(media_type=media.OCI_INDEX, digest=digest_of(content), content=content)

    with pytest.raises(ScanFailure) as caught:
        fixed_index(original, {}, ORIGIN)

    assert caught.value.why is Reason.MANIFEST_INVALID


@pytest.mark.parametrize(
    "annotations",
    [{SOURCE: "sha256:short"}, {SOURCE: ORIGIN.digest}, {SOURCE: 1, "dev.drydock.fix.format": "1"}, None],
)
def test_half_a_mark_is_none(annotations: object) -> None:
    assert fix_of(msgspec.json.encode({"annotations": annotations})) is None
    assert fix_of(b"no json") is None
    assert fix_of(
        msgspec.json.encode({"annotations": Origin(digest=Digest(ORIGIN.digest), name="").annotations()})
    )
