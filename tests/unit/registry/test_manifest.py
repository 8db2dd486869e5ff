"""Manifests, indexes and configurations: what is read, and what each broken or foreign one is called."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.model import media
from services.kernel.model.digest import digest_of
from services.kernel.model.platform import Platform, parse_platform
from services.kernel.reasons import Reason, ScanFailure
from services.lab.image import LINUX_AMD64, build_image, build_index, descriptor
from services.registry.config import parse_config
from services.registry.interface import ImageManifest, RawManifest
from services.registry.limits import ImageLimits
from services.registry.manifest import IndexDocument, parse_manifest
from tests.builders.images import a_layer, an_image

LIMITS = ImageLimits()
CONFIG = descriptor(media.OCI_CONFIG, b"{}")
LAYER = descriptor(f"{media.OCI_LAYER}+gzip", b"layer")
CHILD = descriptor(media.OCI_MANIFEST, b"child")


def raw(document: object, media_type: str = media.OCI_MANIFEST) -> RawManifest:
    content = document if isinstance(document, bytes) else msgspec.json.encode(document)
    return RawManifest(media_type=media_type, digest=digest_of(content), content=content)


def image(**fields: object) -> dict[str, object]:
    return {"schemaVersion": 2, "config": CONFIG, "layers": [LAYER]} | fields


def index(*children: dict[str, object], **fields: object) -> dict[str, object]:
    return {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": list(children)} | fields


def reason_of(document: object, media_type: str = media.OCI_MANIFEST) -> Reason:
    with pytest.raises(ScanFailure) as caught:
        parse_manifest(raw(document, media_type), LIMITS)
    assert caught.value.message.endswith(".")
    return caught.value.why


@pytest.mark.parametrize("docker", [False, True])
def test_image_manifest_is_read(docker: bool) -> None:
    built = build_image([a_layer("base"), a_layer("app")], docker=docker)

    parsed = parse_manifest(raw(built.manifest, built.media_type), LIMITS)

    assert isinstance(parsed, ImageManifest)
    assert parsed.digest == built.digest
    assert [layer.digest for layer in parsed.layers] == [layer.digest for layer in built.layers]
    assert all(media.is_readable_layer(layer.media_type) for layer in parsed.layers)


@pytest.mark.parametrize("served_as", ["", "application/json", "text/plain; charset=utf-8"])
def test_body_decides_where_the_media_type_says_nothing(served_as: str) -> None:
    assert isinstance(parse_manifest(raw(image(), served_as), LIMITS), ImageManifest)
    assert isinstance(parse_manifest(raw(index(CHILD), served_as), LIMITS), IndexDocument)
    nameless = {"schemaVersion": 2, "manifests": [CHILD]}
    assert isinstance(parse_manifest(raw(nameless, served_as), LIMITS), IndexDocument)


def test_repeated_and_foreign_layers_are_kept_as_they_stand() -> None:
    foreign = descriptor("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", b"windows")
    parsed = parse_manifest(raw(image(layers=[LAYER, foreign, LAYER])), LIMITS)

    assert isinstance(parsed, ImageManifest)
    assert [layer.digest for layer in parsed.layers] == [LAYER["digest"], foreign["digest"], LAYER["digest"]]


def test_image_without_layers_is_an_image() -> None:
    none: tuple[list[object] | None, ...] = ([], None)
    for layers in none:
        parsed = parse_manifest(raw(image(layers=layers)), LIMITS)
        assert isinstance(parsed, ImageManifest)
        assert parsed.layers == ()


@pytest.mark.parametrize(
    ("document", "served_as", "why"),
    [
        (b"", media.OCI_MANIFEST, Reason.MANIFEST_INVALID),
        (b"\xff\xfe", media.OCI_MANIFEST, Reason.MANIFEST_INVALID),
        (b"[" * 100_000, media.OCI_MANIFEST, Reason.MANIFEST_INVALID),
        (b"[]", media.OCI_MANIFEST, Reason.MANIFEST_INVALID),
        ({}, media.OCI_MANIFEST, Reason.MANIFEST_INVALID),
        ({"schemaVersion": 3}, media.OCI_MANIFEST, Reason.MANIFEST_INVALID),
        ({"schemaVersion": 2}, media.OCI_MANIFEST, Reason.MANIFEST_INVALID),
        ({"schemaVersion": 2}, media.OCI_INDEX, Reason.MANIFEST_INVALID),
        (image(config={**CONFIG, "digest": "sha256:../../etc"}), media.OCI_MANIFEST, Reason.MANIFEST_INVALID),
        (image(layers=[{**LAYER, "size": -1}]), media.OCI_MANIFEST, Reason.MANIFEST_INVALID),
        (image(layers=[{**LAYER, "size": 1 << 62}]), media.OCI_MANIFEST, Reason.MANIFEST_INVALID),
        (image(layers=[{"digest": LAYER["digest"]}]), media.OCI_MANIFEST, Reason.MANIFEST_INVALID),
        # One thing to one reader and another to the next: the attack that the media type in the body is against.
        (image(manifests=[CHILD]), media.OCI_MANIFEST, Reason.MANIFEST_INVALID),
        (image(mediaType=media.OCI_INDEX), media.OCI_MANIFEST, Reason.MANIFEST_INVALID),
        (image(mediaType=media.OCI_MANIFEST), media.OCI_INDEX, Reason.MANIFEST_INVALID),
        (image(), media.OCI_INDEX, Reason.MANIFEST_INVALID),
        (index(CHILD), media.OCI_MANIFEST, Reason.MANIFEST_INVALID),
        ({"schemaVersion": 1, "fsLayers": []}, "application/json", Reason.UNSUPPORTED_MEDIA_TYPE),
        (
            {"schemaVersion": 1},
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            Reason.UNSUPPORTED_MEDIA_TYPE,
        ),
        (image(mediaType="application/vnd.other+json"), "application/json", Reason.UNSUPPORTED_MEDIA_TYPE),
        (image(layers=[LAYER] * 501), media.OCI_MANIFEST, Reason.TOO_MANY_LAYERS),
        (index(*[CHILD] * 1001), media.OCI_INDEX, Reason.MANIFEST_TOO_LARGE),
        (b" " * (4 << 20) + b"{}", media.OCI_MANIFEST, Reason.MANIFEST_TOO_LARGE),
    ],
)
def test_broken_manifest_has_its_reason(document: object, served_as: str, why: Reason) -> None:
    assert reason_of(document, served_as) is why


@pytest.mark.parametrize(
    "document",
    [
        image(
            config=descriptor("application/vnd.cncf.helm.config.v1+json", b"{}"),
            layers=[descriptor("application/vnd.cncf.helm.chart.content.v1.tar+gzip", b"chart")],
        ),
        image(
            artifactType="application/vnd.example", config=descriptor("application/vnd.oci.empty.v1+json", b"{}")
        ),
        image(config=descriptor("application/vnd.oci.empty.v1+json", b"{}"), layers=[]),
        # A signature and an attestation: an image's configuration type, but nothing of an image in it.
        image(layers=[descriptor("application/vnd.dev.cosign.simplesigning.v1+json", b"signature")]),
        image(layers=[descriptor("application/vnd.in-toto+json", b"statement")]),
        {"schemaVersion": 2, "mediaType": media.OCI_ARTIFACT, "artifactType": "application/vnd.example"},
    ],
)
def test_what_is_no_image_is_said_to_be_none(document: object) -> None:
    served_as = media.OCI_ARTIFACT if "layers" not in msgspec.to_builtins(document) else media.OCI_MANIFEST
    assert reason_of(document, served_as) is Reason.NOT_AN_IMAGE


@pytest.mark.parametrize(
    "children",
    [
        (),
        ({**CHILD, "platform": {"os": "unknown", "architecture": "unknown"}},),
        (descriptor("application/vnd.other+json", b"other"),),
    ],
)
def test_index_without_a_runnable_image_is_empty(children: tuple[dict[str, object], ...]) -> None:
    assert reason_of(index(*children), media.OCI_INDEX) is Reason.EMPTY_INDEX
    assert reason_of(index(*children) | {"manifests": list(children) or None}, "") is Reason.EMPTY_INDEX


def test_index_keeps_images_and_leaves_attestations_out() -> None:
    built = build_index([an_image("a"), build_index([an_image("b")])], attestations=True)

    parsed = parse_manifest(raw(built.manifest, built.media_type), LIMITS)

    assert isinstance(parsed, IndexDocument)
    assert [(entry.platform, entry.nested) for entry in parsed.entries] == [(LINUX_AMD64, False), (None, True)]


@pytest.mark.parametrize(
    "mark",
    [{"annotations": {"vnd.docker.reference.type": "attestation-manifest"}}, {"artifactType": "application/x"}],
)
def test_a_mark_alone_takes_no_platform_out_of_an_index(mark: dict[str, object]) -> None:
    platform = {"os": "linux", "architecture": "amd64"}

    parsed = parse_manifest(raw(index({**CHILD, **mark, "platform": platform}), media.OCI_INDEX), LIMITS)

    assert isinstance(parsed, IndexDocument)
    [entry] = parsed.entries
    assert entry.platform is None  # its own manifest will tell what it is


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from([2, media.OCI_INDEX]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["schemaVersion", "mediaType", "config", "layers", "manifests", "digest", "size"]),
                inner,
            )
        ),
        max_leaves=20,
    )
)
def test_whatever_json_comes_is_read_or_refused_with_a_reason(document: object) -> None:
    try:
        parse_manifest(raw(document), LIMITS)
    except ScanFailure as failure:
        assert failure.why.retry.value == "NEVER"


@given(st.binary(max_size=200))
def test_whatever_bytes_come_are_refused_with_a_reason(content: bytes) -> None:
    with pytest.raises(ScanFailure):
        parse_manifest(raw(content), LIMITS)


MANIFEST = parse_manifest(raw(image()), LIMITS)


def config(**fields: object) -> bytes:
    return msgspec.json.encode(
        {"os": "linux", "architecture": "arm64", "variant": "v8", "rootfs": {"diff_ids": [digest_of(b"x")]}}
        | fields
    )


def test_config_gives_platform_and_diff_ids() -> None:
    assert isinstance(MANIFEST, ImageManifest)
    parsed = parse_config(config(), MANIFEST)

    assert parsed.platform == Platform(os="linux", architecture="arm64", variant="v8")
    assert parsed.diff_ids == (digest_of(b"x"),)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"\xff",
        config(os=""),
        config(architecture=""),
        config(rootfs=None),
        config(rootfs={"diff_ids": []}),
        config(rootfs={"diff_ids": [digest_of(b"x")] * 2}),
        config(rootfs={"diff_ids": ["sha256:short"]}),
        config(os=["linux"]),
    ],
)
def test_broken_config_is_invalid(content: bytes) -> None:
    assert isinstance(MANIFEST, ImageManifest)
    with pytest.raises(ScanFailure) as caught:
        parse_config(content, MANIFEST)

    assert caught.value.why is Reason.CONFIG_INVALID


@given(st.text(min_size=1, max_size=100), st.text(min_size=1, max_size=100), st.text(max_size=100))
def test_whatever_platform_is_claimed_it_is_one_or_named_as_what_is_wrong(
    os: str, arch: str, variant: str
) -> None:
    claimed = {"os": os, "architecture": arch, "variant": variant}
    assert isinstance(MANIFEST, ImageManifest)
    try:
        found = parse_config(config(**claimed), MANIFEST).platform
    except ScanFailure as failure:
        assert failure.why is Reason.CONFIG_INVALID
        assert failure.message.isprintable()
    else:
        assert found == parse_platform(str(found))


@pytest.mark.parametrize(
    ("part", "word"), [("os", "linux\0"), ("architecture", "a" * 65), ("variant", "v8/x"), ("variant", "v 8")]
)
def test_platform_that_is_none_is_refused_wherever_it_is_claimed(part: str, word: str) -> None:
    claimed = {"os": "linux", "architecture": "arm64", part: word}
    assert isinstance(MANIFEST, ImageManifest)
    with pytest.raises(ScanFailure) as of_config:
        parse_config(config(**claimed), MANIFEST)
    with pytest.raises(ScanFailure) as of_index:
        parse_manifest(raw(index(CHILD | {"platform": claimed}), media.OCI_INDEX), LIMITS)

    assert (of_config.value.why, of_index.value.why) == (Reason.CONFIG_INVALID, Reason.MANIFEST_INVALID)
    for failure in (of_config.value, of_index.value):
        assert f"no {part} of a platform" in failure.message
        assert "\0" not in failure.message
