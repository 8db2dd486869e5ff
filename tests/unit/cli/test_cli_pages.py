"""Lists are read to their last page, or to the limit."""

from __future__ import annotations

import json

import pytest

from services.cli.connect import every_page
from services.cli.output import Output, show_remark


class Pages:
    """Serves numbers, seven to a page at most."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.asked: list[int] = []

    async def __call__(self, size: int, token: str) -> tuple[list[int], str]:
        self.asked.append(size)
        begin = int(token or 0)
        end = min(begin + min(size, 7), self._count)
        return list(range(begin, end)), str(end) if end < self._count else ""


async def test_every_page_is_read() -> None:
    assert await every_page(Pages(20), None) == (list(range(20)), False)


async def test_reading_stops_at_the_limit_and_tells_that_there_are_more() -> None:
    pages = Pages(20)
    assert await every_page(pages, 10) == (list(range(10)), True)
    assert pages.asked == [10, 3]


async def test_a_limit_that_is_just_enough_leaves_nothing() -> None:
    assert await every_page(Pages(10), 10) == (list(range(10)), False)


async def test_an_empty_list_is_one_question() -> None:
    pages = Pages(0)
    assert await every_page(pages, None) == ([], False)
    assert len(pages.asked) == 1


@pytest.mark.parametrize("output", Output)
def test_a_remark_goes_to_standard_error_alone(output: Output, capsys: pytest.CaptureFixture[str]) -> None:
    show_remark(output, "There are more than 10: raise --limit.")
    told = capsys.readouterr()
    assert told.out == ""
    remark = json.loads(told.err)["remark"] if output is Output.JSON else told.err.strip()
    assert remark == "There are more than 10: raise --limit."
