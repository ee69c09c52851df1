"""Asking until the answer is good enough."""

from collections.abc import Awaitable, Callable

from cluster.demo.waiting import until


def counting() -> Callable[[], Awaitable[int]]:
    """Something that answers 1, then 2, and so on."""
    answers = iter(range(1, 1000))

    async def ask() -> int:
        return next(answers)

    return ask


async def test_first_good_answer_is_returned() -> None:
    """Nothing is asked once the answer will do."""
    assert await until(counting(), lambda answer: answer >= 3, seconds=60) == 3


async def test_last_answer_is_returned_when_time_is_up() -> None:
    """With no time at all there is still one answer, to be judged by the caller."""
    assert await until(counting(), lambda _: False, seconds=0) == 1
