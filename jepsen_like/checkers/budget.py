"""
Budgets: how much a checker may spend before it must say that it does not know.

Time is what people wait for, states are what memory holds and what comes out the
same on every machine.  A checker counts what it does as it does it; the clock is
asked only once in a while, so counting costs next to nothing.
"""

import time
from collections.abc import Callable
from typing import Final

CLOCK_INTERVAL: Final = 512
"""States counted between two looks at the clock: a millisecond or so."""

SECONDS_DEFAULT: Final = 120.0
"""As long as somebody waits for one history without wondering."""


class Budget:
    """
    What may still be spent; shared by all parts of one check.

    The clock starts when the budget is made.
    """

    def __init__(
        self,
        seconds: float | None = SECONDS_DEFAULT,
        states: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Begin to count.

        Args:
            seconds: How long a check may take, > 0; None for no limit.
            states: How many states, configurations or the like it may visit,
                > 0; None for no limit.
            clock: Seconds, monotonic.

        Raises:
            ValueError: A limit is not positive.
        """
        if seconds is not None and seconds <= 0:
            msg = f"a budget needs > 0 seconds, or None for no limit: {seconds}"
            raise ValueError(msg)
        if states is not None and states <= 0:
            msg = f"a budget needs > 0 states, or None for no limit: {states}"
            raise ValueError(msg)
        self.seconds = seconds
        self.states = states
        self.visited = 0
        self._clock = clock
        self._deadline = None if seconds is None else clock() + seconds
        self._look_at = 0
        self._reason = ""

    def spend(self, states: int = 1) -> bool:
        """Count *states* visited and return whether the check may go on."""
        self.visited += states
        if self.states is not None and self.visited > self.states:
            self._reason = f"no answer within {self.states:,} states"
        elif self._deadline is not None and self.visited >= self._look_at:
            self._look_at = self.visited + CLOCK_INTERVAL
            if self._clock() > self._deadline:
                self._reason = f"no answer within {self.seconds:g} s"
        return not self._reason

    @property
    def spent(self) -> bool:
        """Whether a limit was met; it stays met."""
        return bool(self._reason)

    @property
    def reason(self) -> str:
        """Which limit was met, in words; empty before that."""
        return self._reason
