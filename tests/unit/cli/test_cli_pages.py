"""Lists are read to their last page, or to the limit."""

from __future__ import annotations

from services.cli.connect import every_page


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
    assert await every_page(Pages(20), None) == list(range(20))


async def test_reading_stops_at_the_limit() -> None:
    pages = Pages(20)
    assert await every_page(pages, 10) == list(range(10))
    assert pages.asked == [10, 3]


async def test_an_empty_list_is_one_question() -> None:
    pages = Pages(0)
    assert await every_page(pages, None) == []
    assert len(pages.asked) == 1
