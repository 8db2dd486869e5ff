"""Which registries Harbor may send us to, and whose instance each of them is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from services.kernel.errors import invalid
from services.kernel.model.reference import parse_host

SETTING = "DRYDOCK_GATEWAY_HARBOR_REGISTRIES"
_PORTS = {"https": 443, "http": 80}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A registry on the list."""

    address: str
    """`HOST[:PORT]`, as the operator wrote it."""
    plain_http: bool
    instance: str
    """Name or id of the instance that its images belong to."""


class Registries:
    """The operator's list. What is not on it is never asked for anything, whoever names it."""

    def __init__(self, listed: Mapping[str, str]) -> None:
        """Takes instances by URL (`SETTING`).

        Raises:
            ServiceError: INVALID_REGISTRY_URL, INVALID_ADDRESS.
        """
        self._known = {}
        for url, instance in listed.items():
            split = _split(url)
            self._known[_place(split)] = Registry(
                address=parse_host(split.netloc), plain_http=split.scheme == "http", instance=instance
            )

    @property
    def instances(self) -> frozenset[str]:
        """Names or ids of the instances."""
        return frozenset(registry.instance for registry in self._known.values())

    def find(self, url: str) -> Registry:
        """Returns the registry of a URL: same scheme, host and port.

        Raises:
            ServiceError: INVALID_REGISTRY_URL; REGISTRY_NOT_ALLOWED for one that is not listed.
        """
        registry = self._known.get(_place(_split(url)))
        if registry is None:
            raise invalid(
                "REGISTRY_NOT_ALLOWED",
                f"The registry {url[:200]!r} is not on the list of those that may be scanned for Harbor.",
                field="registry.url",
                hint=f"Add {url[:200]}=INSTANCE to {SETTING}, if it is yours.",
            )
        return registry


def _split(url: str) -> SplitResult:
    try:
        split = urlsplit(url)
        usable = split.scheme in _PORTS and split.hostname and (split.port is None or split.port > 0)
    except ValueError:
        usable, split = False, urlsplit("")
    if not usable or split.path not in ("", "/") or split.query or split.fragment or "@" in split.netloc:
        raise invalid(
            "INVALID_REGISTRY_URL",
            "The registry's URL is none.",
            field="registry.url",
            hint="It is http(s)://HOST[:PORT], without a user and a path.",
        )
    return split


def _place(split: SplitResult) -> tuple[str, str, int]:
    return split.scheme, split.hostname or "", split.port or _PORTS[split.scheme]
