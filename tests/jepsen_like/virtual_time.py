"""A loop for tests on which waiting takes no time: when all wait, the clock jumps."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class _JumpingSelector(selectors.SelectSelector):
    """Instead of waiting for a while, lets the clock of its loop jump over it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        """Return at once, that much later; with nothing to wait for, fail."""
        if timeout is None:
            message = "everybody waits, and nothing will ever happen"
            raise RuntimeError(message)
        self.now += max(timeout, 0.0)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop with a clock of its own, which begins at zero."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._jumping.now


def run_virtually(work: Coroutine[Any, Any, _T]) -> _T:
    """Return what *work* returns, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)
