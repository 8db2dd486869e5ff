"""Fixes as people have them made: an image is pushed and scanned, its fix asked for, and sometimes called off."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp

from drydock.fixer.v1 import fix_pb2, fixer_service_pb2
from drydock.fixer.v1 import fixer_service_pb2_grpc as rpc
from services.kernel.errors import Kind, ServiceError
from services.kernel.rpc.client import translated_errors
from services.lab.push import PushRefused, push_image
from tests.chaos.pushes import Counter, Push
from tests.chaos.stage import Stage
from tests.running import client_of

REPOSITORY = "team/mend"
CALL_SECONDS = 10.0
_CALLED_OFF = 0.25
_PAUSE_SECONDS = 0.5
_PASSING = frozenset({Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED, Kind.ABORTED, Kind.RESOURCE_EXHAUSTED})
_NOT_YET = frozenset({"REPO_NOT_EXIST", "IMAGE_NOT_SCANNED", "SCAN_UNDER_WAY"})
"""Reasons that there are while the image is new."""
T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A fix that was asked for, and taken."""

    push: Push
    """What is to be fixed."""
    task_id: str
    called_off: bool
    """Somebody called it off, and was told that it is."""


async def ask_all(stage: Stage, fixes: int, pushes: int, *, seed: int, counter: Counter) -> list[Ask]:
    """Asks for so many fixes, spread over the pushes of the run; returns what was taken."""
    asked: list[Ask] = []

    async def ask(number: int) -> None:
        await counter.reach(number * pushes // fixes)
        asked.append(await _ask(stage, number, random.Random(f"{seed} fix {number}")))

    async with asyncio.TaskGroup() as group:
        for number in range(fixes):
            group.create_task(ask(number), name=f"fix-{number}")
    return asked


async def _ask(stage: Stage, number: int, chance: random.Random) -> Ask:
    push = await _pushed(stage, number, chance)
    namespace, _, name = push.repository.rpartition("/")
    order = fix_pb2.FixOrder(instance=push.instance_id, namespace=namespace, repository=name, tag=push.tag)
    task_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    create = fixer_service_pb2.CreateFixTaskRequest(order=order, request_id=task_id)
    answer = await _insist(stage, lambda fixer: fixer.CreateFixTask(create, timeout=CALL_SECONDS))
    assert answer.task.task_id == task_id
    if called_off := chance.random() < _CALLED_OFF:
        await asyncio.sleep(chance.uniform(0, 1.5))
        called_off = await _called_off(stage, task_id)
    return Ask(push=push, task_id=task_id, called_off=called_off)


async def _pushed(stage: Stage, number: int, chance: random.Random) -> Push:
    """Pushes an image that can be fixed, as often as the registry breaks off."""
    place = stage.places[number % len(stage.places)]
    registry, tag = place.registry, f"m{number}"
    assert registry.lab is not None
    image = stage.depot.fixable(number, str(chance.random()))
    while True:
        try:
            await push_image(registry.access, REPOSITORY, tag, image)
            break
        except (aiohttp.ClientError, PushRefused):
            await asyncio.sleep(_PAUSE_SECONDS)
    await registry.lab.notified()
    return Push(
        number=number,
        instance_id=place.instance_id,
        repository=REPOSITORY,
        tag=tag,
        digest=image.digest,
        broken=False,
    )


async def _called_off(stage: Stage, task_id: str) -> bool:
    request = fixer_service_pb2.CancelFixTaskRequest(task_id=task_id)
    try:
        task = (await _insist(stage, lambda fixer: fixer.CancelFixTask(request, timeout=CALL_SECONDS))).task
    except ServiceError as error:
        assert error.reason == "FIX_PUSHING", error
        return False
    return task.cancelling or task.reason == "CANCELLED"


async def _insist(stage: Stage, call: Callable[[rpc.FixerServiceAsyncStub], Awaitable[T]]) -> T:
    """Calls until it is answered, each time anew as a command does: processes and the database come back."""
    while True:
        try:
            async with client_of(stage.crew.fleet.running) as client:
                with translated_errors():
                    return await call(rpc.FixerServiceStub(client.channel))
        except ServiceError as error:
            if error.kind not in _PASSING and error.reason not in _NOT_YET:
                raise
        await asyncio.sleep(_PAUSE_SECONDS)
