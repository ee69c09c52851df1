"""Writes over versions from the future: they win, and drag nobody there (C3)."""

from dataclasses import replace
from itertools import permutations
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.clocks.hybrid_logical_clock import from_millis, restrain
from kvnode.core.node.commands import (
    AddToCounter,
    Applied,
    Command,
    Delete,
    Put,
    UpdateSet,
)
from kvnode.core.replication.messages import Push, wire_entry
from kvnode.core.versions.session import NEW_SESSION, Session
from kvnode.core.versions.version import Entry, Kind
from kvnode.types import Dot, EntryKey, Millis
from tests.core.node.bench import START, Bench
from tests.core.replication.entries import A, B, C, at, register
from tests.strategies import content, merge_entries

KEY, OTHER = at(b"k"), at(b"other")
LIMIT = 500
"""The default of clock_ahead_max, which the bench takes."""

aheads = st.integers(LIMIT + 1, 10**11)
overwrites = st.sampled_from((Put(KEY, b"mine"), Delete(KEY)))


def from_b(ahead: int, seq: int = 1, value: bytes = b"future") -> Entry:
    """Return what B wrote when its clock was *ahead* ms ahead."""
    return register(Dot(B, seq), value, hlc=from_millis(Millis(START + ahead)))


def hear(bench: Bench, entry: Entry, key: EntryKey = KEY) -> None:
    """Let B push *entry*."""
    seq = entry.version.dot.seq
    bench.hear(B, Push(B, seq, seq, (wire_entry(key, entry),)))


def written(bench: Bench, command: Command, session: Session = NEW_SESSION) -> Entry:
    """Return what *command* has made."""
    [outcome] = bench.write(command, session=session)
    assert isinstance(outcome, Applied)
    return outcome.entry


@given(
    ahead=aheads,
    command=overwrites,
    others=st.lists(st.integers(-(10**6), LIMIT), max_size=2),
)
def test_overwrite_wins_at_every_replica_in_whatever_order(
    ahead: int, command: Command, others: list[int]
) -> None:
    """Concurrent writes of right clocks lose to it, as to what it overwrote."""
    bench = Bench()
    bench.connect(B)
    future = from_b(ahead)
    hear(bench, future)
    mine = written(bench, command)
    concurrent = [
        register(Dot(C, seq), b"c", hlc=from_millis(Millis(START + off)))
        for seq, off in enumerate(others, 1)
    ]

    for order in permutations((future, mine, *concurrent)):
        stored: Entry | None = None
        for entry in order:
            stored = merge_entries(stored, entry).entry
        assert content(stored) == content(mine)


@given(ahead=aheads, rounds=st.integers(1, 6))
def test_later_overwrites_win_over_earlier_ones_between_nodes(
    ahead: int, rounds: int
) -> None:
    """Who has read the last one wins, whatever the clocks say."""
    bench = Bench()
    bench.connect(B)
    last = from_b(ahead)
    hear(bench, last)

    for n in range(1, rounds + 1):
        mine = written(bench, Put(KEY, b"%d" % n))
        assert merge_entries(last, mine).entry == mine
        stamp = mine.version.hlc + 1
        last = register(Dot(B, n + 1), b"b", hlc=stamp)
        hear(bench, last)
        assert bench.entry(KEY) == last


@given(ahead=aheads)
def test_session_overwrites_what_the_node_has_not_got_yet(ahead: int) -> None:
    """R1: the session carries the stamp of what it has read elsewhere."""
    bench = Bench()
    future = from_b(ahead)
    session = Session((future.version.dot,), future.version.hlc)

    mine = written(bench, Put(KEY, b"mine"), session)

    assert merge_entries(mine, future).entry == mine


class Step(NamedTuple):
    """Something is heard from B or written here; time passes or goes back."""

    name: str
    amount: int


steps = st.lists(
    st.builds(
        Step,
        st.sampled_from(("hear", "put", "delete", "count", "add", "session", "wait")),
        st.integers(-(10**6), 10**6) | st.integers(LIMIT + 1, 10**11),
    ),
    max_size=15,
)

COMMANDS: dict[str, Command] = {
    "put": Put(KEY, b"mine"),
    "delete": Delete(KEY),
    "count": AddToCounter(at(b"counter"), 1),
    "add": UpdateSet(at(b"set"), (b"m",), ()),
}


@given(taken=steps)
def test_no_future_moves_the_clock_of_who_hears_overwrites_or_serves_it(
    taken: list[Step],
) -> None:
    """C2: what a key that nobody sent ahead is stamped with, is near the time."""
    bench, seq, latest = Bench(), 0, START
    bench.connect(B)
    for name, amount in taken:
        match name:
            case "wait":
                bench.now = Millis(max(bench.now, bench.now + amount % 5000))
                latest = max(latest, bench.now)
            case "session":
                seen = from_millis(Millis(bench.now + amount))
                written(bench, Put(KEY, b"read"), Session((), seen))
            case "hear":
                seq += 1
                hear(bench, from_b(bench.now - START + amount, seq))
            case _:
                written(bench, COMMANDS[name])
        assert bench.node.state.hlc <= from_millis(Millis(latest + LIMIT)) + 2 * 15

    plain = written(bench, Put(OTHER, b""))

    assert plain.version.hlc <= from_millis(Millis(latest + LIMIT)) + 2 * 15


@given(ahead=aheads)
def test_crdt_upon_a_deletion_from_the_future_is_above_it(ahead: int) -> None:
    """Its base is the deletion's stamp, and the node's clock stays where it was."""
    bench = Bench()
    bench.connect(B)
    deleted = from_b(ahead)
    deleted = deleted._replace(version=deleted.version._replace(kind=Kind.TOMBSTONE))
    hear(bench, deleted)

    counter = written(bench, AddToCounter(KEY, 1))

    assert counter.version.rank > deleted.version.rank
    assert merge_entries(deleted, counter).entry == counter
    assert written(bench, Put(OTHER, b"")).version.dot == Dot(A, 2)
    assert bench.node.state.hlc < from_millis(Millis(START + LIMIT))


@given(ahead=aheads, command=overwrites)
def test_restrained_node_still_wins_over_its_own_writes_from_the_future(
    ahead: int, command: Command
) -> None:
    """Its clock went ahead, wrote, and was set right: R1 holds for each key."""
    bench = Bench()
    bench.now = Millis(START + ahead)
    future = written(bench, Put(KEY, b"future"))
    bench.now = START
    limit = Millis(LIMIT)
    hlc = restrain(bench.node.state.hlc, now=START, ahead_max=limit)
    bench.node.state = replace(bench.node.state, hlc=hlc)

    mine = written(bench, command)

    assert merge_entries(future, mine).entry == mine
    assert written(bench, Put(OTHER, b"")).version.hlc < from_millis(
        Millis(START + LIMIT)
    )
