"""
A node's doubt in itself.

A node that gets too little processor, or whose links are bad, misses answers that
were sent in time and would blame everybody for it.  Lifeguard lets it notice: each
sign that it is the slow one adds to a score, each probe that succeeds takes from
it, and all its patience is multiplied by score + 1.

    probe answered                              - 1
    probe failed, nobody could be asked to help + 1
    helper asked that sent neither ack nor nack + 1
    had to refute a suspicion of itself         + 1
    did not run for a while (see SteadyTime)    + 1

A failed probe whose helpers have all nacked adds nothing: this node heard all of
them in time, so it is the target that does not answer.

`SteadyTime` is what makes the last line possible, and is not in the paper.  Spans
are measured on a wall clock that may jump and by a process that may be suspended.
The time between two steps counts as it is while it is short.  If it is long, the
process did not run or the clock jumped, which from within looks the same; then it
is known only that answers may wait unread, and the span counts as a short one.

Reference:
    Dadgar, Phillips & Currey, 2018.  Lifeguard: Local Health Multiplier.
"""

from kvnode.types import Millis

SCORE_MAX = 8
"""Lifeguard's S: a probe takes at most nine times as long as usual."""


class Awareness:
    """The Local Health Multiplier of one node."""

    def __init__(self, score_max: int = SCORE_MAX) -> None:
        """Start healthy; with a *score_max* of 0 there is never any doubt."""
        self._score = 0
        self._score_max = score_max

    @property
    def multiplier(self) -> int:
        """Return by what to multiply spans, 1 to *score_max* + 1."""
        return self._score + 1

    def worsen(self, signs: int = 1) -> None:
        """Note *signs* that this node is slow, >= 0."""
        self._score = min(self._score_max, self._score + signs)

    def improve(self) -> None:
        """Note that a probe has succeeded."""
        self._score = max(0, self._score - 1)


class SteadyTime:
    """Milliseconds for which this node has been running; never goes back."""

    def __init__(self, stall_after: Millis) -> None:
        """Steps further apart than *stall_after* > 0 ms may be a stall."""
        self._stall_after = stall_after
        self._last: Millis | None = None
        self.passed = Millis(0)

    def advance(self, now: Millis, multiplier: int) -> bool:
        """
        Go on to *now*; tell whether there was a stall, or a jump ahead.

        A jump back counts as no time at all, and time goes on from there.

        Args:
            now: By the wall clock.
            multiplier: The node's patience: one that is known to be slow is not
                told so at each step, or its probes would never come to an end.
        """
        elapsed = 0 if self._last is None else max(0, now - self._last)
        self._last = now
        stalled = elapsed > self._stall_after * multiplier
        self.passed = Millis(self.passed + (self._stall_after if stalled else elapsed))
        return stalled
