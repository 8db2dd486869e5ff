"""Indexes: believed only by a signature of a key that we trust, over every byte."""

from __future__ import annotations

import gzip

import pytest

from services.fixer.failure import FixFailure, FixReason
from services.fixer.plan.packages import Candidate, RepositoryRef
from services.fixer.systems.apk.system import ApkSystem
from tests.builders.apk_fixes import WHERE, candidate_of, survey_of
from tests.builders.apks import Apk, build_index, install, signing_key
from tests.fakes.depots import FakeDepot

OLD = Apk(name="libssl3", version="3.3.0-r0", origin="openssl")
NEW = Apk(name="libssl3", version="3.3.1-r0", origin="openssl", files={"usr/lib/libssl.so.3": b"new"})
SIBLING = Apk(name="openssl-doc", version="3.3.1-r0", origin="openssl")
OTHER = Apk(name="vim", version="9-r0")
REPOSITORY = RepositoryRef(address="http://repository.invalid/v3.20/main")


async def ask(*keys: bytes, index: bytes, repository: RepositoryRef = REPOSITORY) -> tuple[Candidate, ...]:
    depot = FakeDepot(*keys)
    depot.files[f"{WHERE}/APKINDEX.tar.gz"] = index
    return await ApkSystem().available(survey_of(install(OLD)), [repository], depot)


@pytest.mark.parametrize("kind", ["RSA", "RSA256"])
async def test_a_signed_index_offers_the_images_packages_and_their_siblings(kind: str) -> None:
    key = signing_key()
    index = build_index([OLD, NEW, SIBLING, OTHER], key, kind)
    found = await ask(signing_key("another").public, key.public, index=index)
    assert [(each.name, each.version) for each in found] == [
        ("libssl3", "3.3.0-r0"),
        ("libssl3", "3.3.1-r0"),
        ("openssl-doc", "3.3.1-r0"),
    ]
    assert found[1] == candidate_of(NEW)


async def test_packages_of_a_tagged_repository_have_its_tag() -> None:
    key = signing_key()
    (found,) = await ask(
        key.public,
        index=build_index([NEW], key),
        repository=RepositoryRef(address=REPOSITORY.address, name="edge"),
    )
    assert found.fields["tag"] == "edge"


async def why_not(*keys: bytes, index: bytes) -> FixReason:
    with pytest.raises(FixFailure) as failure:
        await ask(*keys, index=index)
    return failure.value.why


async def test_an_index_without_signature_is_refused() -> None:
    assert await why_not(signing_key().public, index=build_index([NEW])) is FixReason.INDEX_UNSIGNED


async def test_an_index_of_another_key_is_refused() -> None:
    index = build_index([NEW], signing_key("another"))
    assert await why_not(signing_key().public, index=index) is FixReason.INDEX_KEY_UNKNOWN


async def test_nothing_is_believed_without_keys() -> None:
    assert await why_not(index=build_index([NEW], signing_key())) is FixReason.INDEX_KEY_UNKNOWN
    index = build_index([NEW], signing_key())
    assert await why_not(b"no key", index=index) is FixReason.INDEX_KEY_UNKNOWN


async def test_an_index_that_was_changed_after_it_was_signed_is_refused() -> None:
    key = signing_key()
    honest = build_index([OLD], key)
    forged = honest[: len(honest) - len(build_index([OLD]))] + build_index([NEW])
    assert await why_not(key.public, index=forged) is FixReason.INDEX_SIGNATURE_INVALID
    assert await why_not(key.public, index=honest + b"\0") is FixReason.INDEX_SIGNATURE_INVALID


async def test_a_signature_beside_unsigned_files_is_none() -> None:
    key = signing_key()
    index = build_index([NEW])
    plain = gzip.decompress(key.member(index)) + gzip.decompress(index)
    assert await why_not(key.public, index=gzip.compress(plain) + index) is FixReason.INDEX_UNSIGNED


@pytest.mark.parametrize("content", [b"", b"<html>", b"ADB.compressed", gzip.compress(b"x" * 10, mtime=0)[:-4]])
async def test_what_is_no_index_is_refused(content: bytes) -> None:
    assert await why_not(signing_key().public, index=content) in {
        FixReason.REPOSITORY_INVALID,
        FixReason.INDEX_UNSIGNED,
    }


async def test_an_index_of_apk_3_is_refused_with_its_reason() -> None:
    with pytest.raises(FixFailure, match="ADB") as failure:
        await ask(signing_key().public, index=b"ADBd" + bytes(100))
    assert failure.value.why is FixReason.REPOSITORY_INVALID


async def test_a_repository_without_an_index_for_the_architecture_is_told() -> None:
    with pytest.raises(FixFailure, match="no index for x86_64") as failure:
        await ApkSystem().available(survey_of(install(OLD)), [REPOSITORY], FakeDepot(signing_key().public))
    assert failure.value.why is FixReason.REPOSITORY_INVALID


async def test_no_repository_at_all_is_told() -> None:
    with pytest.raises(FixFailure) as failure:
        await ApkSystem().available(survey_of(install(OLD)), [], FakeDepot())
    assert failure.value.why is FixReason.REPOSITORY_UNKNOWN


async def test_records_that_lead_elsewhere_are_left() -> None:
    key = signing_key()
    bad = Apk(name="libssl3", version="../../../evil", origin="openssl")
    assert await ask(key.public, index=build_index([bad, NEW], key)) == (candidate_of(NEW),)
