"""Which token servers are asked, and which of them see the credentials."""

from __future__ import annotations

import pytest
from yarl import URL

from services.kernel.reasons import Reason, ScanFailure
from services.registry.realm import SETTING, check_realm
from services.scanner.settings import ScannerSettings

TLS, PLAIN = URL("https://registry.example.com/v2/"), URL("http://registry.example.com:5000/v2/")


def check(
    realm: str, *, registry: URL = TLS, credentials: bool = True, hosts: frozenset[str] = frozenset()
) -> str:
    return str(check_realm(registry, realm, credentials=credentials, token_hosts=hosts))


def refused(
    realm: str, *, registry: URL = TLS, credentials: bool = True, hosts: frozenset[str] = frozenset()
) -> ScanFailure:
    with pytest.raises(ScanFailure) as caught:
        check(realm, registry=registry, credentials=credentials, hosts=hosts)
    assert caught.value.why is Reason.REGISTRY_REALM_REFUSED
    return caught.value


@pytest.mark.parametrize(
    ("registry", "realm"),
    [
        (TLS, "https://registry.example.com/token"),
        (TLS, "https://REGISTRY.example.com:8443/service/token?a=b"),
        (PLAIN, "http://registry.example.com:5001/token"),
        (PLAIN, "https://registry.example.com/token"),
        (URL("https://registry-1.docker.io/v2/"), "https://auth.docker.io/token"),
        (URL("https://registry.gitlab.com/v2/"), "https://gitlab.com/jwt/auth"),
        (URL("https://registry.cn-hangzhou.aliyuncs.com/"), "https://dockerauth.cn-hangzhou.aliyuncs.com/auth"),
        (
            URL("https://demo-registry.cn-hangzhou.cr.aliyuncs.com/v2/"),
            "https://dockerauth-ee.cn-hangzhou.aliyuncs.com/auth",
        ),
        (
            URL("https://demo-registry.cn-zhangjiakou.cr.aliyuncs.com/v2/"),
            "https://dockerauth-cn-zhangjiakou.aliyuncs.com/auth",
        ),
    ],
)
def test_own_host_and_one_of_the_same_operator_see_credentials(registry: URL, realm: str) -> None:
    assert check(realm, registry=registry) == str(URL(realm))


def test_other_hosts_see_credentials_only_with_permission() -> None:
    realm = "https://login.example.com/token"

    assert SETTING in refused(realm).hint
    assert check(realm, hosts=frozenset({"login.example.com"})) == realm
    assert check(realm, credentials=False) == realm


def test_the_setting_that_the_hint_names_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, "login.example.com")

    assert ScannerSettings().source.token_hosts == {"login.example.com"}


@pytest.mark.parametrize(
    ("registry", "realm"),
    [
        ("evil.example.com", "https://auth.docker.io/token"),
        ("registry-1.docker.io", "https://auth.docker.io.evil.example.com/token"),
        ("registry-1.docker.io", "https://evil-auth.docker.io/token"),
        ("x.cn-hangzhou.cr.aliyuncs.com", "https://dockerauth.oss-cn-hangzhou.aliyuncs.com/auth"),
        ("x.cn-hangzhou.cr.aliyuncs.com", "https://mine.dockerauth.cn-hangzhou.aliyuncs.com/auth"),
        ("registry.example.com", "https://example.com/token"),
        ("registry.example.com", "https://registry.example.com.evil.example/token"),
    ],
)
def test_names_that_only_look_alike_see_none(registry: str, realm: str) -> None:
    refused(realm, registry=URL(f"https://{registry}/v2/"))


@pytest.mark.parametrize("credentials", [True, False])
@pytest.mark.parametrize(
    ("registry", "realm"),
    [
        (TLS, "http://registry.example.com/token"),
        (PLAIN, "http://login.example.com/token"),
        (TLS, "https://169.254.169.254/latest"),
        (TLS, "https://2852039166/latest"),
        (TLS, "https://[fd00:ec2::254]/x"),
        (TLS, "https://user:secret@registry.example.com/token"),
        (TLS, "https://registry.example.com\\@evil.example/"),
        (TLS, "https://registry.example.com/a b"),
        (TLS, "https://registry.example.com:99999/"),
        (TLS, "https://registry.example.com/" + "a" * 3000),
        (TLS, "ftp://registry.example.com/"),
        (TLS, "/token"),
        (TLS, "https://[broken"),
        (TLS, ""),
    ],
)
def test_no_permission_helps_these(registry: URL, realm: str, credentials: bool) -> None:
    hosts = frozenset({"login.example.com", "169.254.169.254", "2852039166", "fd00:ec2::254", "evil.example"})

    failure = refused(realm, registry=registry, credentials=credentials, hosts=hosts)

    assert "secret" not in failure.sentence()
