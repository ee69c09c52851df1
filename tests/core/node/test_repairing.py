"""What a repair brings is taken, unless it could undo what was rightly forgotten."""

from random import Random

import pytest

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.node.events import PeerUp, RepairArrived, RepairTaken, Send
from kvnode.core.node.node import Node, Settings
from kvnode.core.replication.messages import (
    FetchChunk,
    FetchRequest,
    RepairPage,
    WireEntry,
    wire_entry,
)
from kvnode.core.replication.repair import Trust
from kvnode.core.versions.floor import GROUND, Floor
from kvnode.core.versions.record import WIRE, encode
from kvnode.core.versions.store_view import Commit, DurableState, PeerAddress, Write
from kvnode.core.versions.version import Entry, Kind, Version
from kvnode.limits import INLINE_VALUE_BYTES_MAX
from kvnode.types import Dot, EntryKey, HlcTimestamp
from tests.core.node.bench import Bench, address
from tests.core.replication.entries import A, B, C, at, register
from tests.simulation.site import run

CLOCK = VersionVector.of({A: 5, B: 5, C: 5})
KEY = at(b"k")
FLOOR = Floor(VersionVector.of({B: 3}), HlcTimestamp(100))


def node_with(*held: tuple[EntryKey, Entry], floor: Floor = GROUND) -> Bench:
    """Return node A that covers CLOCK, has forgotten *floor*, and is connected to B."""
    bench = Bench()
    state = DurableState(A, CLOCK, seq=5, floor=floor)
    writes = tuple(Write(key, entry, None) for key, entry in held)
    run(bench.store.apply(Commit(state, writes)))
    bench.node = Node(state, Settings(PeerAddress("a", "")), Random(1))
    bench.turn(PeerUp(address(B), CLOCK, (), protocol=2))
    return bench


def page_of(*entries: WireEntry, floor: Floor = GROUND) -> RepairPage:
    """Return the last page of session 7."""
    return RepairPage(7, entries, last=True, floor=floor)


def taken(bench: Bench, page: RepairPage, trust: Trust = Trust.EQUAL) -> RepairTaken:
    """Let B send *page*; return what became of it."""
    effects = bench.turn(RepairArrived(B, page, trust))
    (one,) = (e for e in effects if isinstance(e, RepairTaken))
    return one


def held(bench: Bench, key: EntryKey = KEY) -> Entry | None:
    """Return what A holds."""
    with bench.store.snapshot() as view:
        return view.entry(key)


def test_entry_that_was_lost_comes_back_with_its_row() -> None:
    """As it was."""
    bench, lost = node_with(), register(Dot(B, 2))

    result = taken(bench, page_of(wire_entry(KEY, lost)))

    assert result == RepairTaken(B, 7, changed=1, refused=0, last=True)
    assert held(bench) == lost
    with bench.store.snapshot() as view:
        assert list(view.index(B, 1, None)) == [(Dot(B, 2), KEY)]


def test_entry_that_is_held_changes_nothing() -> None:
    """A write that only one of two indexes has seen is sent for nothing."""
    entry = register(Dot(B, 2))

    result = taken(node_with((KEY, entry)), page_of(wire_entry(KEY, entry)))

    assert (result.changed, result.refused) == (0, 0)


def test_older_entry_changes_nothing() -> None:
    """The peer has lost a write: it gets ours."""
    newer = register(Dot(A, 4), hlc=9)
    bench = node_with((KEY, newer))

    result = taken(bench, page_of(wire_entry(KEY, register(Dot(B, 2)))))

    assert result.changed == 0
    assert held(bench) == newer


@pytest.mark.parametrize(
    ("trust", "value"),
    [(Trust.EQUAL, b"zz"), (Trust.OURS, b"aa"), (Trust.THEIRS, b"zz")],
)
def test_contents_of_one_write_are_those_of_the_store_to_trust(
    trust: Trust, value: bytes
) -> None:
    """If there is none, both sides take the same."""
    mine, theirs = register(Dot(B, 2), b"aa"), register(Dot(B, 2), b"zz")
    bench = node_with((KEY, mine))

    taken(bench, page_of(wire_entry(KEY, theirs)), trust)

    entry = held(bench)
    assert entry is not None
    assert entry.value == value


def test_doubted_store_takes_the_smaller_value_too() -> None:
    """And keeps its own in the conflict log, for people."""
    mine, theirs = register(Dot(B, 2), b"zz"), register(Dot(B, 2), b"aa")
    bench = node_with((KEY, mine))

    taken(bench, page_of(wire_entry(KEY, theirs)), Trust.THEIRS)

    assert held(bench) == theirs
    with bench.store.snapshot() as view:
        assert [record.loser for record in view.conflicts(KEY)] == [mine]


def test_entry_that_is_not_covered_is_refused() -> None:
    """It comes with all that it depends on, or nobody ever gave its number."""
    bench = node_with()

    result = taken(bench, page_of(wire_entry(KEY, register(Dot(B, 6)))))

    assert (result.changed, result.refused) == (0, 1)
    assert held(bench) is None


def test_entry_of_a_peer_that_has_forgotten_less_is_refused() -> None:
    """What it holds may have been deleted by what is forgotten here."""
    bench = node_with(floor=FLOOR)

    result = taken(bench, page_of(wire_entry(KEY, register(Dot(B, 2)))))

    assert result.refused == 1
    assert held(bench) is None


def test_entry_of_a_peer_that_has_forgotten_as_much_is_taken() -> None:
    """It would hold nothing that was deleted: it had seen all that is forgotten."""
    bench, lost = node_with(floor=FLOOR), register(Dot(B, 2))
    further = Floor(VersionVector.of({B: 4}), HlcTimestamp(200))

    assert taken(bench, page_of(wire_entry(KEY, lost), floor=further)).changed == 1
    assert held(bench) == lost


def test_deletion_that_is_forgotten_here_is_refused() -> None:
    """The peer is about to forget it, too."""
    deletion = Entry(Version(Kind.TOMBSTONE, HlcTimestamp(50), Dot(B, 2)))
    bench = node_with(floor=FLOOR)

    result = taken(bench, page_of(wire_entry(KEY, deletion), floor=FLOOR))

    assert result.refused == 1
    assert held(bench) is None


def test_large_value_is_pulled_before_the_page_is_taken() -> None:
    """D6: the page is acknowledged when all of it is here."""
    bench = node_with()
    large = register(Dot(B, 2), b"x" * (INLINE_VALUE_BYTES_MAX + 1))
    page = page_of(wire_entry(KEY, large))

    effects = bench.turn(RepairArrived(B, page, Trust.EQUAL))

    assert not [e for e in effects if isinstance(e, RepairTaken)]
    (request,) = (
        e.message
        for e in effects
        if isinstance(e, Send) and isinstance(e.message, FetchRequest)
    )
    data = encode(large, WIRE)
    chunk = FetchChunk(request.fetch, Dot(B, 2), 0, len(data), data)
    effects = bench.hear(B, chunk)
    assert RepairTaken(B, 7, changed=1, refused=0, last=True) in effects
    assert held(bench) == large


def test_large_value_that_the_peer_has_no_more_holds_up_no_page() -> None:
    """It was superseded by a deletion, or is damaged there."""
    bench = node_with()
    large = register(Dot(B, 2), b"x" * (INLINE_VALUE_BYTES_MAX + 1))
    bench.turn(RepairArrived(B, page_of(wire_entry(KEY, large)), Trust.EQUAL))

    effects = bench.hear(B, FetchChunk(1, Dot(B, 2), 0, 0, b""))

    assert RepairTaken(B, 7, changed=0, refused=1, last=True) in effects


def test_page_that_does_not_parse_breaks_the_session_alone() -> None:
    """Nothing of it is stored, and the connection stays."""
    bench = node_with()
    page = page_of(wire_entry(KEY, register(Dot(B, 2))), WireEntry(at(b"l"), b"bad"))

    effects = bench.turn(RepairArrived(B, page, Trust.EQUAL))

    (result,) = effects
    assert isinstance(result, RepairTaken)
    assert result.broken
    assert held(bench) is None


def test_page_of_a_peer_that_is_gone_is_dropped() -> None:
    """Its session ended with the connection."""
    bench = node_with()
    page = page_of(wire_entry(KEY, register(Dot(C, 2))))

    assert bench.turn(RepairArrived(C, page, Trust.EQUAL)) == []
    assert held(bench) is None
