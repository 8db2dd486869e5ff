"""What a signed repository offers, and every way in which it is not believed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from services.fixer.failure import FixFailure, FixReason
from services.fixer.plan.packages import Candidate
from tests.builders.debs import (
    ADDRESS,
    NOW,
    SOURCE,
    DepotOfFiles,
    MadeDeb,
    packages_index,
    release_file,
    repository,
)
from tests.builders.dpkg_images import install, survey_of, system
from tests.builders.signing import signing_key

OLD = MadeDeb(name="curl", fields={"Depends": "libc6"})
NEW = MadeDeb(name="curl", version="1.1", fields={"Source": "curl-src (1.0.9)", "Depends": "libc6 (>= 2)"})
OTHER = MadeDeb(name="vim")
INRELEASE = f"{ADDRESS}/dists/bookworm/InRelease"
PACKAGES = f"{ADDRESS}/dists/bookworm/main/binary-amd64/Packages.xz"


async def available(tmp_path: Path, files: Mapping[str, bytes], *, key: str = "archive") -> tuple[Candidate, ...]:
    survey = survey_of(install(tmp_path / "root", OLD))
    return await system().available(survey, [SOURCE], DepotOfFiles(tmp_path, files, signing_key(key)))


async def refused(tmp_path: Path, files: Mapping[str, bytes], *, key: str = "archive") -> FixReason:
    with pytest.raises(FixFailure) as caught:
        await available(tmp_path, files, key=key)
    return caught.value.why


@pytest.mark.parametrize("ending", ["", ".gz", ".xz"])
async def test_only_packages_that_the_image_has_are_kept(tmp_path: Path, ending: str) -> None:
    (found,) = await available(tmp_path, repository([OTHER, NEW], signing_key("archive"), ending=ending))
    assert (found.name, found.version, found.source, found.source_version) == ("curl", "1.1", "curl-src", "1.0.9")
    assert found.url == f"{ADDRESS}/{NEW.filename}"
    assert found.fields["Depends"] == "libc6 (>= 2)"
    assert (found.size, found.sha256) == (NEW.candidate().size, NEW.candidate().sha256)


async def test_parts_are_fetched_by_their_hash_where_the_repository_says_so(tmp_path: Path) -> None:
    files = repository([NEW], signing_key("archive"), Acquire_By_Hash="yes")
    assert any("/by-hash/SHA256/" in url for url in files)
    assert len(await available(tmp_path, files)) == 1


async def test_a_signature_that_lies_beside_is_as_good(tmp_path: Path) -> None:
    files = repository([NEW], signing_key("archive"))
    del files[INRELEASE]
    release = release_file({"main/binary-amd64/Packages.xz": files[PACKAGES]})
    files[INRELEASE.replace("InRelease", "Release")] = release
    assert await refused(tmp_path / "unsigned", files) is FixReason.INDEX_UNSIGNED
    files[INRELEASE.replace("InRelease", "Release.gpg")] = signing_key("archive").sign(release)
    assert len(await available(tmp_path, files)) == 1
    files[INRELEASE.replace("InRelease", "Release")] = release.replace(b"Origin: Debian", b"Origin: Debiam")
    assert await refused(tmp_path / "other", files) is FixReason.INDEX_SIGNATURE_INVALID


async def test_a_tampered_index_is_refused(tmp_path: Path) -> None:
    files = repository([NEW], signing_key("archive"))
    files[PACKAGES] = files[PACKAGES][:-1] + b"x"
    assert await refused(tmp_path, files) is FixReason.INDEX_TAMPERED


async def test_a_changed_signed_part_is_refused(tmp_path: Path) -> None:
    files = repository([NEW], signing_key("archive"))
    files[INRELEASE] = files[INRELEASE].replace(b"Origin: Debian", b"Origin: Debiam")
    assert await refused(tmp_path, files) is FixReason.INDEX_SIGNATURE_INVALID


async def test_text_around_the_signed_part_is_not_believed(tmp_path: Path) -> None:
    files = repository([OTHER], signing_key("archive"))
    theirs = repository([NEW], signing_key("somebody"))
    sums = theirs[INRELEASE].partition(b"SHA256:")[2].partition(b"-----BEGIN PGP SIG")[0]
    files[INRELEASE] = b"SHA256:" + sums + b"\n" + files[INRELEASE]
    files[PACKAGES] = theirs[PACKAGES]
    with pytest.raises(FixFailure):
        await available(tmp_path, files)


async def test_a_key_that_nobody_trusts_is_refused(tmp_path: Path) -> None:
    assert await refused(tmp_path, repository([NEW], signing_key("somebody"))) is FixReason.INDEX_KEY_UNKNOWN


async def test_an_unsigned_index_is_refused(tmp_path: Path) -> None:
    files = repository([NEW], signing_key("archive"))
    files[INRELEASE] = release_file({})
    assert await refused(tmp_path, files) is FixReason.INDEX_UNSIGNED


async def test_an_expired_index_is_refused(tmp_path: Path) -> None:
    past = format_datetime(NOW - timedelta(minutes=1), usegmt=True)
    assert (
        await refused(tmp_path, repository([NEW], signing_key("archive"), Valid_Until=past))
        is FixReason.INDEX_EXPIRED
    )


async def test_an_index_of_the_future_is_refused(tmp_path: Path) -> None:
    future = format_datetime(NOW + timedelta(days=2), usegmt=True)
    assert (
        await refused(tmp_path, repository([NEW], signing_key("archive"), Date=future)) is FixReason.INDEX_EXPIRED
    )


async def test_an_index_that_never_expires_is_taken_as_debian_main_is(tmp_path: Path) -> None:
    assert len(await available(tmp_path, repository([NEW], signing_key("archive"), Valid_Until=""))) == 1


async def test_the_index_of_another_suite_is_refused(tmp_path: Path) -> None:
    files = repository([NEW], signing_key("archive"), Codename="bullseye", Suite="oldoldstable")
    assert await refused(tmp_path, files) is FixReason.REPOSITORY_INVALID


async def test_a_repository_that_is_not_there_is_invalid(tmp_path: Path) -> None:
    assert await refused(tmp_path, {}) is FixReason.REPOSITORY_INVALID


@pytest.mark.parametrize("content", [b"not compressed", b""])
async def test_an_index_that_cannot_be_read_is_invalid(tmp_path: Path, content: bytes) -> None:
    files = repository([NEW], signing_key("archive"))
    files[PACKAGES] = content or b"\xfd7zXZ\0"
    files[INRELEASE] = signing_key("archive").clear_sign(
        release_file({"main/binary-amd64/Packages.xz": files[PACKAGES]})
    )
    assert await refused(tmp_path, files) is FixReason.REPOSITORY_INVALID


@pytest.mark.parametrize(
    "change",
    [
        ("Filename: pool", "Filename: ../../pool"),
        ("SHA256: ", "SHA512: "),
        ("Size: ", "Size: -"),
        ("Version: 1.1", "V: 1"),
    ],
)
async def test_a_record_without_place_size_or_hash_is_no_offer(tmp_path: Path, change: tuple[str, str]) -> None:
    index = packages_index([NEW]).decode().replace(*change).encode()
    plain = "main/binary-amd64/Packages"
    files = {
        f"{ADDRESS}/dists/bookworm/{plain}": index,
        INRELEASE: signing_key("archive").clear_sign(release_file({plain: index})),
    }
    assert await available(tmp_path, files) == ()


async def test_a_strangers_repository_is_left_out_while_there_is_another(tmp_path: Path) -> None:
    survey = survey_of(install(tmp_path / "root", OLD))
    theirs = {
        url.replace("deb.example", "them.example"): content
        for url, content in repository([dataclasses.replace(NEW, version="9")], signing_key("them")).items()
    }
    depot = DepotOfFiles(tmp_path, repository([NEW], signing_key("archive")) | theirs, signing_key("archive"))
    stranger = dataclasses.replace(SOURCE, address=ADDRESS.replace("deb.example", "them.example"))
    found = await system().available(survey, [stranger, SOURCE], depot)
    assert [each.version for each in found] == ["1.1"]


async def test_without_a_repository_nothing_is_known(tmp_path: Path) -> None:
    survey = survey_of(install(tmp_path / "root", OLD))
    with pytest.raises(FixFailure) as caught:
        await system().available(survey, [], DepotOfFiles(tmp_path, {}, signing_key("archive")))
    assert caught.value.why is FixReason.REPOSITORY_UNKNOWN
