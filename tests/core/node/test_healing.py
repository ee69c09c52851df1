"""A damaged record is pulled again, and what cannot be had is not claimed."""

from collections.abc import Iterator
from typing import Final

import pytest

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.node import healing
from kvnode.core.node.commands import AddToCounter, Applied, Put, Refused
from kvnode.core.node.events import Damaged, Disconnect, Effect, PeerDown, Tell, Tick
from kvnode.core.node.healing import (
    ASK_INTERVAL,
    DAMAGED_MAX,
    PATIENCE,
    PATIENCE_WITH_ABSENT,
)
from kvnode.core.replication.fetch import serve
from kvnode.core.replication.messages import (
    DeltaAcknowledgement,
    DeltaPage,
    DeltaRequest,
    FetchChunk,
    FetchRequest,
    Push,
    PushAcknowledgement,
    Report,
    WireEntry,
    wire_entry,
)
from kvnode.core.versions.record import WIRE, encode
from kvnode.core.versions.version import Entry
from kvnode.errors import DamagedRecordError
from kvnode.storage.memory_store import MemorySnapshot
from kvnode.types import Dot, EntryKey, Millis, ReplicaId
from tests.core.node.bench import START, Bench, sent
from tests.core.replication.entries import A, B, C, at, counter, register

KEY: Final = at(b"damaged")
OTHER: Final = at(b"other")

DamagedEntries = dict[EntryKey, Entry]


@pytest.fixture
def damaged(monkeypatch: pytest.MonkeyPatch) -> DamagedEntries:
    """Keys whose records are damaged for as long as they hold these entries."""
    entries: DamagedEntries = {}
    read = MemorySnapshot.entry

    def entry(snapshot: MemorySnapshot, key: EntryKey) -> Entry | None:
        stored = read(snapshot, key)
        if key in entries and stored is entries[key]:
            message = "the record fails its checksum"
            raise DamagedRecordError(message, key)
        return stored

    monkeypatch.setattr(MemorySnapshot, "entry", entry)
    return entries


class Sick(Bench):
    """Node A, whose record of KEY, the write B 1, is damaged once it is told so."""

    def __init__(self, damaged: DamagedEntries) -> None:
        super().__init__()
        self._damaged = damaged

    def catch_up(self, clock: VersionVector, *entries: WireEntry) -> None:
        """Connect B, and take all of *clock* from it."""
        effects = self.connect(B, clock)
        [(_, request)] = sent(effects, DeltaRequest)
        assert isinstance(request, DeltaRequest)
        self.hear(B, DeltaPage(request.session, 0, clock, entries, last=True))
        assert self.clock == clock

    def damage(self, key: EntryKey = KEY) -> None:
        """Damage what is stored under *key*."""
        entry = self.entry(key)
        assert entry is not None
        self._damaged[key] = entry

    def disconnect(self, peer: ReplicaId) -> None:
        """End the connection to *peer*."""
        self.turn(PeerDown(peer))

    def later(self, millis: int) -> list[Effect]:
        """Let so much time pass, and a tick come."""
        self.now = Millis(self.now + millis)
        return self.turn(Tick())


@pytest.fixture
def bench(damaged: DamagedEntries) -> Sick:
    """A node that covers B 1, under KEY, and B 2."""
    bench = Sick(damaged)
    bench.catch_up(
        VersionVector.of({B: 2}),
        wire_entry(KEY, register(Dot(B, 1))),
        wire_entry(OTHER, register(Dot(B, 2))),
    )
    return bench


def asked(effects: list[Effect]) -> Iterator[tuple[ReplicaId, FetchRequest]]:
    """Yield the pulls of KEY among *effects*."""
    for peer, message in sent(effects, FetchRequest):
        assert isinstance(message, FetchRequest)
        assert message.key == KEY
        yield peer, message


def whole(request: FetchRequest, entry: Entry) -> list[FetchChunk]:
    """Return the answer of a peer that has *entry*."""
    return serve(request, entry.version.dot, encode(entry, WIRE))


def none(request: FetchRequest) -> list[FetchChunk]:
    """Return the answer of a peer that has nothing."""
    return serve(request, request.dot, b"")


def test_damaged_record_is_pulled_from_a_peer_that_covers_it(bench: Sick) -> None:
    """Nothing changes but the record."""
    bench.damage()

    [(peer, request)] = asked(bench.turn(Damaged(KEY)))
    assert peer == B
    effects = bench.hear(B, *whole(request, register(Dot(B, 1))))

    assert bench.entry(KEY) == register(Dot(B, 1))
    assert bench.clock == VersionVector.of({B: 2})
    assert not [e for e in effects if isinstance(e, Disconnect)]


def test_sound_record_is_not_pulled(bench: Sick) -> None:
    """Whoever met the damage may have met it before it was healed."""
    assert not list(asked(bench.turn(Damaged(KEY), Damaged(at(b"nothing")))))


def test_push_over_a_damaged_record_waits_for_the_pull_alone(bench: Sick) -> None:
    """The peer stays, other keys of it are merged, and then all is covered."""
    bench.damage()
    newer = register(Dot(B, 3))
    push = Push(
        B, 3, 4, (wire_entry(KEY, newer), wire_entry(OTHER, register(Dot(B, 4))))
    )

    effects = bench.hear(B, push)
    assert bench.entry(OTHER) == register(Dot(B, 4))
    assert not bench.clock.covers(Dot(B, 3))
    assert not sent(effects, PushAcknowledgement)
    [(_, request)] = asked(effects)
    effects = bench.hear(B, *whole(request, newer))

    assert bench.entry(KEY) == newer
    assert bench.clock == VersionVector.of({B: 4})
    assert sent(effects, PushAcknowledgement) == [(B, PushAcknowledgement(B, 3, 4))]


def test_delta_over_a_damaged_record_waits_for_the_pull(bench: Sick) -> None:
    """Its clock is joined when the record is here (D2)."""
    bench.damage()
    newer, clock = register(Dot(B, 3)), VersionVector.of({B: 3})
    [(_, request)] = sent(bench.connect(B, clock), DeltaRequest)
    assert isinstance(request, DeltaRequest)
    page = DeltaPage(request.session, 0, clock, (wire_entry(KEY, newer),), last=True)

    effects = bench.hear(B, page)
    assert bench.clock == VersionVector.of({B: 2})
    [(_, pull)] = asked(effects)
    effects = bench.hear(B, *whole(pull, newer))

    assert bench.clock == clock
    assert sent(effects, DeltaAcknowledgement) == [
        (B, DeltaAcknowledgement(request.session, 0))
    ]


def test_write_over_a_damaged_record_is_refused_and_heals_it(bench: Sick) -> None:
    """Nothing of it has happened; it passes when it is tried again."""
    bench.damage()
    effects = bench.turn(bench.request(Put(KEY, b"mine")))
    [(_, request)] = asked(effects)
    assert bench.node.state.seq == 0
    bench.hear(B, *whole(request, register(Dot(B, 1))))

    [outcome] = bench.write(Put(KEY, b"mine"))

    assert isinstance(outcome, Applied)


def test_refusal_says_that_damage_is_the_reason(bench: Sick) -> None:
    """Unlike one of a type or a limit, it may be tried again."""
    bench.damage()
    for command in (Put(KEY, b"mine"), AddToCounter(KEY, 1)):
        [outcome] = bench.write(command)
        assert isinstance(outcome, Refused)
        assert outcome.damaged


def upon(dot: Dot, on: Dot) -> Entry:
    """Return a register written over the write *on*."""
    entry = register(dot, hlc=START << 17)
    return entry._replace(version=entry.version._replace(others=(on,)))


@pytest.fixture
def lonely(damaged: DamagedEntries) -> Sick:
    """A node whose own write A 1 of KEY is damaged, and that no peer has; nor A 2."""
    bench = Sick(damaged)
    bench.write(Put(KEY, b"lost"))
    bench.write(Put(OTHER, b"kept"))
    bench.damage()
    return bench


def test_entry_that_builds_on_the_damaged_one_replaces_it_at_once(
    lonely: Sick,
) -> None:
    """Whatever the peer was known to cover: its key clock tells (R1)."""
    newer = upon(Dot(B, 1), Dot(A, 1))
    lonely.connect(B)
    effects = lonely.hear(B, Push(B, 1, 1, (wire_entry(KEY, newer),)))
    [(_, request)] = asked(effects)

    lonely.hear(B, *whole(request, newer))

    assert lonely.entry(KEY) == newer
    assert lonely.clock == VersionVector.of({A: 2, B: 1})


def test_what_no_member_has_is_lost_and_still_covered(lonely: Sick) -> None:
    """All have answered: to claim it harms nobody, and nothing waits for it."""
    lonely.connect(B)
    lonely.connect(C)
    assert not list(asked(lonely.turn(Damaged(KEY))))  # nobody covers it: wait

    requests = dict(asked(lonely.later(PATIENCE)))
    assert set(requests) == {B, C}
    lonely.hear(B, *whole(requests[B], register(Dot(B, 1))))
    assert lonely.node.state.clock == VersionVector.of({A: 2})
    effects = lonely.hear(C, *none(requests[C]))

    assert lonely.entry(KEY) == register(Dot(B, 1))
    [told] = [effect.message for effect in effects if isinstance(effect, Tell)]
    assert told.endswith("newer writes of it are lost")
    assert lonely.clock == VersionVector.of({A: 2})


def test_records_of_all_members_are_merged(lonely: Sick) -> None:
    """The newest of them wins, whoever answers last."""
    lonely.connect(B)
    lonely.connect(C)
    lonely.turn(Damaged(KEY))
    requests = dict(asked(lonely.later(PATIENCE)))

    lonely.hear(C, *whole(requests[C], register(Dot(C, 9))))
    lonely.hear(B, *whole(requests[B], register(Dot(B, 1))))

    assert lonely.entry(KEY) == register(Dot(C, 9))


def test_what_an_absent_member_may_have_is_not_claimed(lonely: Sick) -> None:
    """It comes back and finds the gap in our clock (I1)."""
    lonely.connect(C)
    lonely.disconnect(C)
    lonely.connect(B)
    lonely.turn(Damaged(KEY))
    [(_, request)] = asked(lonely.later(PATIENCE))
    lonely.hear(B, *whole(request, register(Dot(B, 1))))
    lonely.later(PATIENCE_WITH_ABSENT - PATIENCE - 1)
    with pytest.raises(DamagedRecordError):
        lonely.entry(KEY)

    lonely.later(1 + ASK_INTERVAL)

    assert lonely.entry(KEY) == register(Dot(B, 1))
    assert lonely.clock == VersionVector().with_range(A, 2, 2)
    assert lonely.node.state.seq == 2
    with lonely.store.snapshot() as view:
        assert [dot for dot, _ in view.index(A, 1, None)] == [Dot(A, 2)]
        assert view.dots_of(KEY) == (Dot(B, 1),)


def test_peer_that_has_lost_a_part_since_it_was_asked_is_asked_again(
    bench: Sick,
) -> None:
    """Its record may be without it; its report says so before the record comes."""
    bench.damage()
    [(_, request)] = asked(bench.turn(Damaged(KEY)))
    less = VersionVector().with_range(B, 2, 2)

    bench.hear(B, Report(less, bench.now), *whole(request, register(Dot(C, 1))))

    with pytest.raises(DamagedRecordError):
        bench.entry(KEY)


def test_loss_is_reported_to_peers_at_once(lonely: Sick) -> None:
    """Whoever asks for a record must have heard of it before the answer."""
    lonely.connect(C)
    lonely.disconnect(C)
    lonely.connect(B)
    lonely.turn(Damaged(KEY))
    [(_, request)] = asked(lonely.later(PATIENCE_WITH_ABSENT))

    effects = lonely.hear(B, *whole(request, register(Dot(B, 1))))

    [(peer, report)] = sent(effects, Report)
    assert peer == B
    assert isinstance(report, Report)
    assert report.clock == VersionVector().with_range(A, 2, 2)


def test_what_no_member_covers_is_not_pending_for_ever(bench: Sick) -> None:
    """A broken delta named a write that is lost since: nothing depends on it (D3)."""
    more = VersionVector.of({B: 4})
    [(_, request)] = sent(bench.connect(B, more), DeltaRequest)
    assert isinstance(request, DeltaRequest)
    bench.hear(B, DeltaPage(request.session, 0, more, (), last=False))
    bench.disconnect(B)
    bench.connect(B, more)
    assert bench.store.state().pending == more

    bench.hear(B, Report(VersionVector.of({B: 2}), bench.now))

    assert not bench.store.state().pending


def test_write_that_was_found_is_still_covered(damaged: DamagedEntries) -> None:
    """Though the peer does not cover it yet itself, and others may be absent."""
    bench = Sick(damaged)
    own = counter(Dot(A, 1))
    bench.write(AddToCounter(KEY, 1), AddToCounter(KEY, 1))
    bench.damage()
    bench.connect(C)
    bench.disconnect(C)
    bench.connect(B)
    bench.turn(Damaged(KEY))
    [(_, request)] = asked(bench.later(PATIENCE_WITH_ABSENT))

    bench.hear(B, *whole(request, own))

    assert bench.entry(KEY) == own
    assert bench.clock == VersionVector.of({A: 1})


def test_peer_that_covers_the_record_and_has_none_is_not_believed(bench: Sick) -> None:
    """Its record is damaged, too: others are asked, then it again."""
    bench.damage()
    [(_, request)] = asked(bench.turn(Damaged(KEY)))

    bench.hear(B, *none(request))

    assert not list(asked(bench.later(ASK_INTERVAL)))
    with pytest.raises(DamagedRecordError):
        bench.entry(KEY)
    bench.later(PATIENCE)
    assert list(asked(bench.later(ASK_INTERVAL)))


def test_peer_that_has_no_record_ends_what_waited_for_it(bench: Sick) -> None:
    """A delta that announced it is given up, and asked for again later."""
    bench.damage()
    clock = VersionVector.of({B: 3})
    [(_, request)] = sent(bench.connect(B, clock), DeltaRequest)
    assert isinstance(request, DeltaRequest)
    entry = wire_entry(KEY, register(Dot(B, 3)))
    effects = bench.hear(B, DeltaPage(request.session, 0, clock, (entry,), last=True))
    [(_, pull)] = asked(effects)

    effects = bench.hear(B, *none(pull))

    assert not [e for e in effects if isinstance(e, Disconnect)]
    assert sent(effects, DeltaAcknowledgement) == [
        (B, DeltaAcknowledgement(request.session, 0, abandoned=True))
    ]
    bench.hear(B, Report(clock, bench.now))
    assert sent(bench.later(2000), DeltaRequest)


def test_damaged_record_is_not_served(bench: Sick) -> None:
    """A peer that asks for it hears that there is none, and is not blamed."""
    bench.damage()

    effects = bench.hear(B, FetchRequest(7, KEY, Dot(B, 1), 0))

    [(_, chunk)] = sent(effects, FetchChunk)
    assert isinstance(chunk, FetchChunk)
    assert chunk.total == 0
    assert not [e for e in effects if isinstance(e, Disconnect)]
    assert list(asked(effects))


def test_node_alone_keeps_the_damaged_record_and_does_nothing(lonely: Sick) -> None:
    """There is nobody to ask; a commit each second would wear the disk."""
    lonely.turn(Damaged(KEY))

    for _ in range(10):
        assert lonely.staged(Tick()) is None
        assert not lonely.later(10_000)

    with pytest.raises(DamagedRecordError):
        lonely.entry(KEY)
    [outcome] = lonely.write(Put(at(b"new"), b""))
    assert isinstance(outcome, Applied)


def test_pull_is_planned_again_when_its_turn_has_failed(bench: Sick) -> None:
    """Then all that the node knew of the damage is forgotten; a reader meets it."""
    bench.damage()
    bench.failed_turn(Damaged(KEY))

    assert list(asked(bench.turn(Damaged(KEY))))


def test_pull_is_planned_again_when_the_peer_was_gone(bench: Sick) -> None:
    """A connection that ends takes its pulls with it."""
    bench.damage()
    assert list(asked(bench.turn(Damaged(KEY))))
    bench.disconnect(B)

    bench.connect(B, VersionVector.of({B: 2}))

    assert list(asked(bench.later(ASK_INTERVAL)))


def test_keys_healed_at_a_time_are_bounded(
    bench: Sick, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is remembered, and costs a walk through the index."""
    monkeypatch.setattr(healing, "DAMAGED_MAX", 1)
    bench.damage()
    bench.damage(OTHER)

    effects = bench.turn(Damaged(OTHER), Damaged(KEY))

    assert DAMAGED_MAX > 1
    assert len(sent(effects, FetchRequest)) == 1


def test_damaged_counter_is_healed_with_all_its_rows(damaged: DamagedEntries) -> None:
    """Each contributor's row goes with the record, and comes with the new one."""
    bench = Sick(damaged)
    old, new = counter(Dot(B, 1), Dot(C, 1)), counter(Dot(B, 2), Dot(C, 1))
    bench.catch_up(VersionVector.of({B: 1, C: 1}), wire_entry(KEY, old))
    bench.damage()
    effects = bench.hear(B, Push(B, 2, 2, (wire_entry(KEY, new),)))
    [(_, request)] = asked(effects)

    bench.hear(B, *whole(request, new))

    assert bench.entry(KEY) == new
    with bench.store.snapshot() as view:
        assert view.dots_of(KEY) == (Dot(B, 2), Dot(C, 1))


def test_damaged_conflict_log_is_begun_anew(
    bench: Sick, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is this node's alone: nobody could give it back."""

    def conflicts(_: MemorySnapshot, key: EntryKey) -> tuple[()]:
        message = "the log fails its checksum"
        raise DamagedRecordError(message, key)

    with monkeypatch.context() as patch:
        patch.setattr(MemorySnapshot, "conflicts", conflicts)
        bench.hear(B, Push(C, 1, 1, (wire_entry(KEY, register(Dot(C, 1), hlc=9)),)))

    with bench.store.snapshot() as view:
        [conflict] = view.conflicts(KEY)
    assert conflict.loser == register(Dot(B, 1))
