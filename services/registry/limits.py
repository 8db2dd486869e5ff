"""Bounds and deadlines for reading images: one frozen value, chosen in the scanner's settings."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """How much of an image description is read at most."""

    manifest_bytes: int = 4 << 20
    config_bytes: int = 8 << 20
    layers: int = 500
    children: int = 1000
    index_depth: int = 3
    """Indexes inside indexes, the outermost counted."""
    page_names: int = 1000
    """Names asked for in one page of tags or repositories; some registries send all of them at once."""
    page_bytes: int = 8 << 20
    """Largest page of names."""
    pages: int = 10_000
    """Pages read of one list; a registry that has more goes on for ever."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Deadlines of one request to a registry, in seconds."""

    connect_seconds: float = 10.0
    idle_seconds: float = 30.0
    """Longest silence while bytes are awaited."""
    request_seconds: float = 60.0
    """A manifest request as a whole; a blob gets this and, for what has come, the time of the slowest rate."""
    slowest_bytes_per_second: int = 64 << 10


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how patiently a request is repeated."""

    attempts: int = 5
    """In all, the first included."""
    first_seconds: float = 0.5
    """Upper bound of the first wait; it doubles from wait to wait, and the wait is drawn at random below it."""
    longest_seconds: float = 20.0
    """No single wait is longer; a registry that asks for more is left alone, and the scan is tried again later."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """Everything that an image source needs to know besides its address."""

    limits: ImageLimits = ImageLimits()
    timeouts: Timeouts = Timeouts()
    retry: RetryPolicy = RetryPolicy()
    redirects: int = 5
    """Hops followed for one request."""
    token_hosts: frozenset[str] = frozenset()
    """Token servers that may see a registry's credentials though they are on another host than the registry."""
