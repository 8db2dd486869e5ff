"""Signatures: the vector that the official SDK and independent code agree on, and what is refused."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.acr.parameters import parse_pairs
from services.gateway.acr.signing import Call, percent_encode, read_signature, signs_parameters_alone
from services.kernel.errors import ServiceError

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
HEADERS = {
    "accept": "application/json",
    "host": "127.0.0.1:8080",
    "user-agent": "ua",
    "x-acs-action": "GetRepoTagScanStatus",
    "x-acs-content-sha256": EMPTY,
    "x-acs-credentials-provider": "static_ak",
    "x-acs-date": "2026-01-02T03:04:05Z",
    "x-acs-signature-nonce": "0123456789abcdef0123456789abcdef",
    "x-acs-version": "2018-12-01",
}
VECTOR = "20dce14ddaa118f9c3d4cd22edb3285e4547fdc168a11b3b324c25d0da1b8646"


def authorization(names: str = ";".join(HEADERS), signature: str = VECTOR) -> str:
    return f"ACS3-HMAC-SHA256 Credential=testid,SignedHeaders={names},Signature={signature}"


def v3(query: bytes = b"Tag=a+b*c%7Ed/%E4%B8%AD&InstanceId=cri-1&RepoId=crr-1", **changes: Any) -> Call:
    headers = {**HEADERS, "authorization": authorization(), **changes}
    pairs = [(name, value) for name, value in headers.items() if value is not None]
    return Call(method="POST", headers=pairs, query=parse_pairs(query), form=(), body=b"")


def v1(**changes: str | None) -> Call:
    said: dict[str, str | None] = {
        "Action": "GetRepoTagScanStatus",
        "AccessKeyId": "testid",
        "Timestamp": "2026-01-02T03:04:05Z",
        "SignatureNonce": "n",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "Signature": "eA==",
        "Tag": "a b*c~d/中",
        **changes,
    }
    pairs = [(name, value) for name, value in said.items() if value is not None]
    return Call(method="GET", headers=(), query=pairs[:3], form=pairs[3:], body=b"")


def reason_of(call: Call) -> str:
    with pytest.raises(ServiceError) as caught:
        read_signature(call)
    return caught.value.reason


def test_the_vector_is_that_of_the_official_sdk() -> None:
    signature = read_signature(v3())

    digest = "2d065d3187f4a1b4d839468c901c5f4bc39f16879180f12c7277d9010fa0b733"
    assert signature.text == f"ACS3-HMAC-SHA256\n{digest}"
    assert signature.is_of("testsecret")
    assert not signature.is_of("testsecret2")
    assert signature.access_key_id == "testid"
    assert signature.signed_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "query",
    [
        b"Tag=a%20b%2Ac~d%2F%E4%B8%AD&InstanceId=cri-1&RepoId=crr-1",
        b"RepoId=crr-1&InstanceId=cri-1&Tag=a+b%2ac%7Ed%2f%e4%b8%ad",
    ],
)
def test_how_the_query_was_encoded_does_not_matter(query: bytes) -> None:
    assert read_signature(v3(query)).is_of("testsecret")


@pytest.mark.parametrize(
    ("query", "changes"),
    [
        (b"Tag=b&InstanceId=cri-1&RepoId=crr-1", {}),
        (b"Tag=a+b*c%7Ed/%E4%B8%AD&InstanceId=cri-1&RepoId=crr-1&More=", {}),
        (b"Tag=a+b*c%7Ed/%E4%B8%AD&InstanceId=cri-1&RepoId=crr-1", {"x-acs-action": "DeleteScanRule"}),
        (b"Tag=a+b*c%7Ed/%E4%B8%AD&InstanceId=cri-1&RepoId=crr-1", {"host": "127.0.0.1:8081"}),
        (b"Tag=a+b*c%7Ed/%E4%B8%AD&InstanceId=cri-1&RepoId=crr-1", {"x-acs-signature-nonce": "other"}),
    ],
)
def test_whatever_is_signed_cannot_be_changed(query: bytes, changes: dict[str, Any]) -> None:
    assert not read_signature(v3(query, **changes)).is_of("testsecret")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"authorization": None}, "MISSING_PARAMETER"),
        ({"authorization": "ACS3-HMAC-SM3 Credential=a,SignedHeaders=host,Signature=00"}, "INCOMPLETE_SIGNATURE"),
        ({"authorization": "Basic eA=="}, "INCOMPLETE_SIGNATURE"),
        ({"authorization": authorization(names="host;x-acs-date")}, "INCOMPLETE_SIGNATURE"),
        ({"authorization": authorization(signature="00")}, "INCOMPLETE_SIGNATURE"),
        ({"x-acs-signature-nonce": None}, "MISSING_PARAMETER"),
        ({"x-acs-signature-nonce": "n" * 129}, "PARAMETER_ERROR"),
        ({"x-acs-date": "yesterday"}, "ILLEGAL_TIMESTAMP"),
        ({"x-acs-content-sha256": "0" * 64}, "SIGNATURE_DOES_NOT_MATCH"),
    ],
)
def test_what_is_no_whole_signature_is_refused(changes: dict[str, Any], reason: str) -> None:
    assert reason_of(v3(**changes)) == reason


def test_the_older_signature_is_made_of_query_and_form() -> None:
    # As https://help.aliyun.com describes it, written out: pairs sorted, encoded, and encoded again.
    pairs = (
        "AccessKeyId=testid&Action=GetRepoTagScanStatus&SignatureMethod=HMAC-SHA1&SignatureNonce=n"
        "&SignatureVersion=1.0&Tag=a%20b%2Ac~d%2F%E4%B8%AD&Timestamp=2026-01-02T03%3A04%3A05Z"
    )
    text = f"GET&%2F&{percent_encode(pairs)}"
    given = base64.b64encode(hmac.new(b"testsecret&", text.encode(), hashlib.sha1).digest()).decode()

    assert read_signature(v1(Signature=given)).is_of("testsecret")
    assert not read_signature(v1(Signature=given, Tag="other")).is_of("testsecret")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"AccessKeyId": None}, "MISSING_PARAMETER"),
        ({"Timestamp": None}, "MISSING_PARAMETER"),
        ({"SignatureNonce": None}, "MISSING_PARAMETER"),
        ({"Signature": None}, "MISSING_PARAMETER"),
        ({"SignatureMethod": "HMAC-MD5"}, "INCOMPLETE_SIGNATURE"),
        ({"SignatureVersion": "2.0"}, "INCOMPLETE_SIGNATURE"),
        ({"Signature": "%%%"}, "INCOMPLETE_SIGNATURE"),
        ({"Timestamp": "2026-01-02"}, "ILLEGAL_TIMESTAMP"),
    ],
)
def test_what_is_no_whole_older_signature_is_refused(changes: dict[str, str | None], reason: str) -> None:
    assert reason_of(v1(**changes)) == reason


@given(st.text())
def test_everything_is_encoded_but_what_never_is(text: str) -> None:
    try:
        encoded = percent_encode(text)
    except UnicodeEncodeError:
        return  # half a character: no query can carry one
    assert set(encoded) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~%")


def test_of_the_older_form_no_header_counts_that_it_does_not_sign() -> None:
    named = (("x-acs-action", "DeleteScanRule"),)

    assert signs_parameters_alone(dataclasses.replace(v1(), headers=named))
    assert not signs_parameters_alone(v3())
