"""
Registers whose written values are unique, in O(n log n), without search.

All operations that need one value to be there, its write and its reads, are a
*cluster*.  They must be put in order as one block: once the value is overwritten it
never comes back.  A compare-and-set that succeeded reads one value and writes the
next, and nothing comes between the two; so clusters that are joined by them form
chains, and a *block* is a whole chain, in a fixed order within.  What was there in
the beginning is the first block.

With f the earliest return in a block and s the latest call, block X must come
before block Y exactly if f(X) < s(Y).  If such demands contradict each other at
all, those of two blocks do: in a circle of demands, the block X with the latest s
is demanded to come after all others, and some other after it.  (This is the argument
of Gibbons and Korach, whose *zones* are the intervals between f and s; it needs
nothing of a block but that it stays together.)  Hence it is enough that no two zones
with f < s ("forward") overlap, that none with s <= f ("backward") lies within a
forward one, and that each chain agrees with time in itself.

An operation that never returned and whose value nobody saw can be left out.  If its
value was seen it has happened, and its return is merely late.

A compare-and-set that failed has seen that a value was *not* there, which is no
zone.  If the rest contradicts itself, it does so with these too; if each of them
finds room in the one order that is made of the rest, all is well.  Otherwise nothing
is known.

So this is exact where it answers, and it does not when a value that somebody
observed was written more than once (or is the initial one, written again), or when
a failed comparison finds no room in the order that happens to be made.

Reference:
    Gibbons & Korach, 1997.  Testing shared memories.  Section 4.
"""

from bisect import bisect_left
from collections.abc import Hashable, Iterator, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

from jepsen_like.checkers.linearizable.clusters import (
    BEFORE_ALL,
    ActionOf,
    Cluster,
    NoRegisterError,
    NotUniqueError,
    clusters_of,
)
from jepsen_like.checkers.linearizable.contradiction import (
    Contradiction,
    ContradictionError,
)
from jepsen_like.checkers.linearizable.zone_contradictions import (
    Register,
    chain_contradiction,
    circle_contradiction,
    zone_contradiction,
)
from jepsen_like.history.operation import FOREVER, Operation


class NotDecided(NamedTuple):
    """Zones cannot tell; *reason* says why."""

    reason: str


class Zone(NamedTuple):
    """
    A block in time.

    Attributes:
        first_return: f, the earliest return of an operation of it.
        last_call: s, the latest call of one.
        root: The first cluster of its chain.
    """

    first_return: int
    last_call: int
    root: Cluster


def judge_by_zones(
    operations: Sequence[Operation], action_of: ActionOf, initial: Hashable
) -> Contradiction | NotDecided | None:
    """
    Judge the operations of one register.

    Args:
        operations: In order of their calls; none failed.
        action_of: What each of them does: read or get, write or put, cas, differs.
        initial: What the register holds in the beginning.

    Returns:
        None if they are linearizable.

    Raises:
        ModelError: From *action_of*.

    Source:
        Gibbons & Korach (1997), theorem 4.1, for blocks in place of clusters.
    """
    try:
        clusters = clusters_of(operations, action_of, initial)
        register = Register(operations, action_of, clusters)
        zones = _zones(register)
        forward = sorted(
            (zone for zone in zones if zone.first_return < zone.last_call),
            key=itemgetter(0),
        )
        _compare(register, zones, forward)
    except NoRegisterError:
        return NotDecided("there are other operations than those of a register")
    except NotUniqueError:
        return NotDecided("a value that was observed was written more than once")
    except ContradictionError as error:
        return error.found
    if clusters.differs and not _all_fit(register, zones, forward):
        return NotDecided("failed comparisons leave more than one order to try")
    return None


def _zones(register: Register) -> list[Zone]:
    """Return the zones of all chains; chains that bite their tail raise."""
    zones: list[Zone] = []
    reached = 0
    for cluster in register.clusters.all:
        if cluster.follows:
            continue
        if cluster.successor is None:
            reached += 1
            if cluster.seen_by < cluster.written_from:
                raise chain_contradiction(register, cluster)
            first_return = min(cluster.seen_by, cluster.written_by)
            last_call = max(cluster.seen_from, cluster.written_from)
            zones.append(Zone(first_return, last_call, cluster))
        else:
            zone, length = _chain_zone(register, cluster)
            reached += length
            zones.append(zone)
    if reached < len(register.clusters.all):
        raise circle_contradiction(register)
    return zones


def _chain_zone(register: Register, root: Cluster) -> tuple[Zone, int]:
    """Return the zone of a chain, which must agree with time in itself, and length."""
    latest_call = BEFORE_ALL
    first_return = FOREVER
    length = 0
    cluster: Cluster | None = root
    while cluster is not None:
        # Nothing that comes later in the chain may return before something that
        # comes earlier is called.
        if cluster.written_by < latest_call:
            raise chain_contradiction(register, root)
        latest_call = max(latest_call, cluster.written_from)
        if cluster.seen_by < latest_call:
            raise chain_contradiction(register, root)
        latest_call = max(latest_call, cluster.seen_from)
        first_return = min(first_return, cluster.written_by, cluster.seen_by)
        length += 1
        cluster = cluster.successor
    return Zone(first_return, latest_call, root), length


def _compare(
    register: Register, zones: Sequence[Zone], forward: Sequence[Zone]
) -> None:
    """Raise if two blocks must each come before the other."""
    for one, other in pairwise(forward):
        if other.first_return < one.last_call:
            raise zone_contradiction(register, one.root, other.root)
    starts = [zone.first_return for zone in forward]
    for zone in zones:
        if zone.first_return >= zone.last_call:
            around = _before(starts, zone.last_call)
            if around >= 0 and zone.first_return < forward[around].last_call:
                raise zone_contradiction(register, forward[around].root, zone.root)


def _before(starts: Sequence[int], time: int) -> int:
    """Return the index of the last of *starts* that is earlier, -1 if none is."""
    return bisect_left(starts, time) - 1


def _all_fit(
    register: Register, zones: Sequence[Zone], forward: Sequence[Zone]
) -> bool:
    """
    Put all in order, as early as possible; return whether the rest fits in.

    A failed comparison fits if its value was not there yet when it was called, or
    not there any more when it returned.
    """
    begins: dict[int, int] = {}
    ends: dict[int, int] = {}
    now = BEFORE_ALL
    last: int | None = None
    for root in _in_order(zones, forward):
        cluster: Cluster | None = root
        while cluster is not None:
            now = max(now, cluster.written_from)
            begins[cluster.writer] = now
            if last is not None:
                ends[last] = now
            last = cluster.writer
            now = max(now, cluster.seen_from)
            cluster = cluster.successor
    for position, value in register.clusters.differs:
        other = register.clusters.of_value.get(value)
        if other is None or other.writer not in begins:
            continue  # the value was never there
        operation = register.operations[position]
        comes_late = operation.called > begins[other.writer]
        if comes_late and operation.returned < ends.get(other.writer, FOREVER):
            return False
    return True


def _in_order(zones: Sequence[Zone], forward: Sequence[Zone]) -> Iterator[Cluster]:
    """
    Yield the blocks in an order that agrees with time; they do not contradict it.

    Forward zones come in their order, and backward ones where they begin, but after
    a forward one in which they begin.
    """
    starts = [zone.first_return for zone in forward]
    keyed: list[tuple[int, bool, int]] = []
    for index, zone in enumerate(zones):
        time = zone.first_return
        is_forward = time < zone.last_call
        if not is_forward:
            time = zone.last_call
            around = _before(starts, time)
            if around >= 0:
                time = max(time, forward[around].last_call)
        keyed.append((time, is_forward, index))
    keyed.sort()
    for _, _, index in keyed:
        yield zones[index].root
