"""Deadlines: how long a checker may think before it must say that it does not know."""

import time
from typing import NamedTuple, Self


class OutOfTimeError(Exception):
    """The time for a check is used up."""


class Deadline(NamedTuple):
    """
    When to give up.

    Attributes:
        seconds: What was given; None means for ever.
        at: The end, on the monotonic clock.
    """

    seconds: float | None
    at: float

    @classmethod
    def after(cls, seconds: float | None) -> Self:
        """
        Return a deadline that begins now.

        Raises:
            ValueError: *seconds* is not positive.
        """
        if seconds is not None and seconds <= 0:
            msg = f"the budget must be > 0 seconds, or None for no limit: {seconds}"
            raise ValueError(msg)
        return cls(seconds, time.monotonic() + (seconds or 0.0))

    def check(self) -> None:
        """
        Return in time.

        Raises:
            OutOfTimeError: It is later than the deadline.
        """
        if self.seconds is not None and time.monotonic() > self.at:
            msg = f"no answer within {self.seconds} s"
            raise OutOfTimeError(msg)
