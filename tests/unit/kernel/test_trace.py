"""Trace context: taken over where it is well-formed, carried on, and never trusted into a log."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from services.kernel import trace

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_what_follows_is_of_the_same_trace_with_a_span_of_its_own() -> None:
    after = trace.follow(GIVEN)
    assert trace.accept(after) == after
    assert trace.trace_id_of(after) == trace.trace_id_of(GIVEN)
    assert after != GIVEN
    assert after.endswith("-01")


@pytest.mark.parametrize(
    "offered",
    [
        "",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        GIVEN + "\n",
        GIVEN + "-extra",
    ],
)
async def test_what_is_malformed_begins_a_trace_of_our_own(offered: str) -> None:
    assert trace.accept(offered) == ""
    assert trace.headers_after(offered) == {}
    trace.begin(offered)
    begun = trace.current()
    assert trace.accept(begun) == begun
    assert structlog.contextvars.get_contextvars()["trace_id"] == trace.trace_id_of(begun)


async def test_each_task_has_a_trace_of_its_own() -> None:
    async def answer(offered: str) -> str:
        trace.begin(offered)
        await asyncio.sleep(0)
        return trace.trace_id_of(trace.current())

    other = GIVEN.replace("4bf9", "aaaa")
    first, second = await asyncio.gather(answer(GIVEN), answer(other))
    assert (first, second) == (trace.trace_id_of(GIVEN), trace.trace_id_of(other))
    assert trace.current() == ""


async def test_a_message_carries_the_trace_only_where_there_is_one() -> None:
    assert trace.headers_after("") == {}
    assert list(trace.headers_after(GIVEN)) == ["traceparent"]
