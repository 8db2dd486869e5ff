"""Names of images as people type them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.errors import ServiceError
from services.kernel.model.reference import (
    ArchiveKind,
    ArchiveReference,
    LayoutReference,
    RegistryReference,
    parse_image,
    parse_reference,
    parse_repository,
)

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "host", "path", "tag", "digest"),
    [
        ("localhost:5000/team/app:1.0", "localhost:5000", "team/app", "1.0", None),
        ("127.0.0.1:5000/app", "127.0.0.1:5000", "app", "latest", None),
        (f"r.example.com/a/b/c@{DIGEST}", "r.example.com", "a/b/c", None, DIGEST),
        (f"r.example.com/a/b:1@{DIGEST}", "r.example.com", "a/b", "1", DIGEST),
        ("[::1]:5000/app:x_fixd", "[::1]:5000", "app", "x_fixd", None),
    ],
)
def test_a_registry_reference_is_split(
    text: str, host: str, path: str, tag: str | None, digest: str | None
) -> None:
    parsed = parse_reference(text)
    assert isinstance(parsed, RegistryReference)
    assert (parsed.host, parsed.image.repository.path) == (host, path)
    assert (parsed.image.tag, parsed.image.digest) == (tag, digest)


@pytest.mark.parametrize(
    ("text", "path", "tag"),
    [("oci:./out", "./out", None), ("oci:/x/y:1.0", "/x/y", "1.0"), ("oci:a:b/c", "a:b/c", None)],
)
def test_a_layout_reference_is_split_at_its_last_colon(text: str, path: str, tag: str | None) -> None:
    assert parse_reference(text) == LayoutReference(path=path, tag=tag)


@pytest.mark.parametrize(
    ("text", "kind", "path", "name"),
    [
        ("oci-archive:out.tar", ArchiveKind.OCI, "out.tar", ""),
        ("oci-archive:/x/y.tar:1.0", ArchiveKind.OCI, "/x/y.tar", "1.0"),
        ("oci-archive:y.tar:docker.io/library/a:1", ArchiveKind.OCI, "y.tar", "docker.io/library/a:1"),
        ("docker-archive:./y.tar:localhost:5000/a:1", ArchiveKind.DOCKER, "./y.tar", "localhost:5000/a:1"),
        ("docker-archive:y.tar:@3", ArchiveKind.DOCKER, "y.tar", "@3"),
    ],
)
def test_an_archive_reference_is_split_at_its_first_colon(
    text: str, kind: ArchiveKind, path: str, name: str
) -> None:
    parsed = parse_reference(text)

    assert parsed == ArchiveReference(kind=kind, path=path, name=name)
    assert str(parsed) == text


@pytest.mark.parametrize(
    "text", ["oci-archive:", "docker-archive::x", "oci-archive:a:", "docker-archive:a:@x", "docker-archive:a:b c"]
)
def test_what_names_no_archive_is_refused(text: str) -> None:
    with pytest.raises(ServiceError) as caught:
        parse_reference(text)
    assert caught.value.reason == "INVALID_REFERENCE"


def test_the_namespace_is_all_before_the_last_segment() -> None:
    assert (parse_repository("a/b/c").namespace, parse_repository("a/b/c").name) == ("a/b", "c")
    assert (parse_repository("c").namespace, parse_repository("c").path) == ("_", "c")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "app",
        "team/app:1.0",
        "Host.com/UPPER:1",
        "h.com/a:",
        "h.com/a:-x",
        "h.com/a@sha256:1",
        "h.com//a",
        "h.com/../a",
    ],
)
def test_what_is_no_image_name_is_refused_with_the_rule(text: str) -> None:
    with pytest.raises(ServiceError) as caught:
        parse_reference(text)
    assert caught.value.reason in ("INVALID_REFERENCE", "INVALID_ADDRESS")


@given(st.text(max_size=60))
def test_any_text_is_either_a_name_or_an_error_of_ours(text: str) -> None:
    try:
        image = parse_image(text)
    except ServiceError:
        return
    assert parse_repository(image.repository.path) == image.repository
