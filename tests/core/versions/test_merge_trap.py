"""
Why writes are stamped by rule R1, and why types do not mix as R5 reads at first.

The obvious merge is "the version that dominates by vector clock, else the newer".
With stamps from wall clocks that disagree it is not associative: x may be
newer than y by causality, y newer than z by time and z newer than x by time.
Replicas that meet the three in different orders then differ for good.
"""

from random import Random

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis.errors import NoSuchExample

from kvnode.core.crdt import PnCounter, join
from kvnode.core.versions.merge import Merged, Relation, merge, relate
from kvnode.core.versions.version import CRDT_KINDS, Entry, Kind, Version
from kvnode.types import Dot, HlcTimestamp, ReplicaId
from tests import strategies
from tests.strategies import History, Op, merge_entries

pytestmark = pytest.mark.no_cover  # see tests/conftest.py

A, B, C = ReplicaId(1), ReplicaId(2), ReplicaId(3)

SEARCH = settings(
    max_examples=300,
    database=None,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


def dominates_else_newest(stored: Entry | None, incoming: Entry) -> Merged:
    """Merge as one would without having thought of clocks that lie."""
    if stored is None:
        return Merged(incoming, Relation.NEWER, changed=True)
    relation = relate(stored.version, incoming.version)
    if relation is Relation.CONCURRENT:
        winner = max(stored, incoming, key=lambda entry: entry.version.stamp)
    else:
        winner = incoming if relation is Relation.NEWER else stored
    return Merged(winner, relation, changed=winner is not stored)


def larger_stamp_takes_the_type(stored: Entry, incoming: Entry) -> Entry:
    """Merge as R5 reads: equal CRDT types join, else the larger stamp wins."""
    mine, theirs = stored.version, incoming.version
    newest = max(stored, incoming, key=lambda entry: entry.version.stamp)
    if mine.kind is theirs.kind and mine.kind in CRDT_KINDS:
        return newest._replace(value=join(mine.kind, stored.value, incoming.value))
    return newest


def depends_on_order(ops: list[Op], *, obeys_r1: bool) -> bool:
    """Tell whether two replicas that merge the same writes can end up different."""
    history = History.run(ops, merge=dominates_else_newest, obeys_r1=obeys_r1)
    return any(
        dominates_else_newest(dominates_else_newest(x, y).entry, z).entry
        != dominates_else_newest(x, dominates_else_newest(y, z).entry).entry
        for x in history.writes
        for y in history.writes
        for z in history.writes
    )


REGISTER_OPS = strategies.operations(("put", "delete", "hear"), size_max=8)


def test_wall_clock_stamps_make_the_obvious_merge_depend_on_order() -> None:
    """The counter-example that rule R1 exists for; the search finds it by itself."""
    ops = find(
        REGISTER_OPS,
        lambda ops: depends_on_order(ops, obeys_r1=False),
        settings=SEARCH,
        random=Random(1),
    )

    assert depends_on_order(ops, obeys_r1=False)
    assert not depends_on_order(ops, obeys_r1=True), "the same acts, stamped by R1"


def test_r1_stamps_leave_the_obvious_merge_no_counter_example() -> None:
    """With `existing.hlc + 1` the same search comes back with nothing."""
    with pytest.raises(NoSuchExample):
        find(
            REGISTER_OPS,
            lambda ops: depends_on_order(ops, obeys_r1=True),
            settings=SEARCH,
            random=Random(1),
        )


@given(ops=REGISTER_OPS)
def test_r1_stamps_make_the_obvious_merge_the_merge_by_rank(ops: list[Op]) -> None:
    """R3: if stamps never contradict clocks, the clocks need not choose."""
    history = History.run(ops, merge=merge_entries)

    for x in history.writes:
        for y in history.writes:
            assert dominates_else_newest(x, y).entry == merge_entries(x, y).entry


def test_without_r1_a_merge_by_rank_would_lose_a_later_write() -> None:
    """The order by stamp converges whatever the stamps; but to the wrong value."""

    def loses_a_later_write(ops: list[Op]) -> bool:
        history = History.run(ops, merge=merge_entries, obeys_r1=False)
        return any(
            relate(x.version, y.version) is Relation.NEWER
            and merge_entries(x, y).entry == x
            for x in history.writes
            for y in history.writes
        )

    ops = find(REGISTER_OPS, loses_a_later_write, settings=SEARCH, random=Random(1))

    assert loses_a_later_write(ops)
    assert len({op.at for op in ops}) > 1, "it takes two whose clocks disagree"


def counter(replica: ReplicaId, hlc: int, amount: int) -> Entry:
    """Return a counter that *replica* started on nothing."""
    version = Version(Kind.COUNTER, HlcTimestamp(hlc), Dot(replica, 1))
    return Entry(version, PnCounter().add(replica, amount).encode())


REGISTER = Entry(Version(Kind.REGISTER, HlcTimestamp(2), Dot(B, 1)), b"text")


def test_letting_the_larger_stamp_take_the_type_is_not_associative() -> None:
    """A register between two counters in time: docs/decisions/0001."""
    early, late = counter(A, 1, 10), counter(C, 3, 100)
    naive = larger_stamp_takes_the_type

    left = naive(naive(early, REGISTER), late)
    right = naive(early, naive(REGISTER, late))

    assert PnCounter.decode(left.value).value == 100
    assert PnCounter.decode(right.value).value == 110


def test_a_put_beats_concurrent_counters_on_an_older_base_in_any_order() -> None:
    """The same three entries by rank: the counters' states go to the conflict log."""
    early, late = counter(A, 1, 10), counter(C, 3, 100)

    for x, y, z in ((early, REGISTER, late), (late, early, REGISTER)):
        assert merge(merge(x, y, join).entry, z, join).entry == REGISTER
    result = merge(late, REGISTER, join)
    assert (result.relation, result.loser) == (Relation.CONCURRENT, late)


def test_of_two_types_on_one_base_the_larger_kind_wins() -> None:
    """Nobody reset anything, so neither time nor replica decides."""
    newer = counter(C, 9, 1)
    document = Entry(Version(Kind.DOCUMENT, HlcTimestamp(1), Dot(A, 1)), b"\x01\0\0")

    assert merge(newer, document, join).entry == document
    assert merge(document, newer, join).entry == document
    assert merge(document, newer, join).loser == newer
