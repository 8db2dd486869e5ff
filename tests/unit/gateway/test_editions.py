"""Calls about images of personal instances are refused, and nobody is while rules cannot be asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from services.gateway.editions import EditionInterceptor, Editions
from services.kernel.errors import Kind, ServiceError, not_found
from services.rules.api import Edition
from tests.fakes.clock import ManualClock

METHOD = "/drydock.scanner.v1.ScannerService/GetImageStatus"


class Rules:
    """Knows one instance of an edition, or fails."""

    def __init__(self) -> None:
        self.edition = Edition.ENTERPRISE
        self.failure: ServiceError | None = None
        self.asked = 0

    async def get_instance(self, instance: str) -> Any:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return SimpleNamespace(name=instance, edition=self.edition)


class Scene:
    def __init__(self) -> None:
        self.rules, self.clock = Rules(), ManualClock()
        rules: Any = self.rules
        self.interceptor = EditionInterceptor(Editions(rules, self.clock), self.clock)

    async def call(self, method: str = METHOD, **fields: object) -> str:
        async def behaviour(request: Any, context: Any) -> str:
            return "answered"

        async def continuation(details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(behaviour)

        details: Any = SimpleNamespace(method=method)
        handler: Any = await self.interceptor.intercept_service(continuation, details)
        answer: str = await handler.unary_unary(SimpleNamespace(**fields), None)
        return answer


def image(instance: str = "prod") -> SimpleNamespace:
    return SimpleNamespace(instance=instance)


async def test_an_enterprise_instance_is_asked_for_once_in_five_seconds() -> None:
    scene = Scene()
    for _ in range(3):
        assert await scene.call(image=image()) == "answered"
    assert scene.rules.asked == 1
    scene.clock.advance(5.1)
    await scene.call(image=image())
    assert scene.rules.asked == 2


async def test_a_personal_or_unknown_instance_is_refused() -> None:
    scene = Scene()
    scene.rules.edition = Edition.PERSONAL
    with pytest.raises(ServiceError) as caught:
        await scene.call(image=image())
    assert caught.value.reason == "EDITION_NOT_SUPPORTED"
    scene.rules.failure = not_found("INSTANCE_NOT_EXIST", "There is none.")
    with pytest.raises(ServiceError) as caught:
        await scene.call(image=image("other"))
    assert caught.value.reason == "INSTANCE_NOT_EXIST"


async def test_tags_of_a_personal_instance_are_refused_and_its_own_records_are_not() -> None:
    scene = Scene()
    scene.rules.edition = Edition.PERSONAL
    with pytest.raises(ServiceError) as caught:
        await scene.call("/drydock.scanner.v1.ScannerService/ListTags", instance="prod")
    assert caught.value.reason == "EDITION_NOT_SUPPORTED"
    assert await scene.call("/drydock.scanner.v1.ScannerService/ListRemovals", instance="prod") == "answered"


async def test_results_stay_readable_while_rules_is_away_and_it_is_not_asked_again_and_again() -> None:
    scene = Scene()
    scene.rules.failure = ServiceError(Kind.UNAVAILABLE, "PEER_UNAVAILABLE", "It cannot be reached.")
    for _ in range(3):
        assert await scene.call(image=image()) == "answered"
    assert scene.rules.asked == 1
    scene.clock.advance(5.1)
    scene.rules.failure, scene.rules.edition = None, Edition.PERSONAL
    with pytest.raises(ServiceError):
        await scene.call(image=image())


async def test_what_is_about_no_image_or_no_scan_is_left_alone() -> None:
    scene = Scene()
    assert await scene.call(task_id="x") == "answered"
    assert await scene.call("/drydock.rules.v1.RulesService/GetInstance", image=image()) == "answered"
    assert scene.rules.asked == 0


async def test_a_stream_about_an_image_of_a_personal_instance_is_refused_before_it_begins() -> None:
    scene = Scene()

    async def behaviour(request: Any, context: Any) -> AsyncIterator[str]:
        yield "told"

    async def continuation(details: Any) -> Any:
        return grpc.unary_stream_rpc_method_handler(behaviour)

    details: Any = SimpleNamespace(method="/drydock.scanner.v1.ScannerService/WatchScan")
    handler: Any = await scene.interceptor.intercept_service(continuation, details)
    request = SimpleNamespace(image=image())
    assert [answer async for answer in handler.unary_stream(request, None)] == ["told"]
    scene.clock.advance(5.1)
    scene.rules.edition = Edition.PERSONAL
    with pytest.raises(ServiceError) as caught:
        [answer async for answer in handler.unary_stream(request, None)]
    assert caught.value.reason == "EDITION_NOT_SUPPORTED"
