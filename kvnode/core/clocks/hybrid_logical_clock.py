"""
Hybrid logical clock: timestamps near wall time that never contradict causality.

A timestamp holds milliseconds since 1970 and a counter, packed so that integer
order is timestamp order:

    timestamp = ms << 16 | counter

A stamp is larger than every stamp its writer had seen, whatever the wall clock
did meanwhile.  Running out of counter values carries into the milliseconds,
which keeps order and costs a millisecond of drift.

References:
    Kulkarni, Demirbas, Madappa, Avva & Leone, 2014.  Logical Physical Clocks.
"""

from kvnode.types import HlcTimestamp, Millis

COUNTER_BITS = 16


def from_millis(now: Millis) -> HlcTimestamp:
    """Return the smallest timestamp of millisecond *now*."""
    return HlcTimestamp(now << COUNTER_BITS)


def millis_of(timestamp: HlcTimestamp) -> Millis:
    """Return the milliseconds since 1970 of *timestamp*."""
    return Millis(timestamp >> COUNTER_BITS)


def tick(*seen: HlcTimestamp, now: Millis) -> HlcTimestamp:
    """
    Return a timestamp above all that was *seen*, and not before *now*.

    Rule R1: the stamp of a write is the tick over the node's last stamp, the
    stored version's and the session's.
    """
    return HlcTimestamp(max(now << COUNTER_BITS, max(seen) + 1))


def absorb(
    last: HlcTimestamp, remote: HlcTimestamp, *, now: Millis, ahead_max: Millis
) -> HlcTimestamp:
    """
    Return the clock after a message stamped *remote* arrived.

    A stamp further ahead of *now* than *ahead_max* leaves the clock alone, so
    that one node's wrong clock does not become everyone's (rule C2).
    """
    if remote > from_millis(Millis(now + ahead_max)):
        return last
    return max(last, remote)


def restrain(last: HlcTimestamp, *, now: Millis, ahead_max: Millis) -> HlcTimestamp:
    """
    Return the clock of a node whose wall clock, now known to be right, was not.

    What it stamped meanwhile took its clock along, and without this it would stamp
    ahead until time has come to that.  Stamps of one key rise all the same, by what
    is stored and what sessions have seen (rule R1); across keys, of one who carries
    no session, they may fall once.  Not to be called while nobody knows whether the
    wall clock is right: it may have been set back wrongly, which the node's own
    clock makes up for.
    """
    return last if last <= from_millis(Millis(now + ahead_max)) else from_millis(now)
