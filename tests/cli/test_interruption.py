"""Whoever tells a command to end is heard, but for what it was told to ignore."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

from kvnode.cli.interruption import ENDINGS, end_as_by_ctrl_c, let_nothing_disturb


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in ENDINGS}
    for number in ENDINGS:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDINGS)
def test_every_ending_is_as_by_ctrl_c(number: signal.Signals) -> None:
    """So that what clears up after one clears up after all."""
    end_as_by_ctrl_c()

    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


@pytest.mark.parametrize("number", ENDINGS)
def test_what_the_starter_lets_it_ignore_stays_ignored(number: signal.Signals) -> None:
    """`nohup` does that, and shells with their background jobs."""
    signal.signal(number, signal.SIG_IGN)

    end_as_by_ctrl_c()
    signal.raise_signal(number)

    assert signal.getsignal(number) is signal.SIG_IGN


def test_program_that_ends_is_not_disturbed() -> None:
    """Another Ctrl-C must not end it before its nodes."""
    end_as_by_ctrl_c()
    let_nothing_disturb()

    for number in ENDINGS:
        signal.raise_signal(number)


@pytest.mark.parametrize("number", ENDINGS)
def test_what_asyncio_runs_is_cancelled_by_every_ending(number: signal.Signals) -> None:
    """An exception in the midst of a callback might be lost; that cannot be."""
    end_as_by_ctrl_c()
    seen: list[type[BaseException]] = []

    async def work() -> None:
        try:
            signal.raise_signal(number)
            await asyncio.sleep(10)
        except asyncio.CancelledError as error:
            seen.append(type(error))
            raise

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(work())
    assert seen == [asyncio.CancelledError]
