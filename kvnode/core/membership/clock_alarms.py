"""
What operators are told about clocks: once when something begins, once when it ends.

A node tells of its own clock, and of each peer whose clock is too far from its
own.  If it is in step itself, that peer's is wrong; if it is off, its own is,
and the peers are not mentioned; if it hears too few clocks, nobody can tell, and
the people at both ends hear of it.
"""

from collections.abc import Callable, Iterable

from kvnode.core.clocks.clock_reading import ClockReading
from kvnode.core.membership.clock_offset import (
    LIFT_PERCENT,
    ClockOffset,
    Off,
    Undecided,
    Verdict,
    refusal,
)
from kvnode.types import Millis, ReplicaId

INTERVAL = Millis(1000)
"""Between two looks at all members: as often as one of them is probed."""


class ClockAlarms:
    """Which alarms are on."""

    def __init__(
        self, *, offset_max: Millis, name_of: Callable[[ReplicaId], str]
    ) -> None:
        """Speak of peers by the name that *name_of* gives; see ClockOffset."""
        self._offset_max = offset_max
        self._name_of = name_of
        self._off = False
        self._due = Millis(0)  # by the steady clock
        self._apart: dict[ReplicaId, None] = {}

    def changes(
        self,
        verdict: Verdict,
        peers: Iterable[ReplicaId],
        offsets: ClockOffset,
        at: ClockReading,
    ) -> list[str]:
        """
        Return what is to be told now; nothing most of the time.

        Args:
            verdict: What `offsets.judge` returned for *at*.
            peers: The members, in any order; looked at once a second.
            offsets: What is known of their clocks.
            at: This instant.
        """
        told: list[str] = []
        off = isinstance(verdict, Off)
        if off == self._off and at.steady < self._due:
            return told
        self._due = Millis(at.steady + INTERVAL)
        if isinstance(verdict, Off) and not self._off:
            told.append(
                f"client writes are refused: {refusal(verdict, self._offset_max)}"
            )
        elif self._off and not isinstance(verdict, Off):
            told.append("this node's clock is right again: it takes client writes")
        self._off = off
        known = sorted(peers)
        for gone in self._apart.keys() - set(known):
            del self._apart[gone]
        if not self._off:
            for peer in known:
                told.extend(self._of_peer(peer, verdict, offsets, at))
        return told

    def _of_peer(
        self, peer: ReplicaId, verdict: Verdict, offsets: ClockOffset, at: ClockReading
    ) -> list[str]:
        ahead = offsets.of_peer(peer, at)
        if ahead is None:
            return []
        name = self._name_of(peer)
        if peer not in self._apart and ahead.surely_beyond(self._offset_max):
            self._apart[peer] = None
            side = "ahead of" if ahead.offset > 0 else "behind"
            apart = (
                f"the clock of {name} is {abs(ahead.offset)} ms {side} this node's,"
                f" give or take {ahead.error} ms"
            )
            if isinstance(verdict, Undecided):
                message = (
                    f"{apart}: with {verdict.clocks} clocks nobody can tell which is"
                    " wrong, and both nodes take writes. Compare both with a time"
                    " server: the writes of the one that is ahead win over later ones"
                )
                return [message]
            return [f"{apart}, which is in step with most others: set the other right"]
        near = abs(ahead.offset) * 100 <= self._offset_max * LIFT_PERCENT
        if peer in self._apart and near:
            del self._apart[peer]
            return [f"the clocks of {name} and of this node agree again"]
        return []
