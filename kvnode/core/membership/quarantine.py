"""
Entries from the future: stamped further ahead than clocks may differ (rule C2).

A write whose node had a clock far ahead wins over every write that does not know
of it, until the time of its stamp has come.  It cannot be refused: others have it,
and a node that refused it could cover nothing that comes after it.  So it is
merged like any other, holds up nothing, does not move our clock
(kvnode.core.clocks.hybrid_logical_clock.absorb), and is put on a list that
operators see, until it is overwritten in time or time has come to it.

Whoever wants to be rid of it sooner writes or deletes the key at a node that has
it: by rule R1 that wins (C3).  As its stamp must be above the bad one, the key stays
on the list until time has come to it, without another alarm.

A reader can tell from an entry alone, by `from_the_future`; the list is for those
who do not know where to look.  It is kept in memory: a restart forgets it.

Reference:
    Kulkarni, Demirbas, Madappa, Avva & Leone, 2014.  Logical Physical Clocks:
        stamps that are too far ahead must not spread.
"""

from collections.abc import Callable
from typing import NamedTuple, assert_never

from kvnode.core.clocks.hybrid_logical_clock import from_millis, millis_of
from kvnode.core.membership.clock_offset import InStep, Off, Undecided, Verdict
from kvnode.core.versions.version import Version
from kvnode.types import Dot, EntryKey, HlcTimestamp, Millis, ReplicaId

QUARANTINED_MAX = 1000
"""Keys on the list, at most 1 KiB each; more are only counted."""

ALARM_INTERVAL = Millis(10_000)
"""Between two alarms: a node with a wrong clock may write thousands of keys."""

NAMED_MAX = 3
"""Keys that one alarm names."""


class Quarantined(NamedTuple):
    """A key whose current version is from the future, since *noticed_at*."""

    key: EntryKey
    hlc: HlcTimestamp
    dot: Dot
    noticed_at: Millis


def from_the_future(version: Version, now: Millis, *, ahead_max: Millis) -> bool:
    """Tell whether *version* is stamped more than *ahead_max* ms after *now*."""
    return version.hlc > from_millis(Millis(now + ahead_max))


class Quarantine:
    """
    The keys that are known to hold versions from the future.

    All times are the median's if our own clock is off
    (kvnode.core.membership.clock_offset.agreed_time): a node that is behind would
    take all its peers' writes for the future's.

    Attributes:
        ever: How often a key was noticed since the node started.
    """

    def __init__(self, *, ahead_max: Millis) -> None:
        """Take stamps of more than *ahead_max* ms ahead for the future, > 0."""
        self.ever = 0
        self._ahead_max = ahead_max
        self._held: dict[EntryKey, Quarantined] = {}
        self._first_over_at: Millis | None = None  # or before: time to look again
        self._untold: list[Quarantined] = []
        self._untold_count = 0
        self._told_at: Millis | None = None

    def __len__(self) -> int:
        """Return how many keys are on the list."""
        return len(self._held)

    def entries(self) -> tuple[Quarantined, ...]:
        """Return the list, by key."""
        return tuple(self._held[key] for key in sorted(self._held))

    def stored(self, key: EntryKey, version: Version | None, now: Millis) -> None:
        """
        Note that *key* holds *version* from now on; to be called for every write.

        Args:
            key: Of an entry that is durable: what is aborted was never there.
            version: A client's write here, or what a merge came to; None if nothing
                is left of it (rule G2).
            now: When.
        """
        before = self._held.get(key)
        if version is None or not from_the_future(
            version, now, ahead_max=self._ahead_max
        ):
            if before is not None:
                del self._held[key]
            return
        noticed = Quarantined(key, version.hlc, version.dot, now)
        if before is None:
            self.ever += 1
            self._untold_count += 1
            if len(self._untold) < NAMED_MAX:
                self._untold.append(noticed)
            if len(self._held) >= QUARANTINED_MAX:
                return
        else:
            noticed = noticed._replace(noticed_at=before.noticed_at)
        self._held[key] = noticed
        over_at = millis_of(version.hlc)
        if self._first_over_at is None or over_at < self._first_over_at:
            self._first_over_at = over_at

    def advance(
        self, now: Millis, verdict: Verdict, name_of: Callable[[ReplicaId], str]
    ) -> list[str]:
        """
        Release what time has come to; return what operators are to be told.

        Args:
            now: Comes about every tick; O(keys) when one is released.
            verdict: What is thought of our own clock.
            name_of: How to speak of a replica.
        """
        if self._first_over_at is not None and self._first_over_at <= now:
            held = self._held.items()
            self._held = {k: each for k, each in held if millis_of(each.hlc) > now}
            over = (millis_of(each.hlc) for each in self._held.values())
            self._first_over_at = min(over, default=None)
        recently = self._told_at is not None and (
            abs(now - self._told_at) < ALARM_INTERVAL  # clocks may jump back
        )
        if not self._untold or recently:
            return []
        message = self._alarm(verdict, name_of)
        self._told_at = now
        self._untold, self._untold_count = [], 0
        return [message]

    def _alarm(self, verdict: Verdict, name_of: Callable[[ReplicaId], str]) -> str:
        named = "; ".join(
            f"{each.key.key!r} in namespace {each.key.namespace}, stamped"
            f" {millis_of(each.hlc) - each.noticed_at} ms ahead at"
            f" {name_of(each.dot.replica)}"
            for each in self._untold
        )
        left = self._untold_count - len(self._untold)
        more = f"; and {left} more" if left else ""
        return (
            f"entries from the future: {named}{more}. Until then they win over writes"
            f" that do not know of them. {_blame(verdict)} To be rid of one sooner,"
            " write or delete it at a node that has it"
        )


def _blame(verdict: Verdict) -> str:
    """Return whose clock was wrong."""
    match verdict:
        case InStep():
            return "The clock of whoever wrote them was ahead."
        case Undecided(clocks):
            return (
                "The clock of whoever wrote them was ahead, or this node's is behind:"
                f" with {clocks} clocks nobody can tell."
            )
        case Off():
            return "This node's clock is off, but they are ahead of its peers', too."
        case _:
            assert_never(verdict)
