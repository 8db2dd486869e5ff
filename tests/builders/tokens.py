"""A registry that asks for tokens, its token server, and a client's failure with them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator

import pytest

from services.kernel.model.access import RegistryAccess
from services.kernel.reasons import ScanFailure
from services.lab.image import build_image
from services.lab.push import push_image
from services.lab.registry import LabRegistry
from services.lab.tokens import Access, LabTokenServer, serve_tokens
from services.registry.limits import Timeouts
from tests.builders.images import (
    REPOSITORY,
    a_large_layer,
    layer_descriptor,
    registry_source,
)
from tests.fakes.clock import ManualClock
from tests.registries import PASSWORD, USERNAME, RunningRegistry, lab_registry

LAYER = a_large_layer()
LAYER_DESCRIPTOR = layer_descriptor(LAYER)
IMPATIENT = Timeouts(connect_seconds=1.0, idle_seconds=0.5, request_seconds=5.0)


@dataclasses.dataclass(frozen=True, slots=True)
class Stage:
    """A lab registry that asks for tokens, its token server, and the one clock of both and of the client."""

    registry: RunningRegistry
    lab: LabRegistry
    tokens: LabTokenServer
    clock: ManualClock

    @property
    def strangers(self) -> RegistryAccess:
        return dataclasses.replace(self.registry.access, username="")


@contextlib.asynccontextmanager
async def token_stage() -> AsyncIterator[Stage]:
    """Runs the three; `REPOSITORY` and `public/app` hold an image of one large layer."""
    clock = ManualClock()
    async with (
        serve_tokens(users={USERNAME: PASSWORD}, clock=clock) as tokens,
        lab_registry(tokens=tokens) as registry,
    ):
        for repository in (REPOSITORY, "public/app"):
            await push_with_token(registry, tokens, repository, "1.0")
        assert registry.lab is not None
        registry.lab.seen.clear()
        yield Stage(registry, registry.lab, tokens, clock)


async def push_with_token(registry: RunningRegistry, tokens: LabTokenServer, repository: str, tag: str) -> None:
    """Pushes an image of one large layer with a token of its own."""
    access = Access(type="repository", name=repository, actions=("pull", "push"))
    token = tokens.authority.sign(USERNAME, (access,))
    await push_image(registry.access, repository, tag, build_image([LAYER]), token=token)


async def failure_with(
    stage: Stage, access: RegistryAccess | None = None, repository: str = REPOSITORY
) -> ScanFailure:
    """The failure of the first request for the image."""
    async with registry_source(
        access or stage.registry.access, repository=repository, clock=stage.clock, timeouts=IMPATIENT
    ) as source:
        with pytest.raises(ScanFailure) as caught:
            await source.head("1.0")
    return caught.value
