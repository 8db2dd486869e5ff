"""Where an image's packages come from, as files beside its package database tell."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scanner.catalogers.systems.channels import ChannelsCataloger

MANIFEST = "root/buildinfo/content_manifests/ubi9-container-9.4-1214.json"
STATUS = "var/lib/ubuntu-advantage/status.json"
LIST = "etc/apt/sources.list.d/ubuntu-esm-infra.list"
SOURCES = "etc/apt/sources.list.d/ubuntu-esm-apps.sources"
PRO = {
    "attached": True,
    "services": [{"name": "esm-infra", "status": "enabled"}, {"name": "fips", "status": "n/a"}],
}


def channels(path: str, content: bytes) -> tuple[str, ...]:
    evidence = ChannelsCataloger().read(path, content)
    assert evidence.warnings == ()
    return evidence.channels


def test_content_sets_of_red_hat_are_read() -> None:
    text = json.dumps({"metadata": {"icm_version": 1}, "content_sets": ["rhel-9-for-x86_64-baseos-rpms", "ubi-9"]})

    assert channels(MANIFEST, text.encode()) == ("rhel-9-for-x86_64-baseos-rpms", "ubi-9")


@pytest.mark.parametrize(
    ("status", "expected"), [(PRO, ("esm-infra",)), ({**PRO, "attached": False}, ()), ({"attached": True}, ())]
)
def test_services_of_ubuntu_pro_count_while_it_is_attached(
    status: dict[str, object], expected: tuple[str, ...]
) -> None:
    assert channels(STATUS, json.dumps(status).encode()) == expected


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        (LIST, b"deb https://esm.ubuntu.com/infra/ubuntu jammy-infra-security main\n", ("esm-infra",)),
        (LIST, b"# deb https://esm.ubuntu.com/infra/ubuntu jammy-infra-security main\n", ()),
        (LIST, b"", ()),
        (SOURCES, b"Types: deb\nURIs: https://esm.ubuntu.com/apps/ubuntu\nSuites: x\n", ("esm-apps",)),
        (SOURCES, b"Enabled: no\nTypes: deb\nURIs: https://esm.ubuntu.com/apps/ubuntu\n", ()),
    ],
)
def test_a_list_of_apt_counts_where_it_is_in_use(path: str, content: bytes, expected: tuple[str, ...]) -> None:
    assert channels(path, content) == expected


@pytest.mark.parametrize("content", [b"", b"{", b'{"content_sets": 1}', b'{"content_sets": ["a b"]}', b"[" * 9999])
def test_what_cannot_be_read_is_warned_of(content: bytes) -> None:
    evidence = ChannelsCataloger().read(MANIFEST, content)

    assert (evidence.channels, len(evidence.warnings)) == ((), 1)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (MANIFEST, True),
        ("usr/share/buildinfo/content-sets.json", True),
        (STATUS, True),
        (LIST, True),
        ("etc/apt/sources.list.d/other.list", False),
        ("root/buildinfo/Dockerfile", False),
        ("root/buildinfo/content_manifests/a/b.json", False),
        ("opt/status.json", False),
    ],
)
def test_which_files_are_evidence(path: str, wanted: bool) -> None:
    assert ChannelsCataloger().wants(path) is wanted


@given(st.binary(max_size=200), st.sampled_from([MANIFEST, STATUS, LIST, SOURCES]))
def test_no_bytes_make_it_raise(content: bytes, path: str) -> None:
    ChannelsCataloger().read(path, content)
