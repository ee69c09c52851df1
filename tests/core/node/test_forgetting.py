"""Forgetting: which floors are worked out, when they are adopted, and what goes."""

import pytest

from kvnode.core.clocks.hybrid_logical_clock import from_millis
from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.node import forgetting
from kvnode.core.node.commands import AddToCounter, Applied, Delete, Put
from kvnode.core.node.events import PeersConfigured, Received, RemoveMember, Tick
from kvnode.core.replication import fetch, messages
from kvnode.core.replication.messages import (
    DeltaPage,
    DeltaRequest,
    Digest,
    FetchRequest,
    Push,
    Report,
    wire_entry,
)
from kvnode.core.versions.floor import GROUND, Floor
from kvnode.core.versions.record import WIRE, encode
from kvnode.core.versions.roster import Roster
from kvnode.core.versions.store_view import (
    DurableState,
    Filling,
    PeerAddress,
)
from kvnode.core.versions.version import Entry, Kind, Stamp, Version
from kvnode.errors import DamagedRecordError
from kvnode.runtime.staged_view import StagedView
from kvnode.storage.memory_store import MemorySnapshot
from kvnode.types import Dot, EntryKey, HlcTimestamp, Millis, ReplicaId
from tests.core.node.bench import START, Bench, address, member, sent
from tests.core.replication.entries import A, B, C, at, counter, register
from tests.simulation.site import run

KEY = at(b"k")
INTERVAL = 5000


def tombstone(dot: Dot, hlc: int) -> Entry:
    """Return a deletion."""
    return Entry(Version(Kind.TOMBSTONE, HlcTimestamp(hlc), dot))


def push_of(entry: Entry, key: EntryKey = KEY) -> Push:
    """Return the push of one write by its origin."""
    replica, seq = entry.version.dot
    return Push(replica, seq, seq, (wire_entry(key, entry),))


@pytest.fixture
def pair() -> Bench:
    """A node with one peer, B, whose roster is the same."""
    bench = Bench()
    bench.turn(PeersConfigured(()))
    bench.meet(B)
    return bench


def write_and_delete(bench: Bench) -> None:
    """Leave a tombstone under KEY: A's second write."""
    bench.write(Put(KEY, b"1"))
    bench.write(Delete(KEY))


def forget_all(bench: Bench) -> None:
    """Let B report that it covers all, and a floor be worked out."""
    bench.now = Millis(bench.now + INTERVAL)
    bench.report(B, bench.clock)
    bench.tick()


# -- working floors out (G1) ---------------------------------------------------


def test_deletion_is_forgotten_when_every_member_has_reported_it(pair: Bench) -> None:
    """G1, G2: the entry is gone, and the floor says up to where."""
    write_and_delete(pair)

    forget_all(pair)
    pair.tick()

    assert pair.entry(KEY) is None
    assert pair.state.floor.vector == VersionVector.of({A: 2})
    with pair.store.snapshot() as view:
        assert not list(view.mortals(HlcTimestamp(2**63)))
        assert not list(view.index(A, 1, None))


def test_deletion_stays_while_a_member_has_not_covered_it(pair: Bench) -> None:
    """G1: no timer."""
    write_and_delete(pair)

    pair.report(B, VersionVector.of({A: 1}))
    pair.tick(1_000_000_000)

    assert pair.entry(KEY) is not None


def test_deletion_stays_while_a_member_is_away(pair: Bench) -> None:
    """G3: it counts until it is removed by an explicit act."""
    pair.meet(C)
    write_and_delete(pair)

    forget_all(pair)
    assert pair.state.floor == GROUND
    pair.turn(RemoveMember(C))
    for _ in range(3):  # in two of them members agree on where the writes of C end
        forget_all(pair)
    pair.tick()

    assert pair.entry(KEY) is None


def test_deletion_stays_while_a_member_has_another_roster(pair: Bench) -> None:
    """It may know of one that this node does not."""
    write_and_delete(pair)

    pair.now = Millis(pair.now + INTERVAL)
    pair.hear(B, Report(pair.clock, pair.now, roster=1))
    pair.tick()

    assert pair.state.floor == GROUND


def test_deletion_stays_while_a_configured_peer_was_never_met(pair: Bench) -> None:
    """Nobody knows what it has."""
    pair.turn(PeersConfigured((PeerAddress("c-site", "c:1"),)))
    write_and_delete(pair)

    forget_all(pair)

    assert pair.state.floor == GROUND


def test_floor_is_no_higher_than_the_earliest_report(pair: Bench) -> None:
    """What a member writes after its report must be stamped above."""
    write_and_delete(pair)
    earlier = Millis(pair.now + 1)

    pair.now = Millis(pair.now + INTERVAL)
    pair.report(B, pair.clock, sent_at=earlier)
    pair.tick()

    assert pair.state.floor.hlc == from_millis(earlier)


def test_only_the_smallest_of_those_connected_works_floors_out() -> None:
    """So that all use the same ones."""
    bench = Bench(state=DurableState(C))
    bench.turn(PeersConfigured(()))
    bench.meet(B)
    write_and_delete(bench)

    forget_all(bench)

    assert bench.state.floor == GROUND


def test_equal_digest_is_a_report(pair: Bench) -> None:
    """D8: a node that is equal says so in 8 bytes, and that counts for G1."""
    write_and_delete(pair)
    pair.now = Millis(pair.now + INTERVAL)
    [(_, digest)] = sent(pair.tick(), Digest)
    assert isinstance(digest, Digest)

    pair.hear(B, digest._replace(sent_at=pair.now))
    pair.tick(INTERVAL)

    assert pair.state.floor.vector == pair.clock


# -- adopting them -------------------------------------------------------------


def test_own_floor_waits_for_what_members_hold_beyond_their_clocks(pair: Bench) -> None:
    """It may come here yet, and must then be known as covered."""
    write_and_delete(pair)
    late = VersionVector.of({C: 1})
    pair.now = Millis(pair.now + INTERVAL)

    pair.report(B, pair.clock, held=late)
    pair.tick()
    assert pair.state.floor == GROUND
    pair.hear(B, push_of(register(Dot(C, 1)), at(b"other")))

    assert pair.state.floor.vector == VersionVector.of({A: 2})


def test_floor_of_a_peer_waits_for_what_the_peer_covers(pair: Bench) -> None:
    """The peer had waited for all that was on its way."""
    write_and_delete(pair)
    floor = Floor(VersionVector.of({A: 2}), from_millis(pair.now))
    theirs = VersionVector.of({A: 2, B: 1})

    pair.report(B, theirs, floor=floor)
    assert pair.state.floor == GROUND
    pair.hear(B, push_of(register(Dot(B, 1)), at(b"other")))

    assert pair.state.floor == floor


def test_floor_heard_again_waits_for_no_more_than_before(pair: Bench) -> None:
    """Else a peer that is always a little ahead would never be followed."""
    write_and_delete(pair)
    floor = Floor(VersionVector.of({A: 2}), from_millis(pair.now))
    pair.report(B, VersionVector.of({A: 2, B: 1}), floor=floor)

    pair.report(B, VersionVector.of({A: 2, B: 2}), floor=floor)
    pair.hear(B, push_of(register(Dot(B, 1)), at(b"other")))

    assert pair.state.floor == floor


def test_floor_waits_no_longer_for_what_its_peer_gave_up(pair: Bench) -> None:
    """What was in a damaged record may never come."""
    write_and_delete(pair)
    floor = Floor(VersionVector.of({A: 2}), from_millis(pair.now))
    pair.report(B, VersionVector.of({A: 2, B: 1}), floor=floor)

    pair.report(B, VersionVector.of({A: 2}), floor=floor)

    assert pair.state.floor == floor


def test_adopting_raises_the_own_clock_to_the_floor(pair: Bench) -> None:
    """All that is written from now on is stamped above what is forgotten."""
    write_and_delete(pair)
    ahead = Millis(pair.now + 400)
    floor = Floor(VersionVector.of({A: 2}), from_millis(ahead))

    pair.report(B, pair.clock, floor=floor)
    [outcome] = pair.write(Put(at(b"other"), b"1"))

    assert isinstance(outcome, Applied)
    assert outcome.entry.version.hlc > floor.hlc


def test_counter_started_after_forgetting_says_so(pair: Bench) -> None:
    """Else a node that still has the tombstone would take it for ended."""
    write_and_delete(pair)
    forget_all(pair)
    pair.tick()

    [outcome] = pair.write(AddToCounter(KEY, 1))

    assert isinstance(outcome, Applied)
    assert outcome.entry.version.base == Stamp(pair.state.floor.hlc, ReplicaId(0))


def test_failed_turn_forgets_nothing_and_the_next_report_brings_the_floor(
    pair: Bench,
) -> None:
    """The store is full for a moment."""
    write_and_delete(pair)
    floor = Floor(VersionVector.of({A: 2}), from_millis(Millis(pair.now + 1)))
    report = Report(
        pair.clock, pair.now, roster=pair.state.roster.digest(), floor=floor
    )
    pair.failed_turn(Received(B, report))
    assert pair.state.floor == GROUND

    pair.hear(B, report)
    pair.tick()

    assert pair.state.floor == floor
    assert pair.entry(KEY) is None


# -- what goes -----------------------------------------------------------------


def test_expired_entry_goes_when_the_floor_is_above_its_deadline(pair: Bench) -> None:
    """R6, G2."""
    deadline = Millis(pair.now + 1000)
    pair.write(Put(KEY, b"1", deadline=deadline))

    pair.report(B, pair.clock, sent_at=Millis(deadline))
    pair.tick(INTERVAL)
    pair.tick()
    assert pair.entry(KEY) is not None
    pair.report(B, pair.clock, sent_at=Millis(deadline + 1))
    pair.tick(INTERVAL)
    pair.tick()

    assert pair.entry(KEY) is None


def test_few_entries_are_dropped_in_one_turn(
    pair: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million deletions must not stop the node."""
    monkeypatch.setattr(forgetting, "LOOKED_AT_PER_TURN_MAX", 3)
    keys = [at(b"%d" % n) for n in range(7)]
    for key in keys:
        pair.write(Put(key, b"1"), Delete(key))

    forget_all(pair)
    left = [sum(pair.entry(key) is not None for key in keys)]
    for _ in range(4):
        pair.tick()
        left.append(sum(pair.entry(key) is not None for key in keys))

    assert left == [4, 1, 0, 0, 0]


def test_collecting_goes_on_after_a_restart(
    pair: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The floor is durable, and how far collecting was is not."""
    monkeypatch.setattr(forgetting, "LOOKED_AT_PER_TURN_MAX", 1)
    keys = [at(b"%d" % n) for n in range(3)]
    for key in keys:
        pair.write(Put(key, b"1"), Delete(key))
    forget_all(pair)
    pair.restart()

    for _ in range(6):
        pair.tick()

    assert not any(pair.entry(key) for key in keys)


def test_collecting_follows_a_bootstrap() -> None:
    """The donor may have been about to drop what it sent."""
    covered = VersionVector.of({B: 2})
    floor = Floor(covered, from_millis(START))
    bench = Bench()
    bench.tick()
    [(_, request)] = sent(bench.meet(B, covered), DeltaRequest)
    assert isinstance(request, DeltaRequest)
    entry = tombstone(Dot(B, 2), 5)

    bench.hear(
        B,
        DeltaPage(
            request.session,
            0,
            covered,
            (wire_entry(KEY, entry),),
            last=True,
            floor=floor,
            until=KEY,
        ),
    )
    bench.tick()

    assert bench.state.floor == floor
    assert bench.entry(KEY) is None


def test_nothing_is_forgotten_while_the_store_is_filled() -> None:
    """What is here is not all that the clock will claim."""
    covered = VersionVector.of({B: 2})
    state = DurableState(A, filling=Filling(), roster=Roster([member(A), member(B)]))
    bench = Bench(state=state)

    bench.meet(B, covered, Floor(covered, from_millis(START)))
    bench.report(B, covered, floor=Floor(covered, from_millis(START)))
    bench.tick(INTERVAL)

    assert bench.state.floor == GROUND


def test_deletion_whose_commit_is_under_way_is_dropped_as_well() -> None:
    """A lone node covers at once what it writes; the snapshot does not show it yet."""
    bench = Bench()
    bench.turn(PeersConfigured(()))
    bench.write(Put(KEY, b"1"))
    bench.tick()

    with bench.store.snapshot() as before:
        first = bench.node.step([bench.request(Delete(KEY))], bench.at, before)
        view = StagedView(before, first.commit)
        bench.now = Millis(bench.now + INTERVAL)
        second = bench.node.step([Tick()], bench.at, view)
    for result in (first, second):
        assert result.commit is not None
        run(bench.store.apply(result.commit))
        bench.node.committed()
    assert bench.state.floor.vector.covers(Dot(A, 2))
    bench.tick()

    assert bench.entry(KEY) is None


def test_damaged_record_of_a_forgotten_deletion_goes_with_it(
    pair: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No peer has it any more: it would be pulled in vain for ever."""
    write_and_delete(pair)
    deletion, read = pair.entry(KEY), MemorySnapshot.entry

    def entry(snapshot: MemorySnapshot, key: EntryKey) -> Entry | None:
        stored = read(snapshot, key)
        if stored is not None and stored is deletion:
            message = "the record fails its checksum"
            raise DamagedRecordError(message, key)
        return stored

    monkeypatch.setattr(MemorySnapshot, "entry", entry)
    forget_all(pair)
    pair.tick()

    assert pair.entry(KEY) is None
    assert not pair.state.digest.known
    with pair.store.snapshot() as snapshot:
        assert not list(snapshot.index(A, 1, None))


# -- what comes after ------------------------------------------------------------


def test_covered_write_is_not_merged_again(pair: Bench) -> None:
    """It may have been ended by what is forgotten."""
    [outcome] = pair.write(Put(KEY, b"1"))
    pair.write(Delete(KEY))
    assert isinstance(outcome, Applied)
    forget_all(pair)
    pair.tick()

    pair.hear(B, Push(A, 1, 1, (wire_entry(KEY, outcome.entry),)))

    assert pair.entry(KEY) is None


def test_write_from_before_the_floor_is_left_to_a_delta(pair: Bench) -> None:
    """Only a node that covers the floor can tell whether it was ended."""
    write_and_delete(pair)
    forget_all(pair)
    pair.tick()
    old = register(Dot(B, 1))

    pair.hear(B, push_of(old))
    assert pair.entry(KEY) is None
    [(_, request)] = sent(pair.tick(200), DeltaRequest)
    assert isinstance(request, DeltaRequest)
    covered = pair.clock.join(VersionVector.of({B: 1}))
    page = DeltaPage(request.session, 0, covered, (wire_entry(KEY, old),), last=True)
    pair.hear(B, page)

    assert pair.entry(KEY) == old


ENDED = counter(Dot(C, 1))
STARTED_ANEW = Entry(
    counter(Dot(B, 2)).version._replace(
        hlc=HlcTimestamp(160), base=Stamp(HlcTimestamp(150), ReplicaId(0))
    ),
    counter(Dot(B, 2)).value,
)
"""A counter of a node that has forgotten the deletion which had ended the other."""


def test_counter_started_anew_is_no_one_with_what_a_deletion_here_must_end(
    pair: Bench,
) -> None:
    """It does not take the deletion's place before what that must end has come."""
    deletion = tombstone(Dot(B, 1), 100)
    pair.hear(B, push_of(deletion))

    pair.hear(B, push_of(STARTED_ANEW))
    assert pair.entry(KEY) == deletion
    pair.hear(B, push_of(ENDED))
    assert pair.entry(KEY) == deletion

    [(_, request)] = sent(pair.tick(200), DeltaRequest)
    assert isinstance(request, DeltaRequest)
    covered = VersionVector.of({B: 2, C: 1})
    entries = (wire_entry(KEY, STARTED_ANEW),)
    pair.hear(B, DeltaPage(request.session, 0, covered, entries, last=True))
    pair.hear(B, push_of(ENDED))

    assert pair.entry(KEY) == STARTED_ANEW


def test_what_was_ended_is_not_joined_with_what_was_started_anew(pair: Bench) -> None:
    """Whoever started it had forgotten the deletion; this node has not heard of it."""
    pair.hear(B, push_of(STARTED_ANEW))

    pair.hear(B, push_of(ENDED))

    assert pair.entry(KEY) == STARTED_ANEW
    assert sent(pair.tick(200), DeltaRequest)


def test_delta_from_before_the_floor_is_not_taken(pair: Bench) -> None:
    """G2b: its sender has not seen what may have ended its entries."""
    write_and_delete(pair)
    [(_, request)] = sent(
        pair.report(B, pair.clock.join(VersionVector.of({B: 1}))) + pair.tick(600),
        DeltaRequest,
    )
    assert isinstance(request, DeltaRequest)
    forget_all(pair)
    pair.tick()

    old = register(Dot(B, 1))
    page = DeltaPage(
        request.session,
        0,
        VersionVector.of({B: 1}),
        (wire_entry(KEY, old),),
        last=True,
    )
    pair.hear(B, page)

    assert pair.entry(KEY) is None
    assert not pair.clock.covers(Dot(B, 1))


def test_pulled_value_from_before_the_floor_is_not_merged(
    pair: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was announced before this node had forgotten what may have ended it."""
    monkeypatch.setattr(messages, "INLINE_VALUE_BYTES_MAX", 50)
    old = register(Dot(C, 1), bytes(100))
    pair.write(Put(at(b"other"), b"1"))
    [(_, pull)] = sent(pair.hear(B, push_of(old)), FetchRequest)
    assert isinstance(pull, FetchRequest)
    pair.write(Put(KEY, b"1"))
    pair.write(Delete(KEY))
    floor = Floor(pair.clock, from_millis(Millis(pair.now + 1)))
    pair.report(B, pair.clock, floor=floor)
    pair.tick()
    assert pair.entry(KEY) is None

    pair.hear(B, *fetch.serve(pull, old.version.dot, encode(old, WIRE)))

    assert pair.entry(KEY) is None
    assert sent(pair.tick(200), DeltaRequest)


def test_peers_that_a_store_of_the_version_before_knew_are_members() -> None:
    """One that is away while others are upgraded must be waited for."""
    peers = (address(B), address(C))
    bench = Bench(state=DurableState(A, peers=peers))

    bench.turn(PeersConfigured(()))

    assert {m.replica for m in bench.state.roster.members()} == {A, B, C}
