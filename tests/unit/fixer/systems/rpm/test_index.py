"""What a repository offers: believed by signature and hash, bounded, modules left out."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from services.fixer.failure import FixFailure, FixReason
from services.fixer.plan.packages import Candidate, RepositoryRef, Survey
from services.fixer.systems.rpm.index import keys_for
from tests.builders.rpms import ADDRESS, F, RpmImage, repository, rpm, write_index
from tests.builders.signing import SigningKey, signing_key
from tests.fakes.folder_depot import FolderDepot

OURS, THEIRS = signing_key("archive"), signing_key("stranger")
OLD = rpm("a", "1-1")
NEW = rpm("a", "2-1", F("usr/a"), requires=["libc.so.6(GLIBC_2.34)(64bit)", "b >= 3"], key=OURS)


async def offered(
    place: Path, *packages: bytes, key: SigningKey | None = None, trusted: SigningKey = OURS
) -> list[Candidate]:
    repository(place / "r", *packages, key=key)
    return await asked(place, trusted)


async def asked(place: Path, trusted: SigningKey | None = OURS) -> list[Candidate]:
    image = RpmImage(place, OLD)
    survey = image.system.survey(image.tree())
    assert isinstance(survey, Survey)
    assert survey.repositories == (RepositoryRef(address=ADDRESS, name="a"),)
    depot = FolderDepot(ADDRESS, place / "r", *([trusted.public] if trusted else []))
    return list(await image.system.available(survey, survey.repositories, depot))


async def failing(place: Path, trusted: SigningKey | None = OURS) -> FixReason:
    with pytest.raises(FixFailure) as caught:
        await asked(place, trusted)
    return caught.value.why


async def test_packages_that_the_image_has_are_offered_with_their_dependencies(tmp_path: Path) -> None:
    (found,) = await offered(tmp_path, NEW, rpm("other", "1-1"), key=OURS)
    assert (found.name, found.version, found.source, found.url) == ("a", "2-1", "a", f"{ADDRESS}/0.rpm")
    assert found.fields["requires"] == "libc.so.6(GLIBC_2.34)(64bit)\nb >= 3"
    assert found.fields["provides"] == "a = 2-1"


async def test_a_signed_index_vouches_for_packages_and_an_unsigned_one_does_not(tmp_path: Path) -> None:
    (signed,) = await offered(tmp_path / "1", NEW, key=OURS)
    (unsigned,) = await offered(tmp_path / "2", NEW)
    assert keys_for(signed) is None
    assert keys_for(unsigned) == [OURS.public]


async def test_an_index_of_a_key_that_nobody_trusts_is_refused(tmp_path: Path) -> None:
    repository(tmp_path / "r", NEW, key=THEIRS)
    assert await failing(tmp_path) is FixReason.INDEX_KEY_UNKNOWN


async def test_without_any_trusted_key_nothing_is_believed(tmp_path: Path) -> None:
    repository(tmp_path / "r", NEW)
    assert await failing(tmp_path, None) is FixReason.INDEX_KEY_UNKNOWN


async def test_a_changed_index_is_refused(tmp_path: Path) -> None:
    path = repository(tmp_path / "r", NEW, key=OURS) / "repodata/repomd.xml"
    path.write_bytes(path.read_bytes() + b"\n")
    assert await failing(tmp_path) is FixReason.INDEX_SIGNATURE_INVALID


async def test_a_list_with_another_hash_is_refused(tmp_path: Path) -> None:
    path = repository(tmp_path / "r", NEW, key=OURS) / "repodata/primary.xml.gz"
    path.write_bytes(gzip.compress(b"<metadata/>"))
    assert await failing(tmp_path) is FixReason.INDEX_TAMPERED


@pytest.mark.parametrize(
    "text",
    [
        b'<!DOCTYPE a [<!ENTITY x "y">]><metadata>&x;</metadata>',
        b"<metadata><package>",
        b"<a>" * 40 + b"</a>" * 40,
        b"\0\1\2",
        b"",
    ],
)
async def test_a_list_that_is_none_is_refused(tmp_path: Path, text: bytes) -> None:
    place = repository(tmp_path / "r", NEW)
    write_index(place, {"primary": ("p.xml.gz", gzip.compress(text))})
    assert await failing(tmp_path) is FixReason.REPOSITORY_INVALID


async def test_a_list_that_breaks_off_is_refused(tmp_path: Path) -> None:
    place = repository(tmp_path / "r", NEW)
    write_index(place, {"primary": ("p.xml.gz", gzip.compress(b"<metadata/>" * 99)[:-9])})
    assert await failing(tmp_path) is FixReason.REPOSITORY_INVALID


@pytest.mark.parametrize("href", ["../../secret", "http://evil.test/p.xml", "/etc/passwd", "//evil.test/p"])
async def test_an_index_leads_nowhere_outside_of_its_repository(tmp_path: Path, href: str) -> None:
    path = repository(tmp_path / "r", NEW) / "repodata/repomd.xml"
    path.write_bytes(path.read_bytes().replace(b"repodata/primary.xml.gz", href.encode()))
    assert await failing(tmp_path) is FixReason.REPOSITORY_INVALID


async def test_a_repository_without_an_index_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    assert await failing(tmp_path) is FixReason.REPOSITORY_INVALID


async def test_packages_of_modules_are_not_offered(tmp_path: Path) -> None:
    place = repository(tmp_path / "r", NEW, rpm("a", "3-1"), rpm("a", "4-1.module_el9"))
    modules = b"document: modulemd\ndata:\n  artifacts:\n    rpms:\n    - a-0:3-1.x86_64\n"
    primary = (place / "repodata/primary.xml.gz").read_bytes()
    write_index(place, {"primary": ("primary.xml.gz", primary), "modules": ("m.yaml.gz", gzip.compress(modules))})
    assert [each.version for each in await asked(tmp_path)] == ["2-1"]


async def test_a_broken_list_of_modules_is_refused(tmp_path: Path) -> None:
    place = repository(tmp_path / "r", NEW)
    primary = (place / "repodata/primary.xml.gz").read_bytes()
    write_index(place, {"primary": ("primary.xml.gz", primary), "modules": ("m.yaml.gz", b"no gzip")})
    assert await failing(tmp_path) is FixReason.REPOSITORY_INVALID


async def test_an_image_without_an_address_says_how_to_give_one(tmp_path: Path) -> None:
    texts = {"etc/yum.repos.d/a.repo": b"[a]\nmirrorlist=https://mirrors.test/list\n"}
    image = RpmImage(tmp_path, OLD, texts=texts)
    survey = image.system.survey(image.tree())
    assert survey is not None
    with pytest.raises(FixFailure, match="no repository") as caught:
        await image.system.available(survey, survey.repositories, FolderDepot(ADDRESS, tmp_path))
    assert caught.value.why is FixReason.REPOSITORY_UNKNOWN
