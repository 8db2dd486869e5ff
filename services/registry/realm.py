"""The realm of a registry: which token servers are asked, and which of them may see the credentials.

The registry names its token server in every challenge. Why these rules: `docs/decisions/0014-token-realms.md`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from yarl import URL

from services.kernel.addresses import is_refused
from services.kernel.reasons import Reason, ScanFailure

SETTING: Final = "DRYDOCK_SCANNER_REGISTRY_TOKEN_HOSTS"
_MAX_CHARACTERS: Final = 2000
_PRINTABLE: Final = re.compile(r"[!-~]+")
_ONE_OPERATOR: Final = (
    (re.compile(r"(?:registry-1|index)\.docker\.io"), re.compile(r"auth\.docker\.io")),
    (re.compile(r"registry\.gitlab\.com"), re.compile(r"gitlab\.com")),
    # In `oss-…` regions anybody may choose the first label: those are buckets of the object store.
    (
        re.compile(r"[a-z0-9.-]+\.aliyuncs\.com"),
        re.compile(r"dockerauth(?:-ee)?(?:-vpc)?[.-](?!oss-)[a-z0-9-]+\.aliyuncs\.com"),
    ),
)
"""Registries and token servers that are run by the same people under two names."""


def check_realm(registry: URL, realm: str, *, credentials: bool, token_hosts: Collection[str]) -> URL:
    """Returns the address of the token server.

    Args:
        registry: the registry that named it.
        realm: as the challenge has it.
        credentials: whether user name and password are to go there.
        token_hosts: hosts that may see them, besides the registry's own.

    Raises:
        ScanFailure: REGISTRY_REALM_REFUSED; the sentence names the host only.
    """
    url = _parse(registry, realm)
    host = url.raw_host or ""
    own = host == registry.raw_host
    if url.scheme == "http" and not (own and registry.scheme == "http"):
        raise refused(registry, f"the token server {host}, over plain HTTP", "Let its realm begin with https://.")
    if is_refused(host):
        raise refused(registry, "a token server at a link-local or metadata address", "Check its token settings.")
    if credentials and not own and not _may_see_credentials(registry.raw_host or "", host, token_hosts):
        raise refused(
            registry,
            f"the token server {host}, on another host than its own; credentials are not sent there",
            f"If {host} belongs to it, put {host} into {SETTING}.",
        )
    return url


def refused(registry: URL, what: str, hint: str) -> ScanFailure:
    """The failure of a token server that is not asked."""
    return ScanFailure(Reason.REGISTRY_REALM_REFUSED, f"The registry {registry.host} names {what}.", hint=hint)


def _parse(registry: URL, realm: str) -> URL:
    try:
        url = URL(realm).with_fragment(None)
        port = url.port
    except ValueError:
        url, port = URL(), None
    strange = url.scheme not in ("http", "https") or not url.host or port is None or url.user or url.password
    if strange or len(realm) > _MAX_CHARACTERS or not _PRINTABLE.fullmatch(realm):
        raise refused(registry, "a token server by something that is no web address", "Check its token settings.")
    return url


def _may_see_credentials(registry: str, host: str, token_hosts: Collection[str]) -> bool:
    together = any(ours.fullmatch(registry) and theirs.fullmatch(host) for ours, theirs in _ONE_OPERATOR)
    return together or host in token_hosts
