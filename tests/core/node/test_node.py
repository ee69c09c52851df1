"""The node's turns: what it tells peers, what it asks, and what a failure undoes."""

from collections.abc import Iterator

import pytest

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.node.commands import Put
from kvnode.core.node.events import (
    Disconnect,
    PeerDown,
    Received,
    Reply,
    ServeDelta,
    Tick,
)
from kvnode.core.replication import fetch, messages
from kvnode.core.replication.fetch import SILENCE_MAX
from kvnode.core.replication.messages import (
    DeltaAcknowledgement,
    DeltaPage,
    DeltaRequest,
    FetchChunk,
    FetchRequest,
    Push,
    PushAcknowledgement,
    Report,
    wire_entry,
)
from kvnode.core.versions.record import WIRE, decode, encode
from kvnode.core.versions.session import Session
from kvnode.core.versions.version import Entry
from kvnode.errors import CorruptRecordError
from kvnode.storage.memory_store import MemorySnapshot
from kvnode.types import Dot, EntryKey, Millis, ReplicaId
from tests.core.node.bench import START, Bench, sent
from tests.core.replication.entries import A, B, C, at, register

KEY = at(b"k")
LARGE = bytes(100)


@pytest.fixture(autouse=True, scope="module")
def _small_values() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(messages, "INLINE_VALUE_BYTES_MAX", 50)
        patch.setattr(fetch, "CHUNK_BYTES", 64)
        patch.setattr(fetch, "FETCH_WINDOW_CHUNKS", 1)
        yield


def push_of(entry: Entry, key: EntryKey = KEY) -> Push:
    """Return the push of one write by its origin."""
    replica, seq = entry.version.dot
    return Push(replica, seq, seq, (wire_entry(key, entry),))


def large(replica: ReplicaId, seq: int) -> Entry:
    """Return an entry whose value is announced and pulled."""
    return register(Dot(replica, seq), LARGE)


def chunks_of(request: FetchRequest, entry: Entry) -> list[FetchChunk]:
    """Return the window that *request* asks for, of an entry."""
    return fetch.serve(request, entry.version.dot, encode(entry, WIRE))


# -- pushes ------------------------------------------------------------------


def test_write_is_pushed_to_every_connected_peer() -> None:
    """D4: fresh writes go out with the turn that made them."""
    bench = Bench()
    bench.connect(B)
    bench.connect(C)
    bench.turn(PeerDown(C))

    effects = bench.turn(bench.request(Put(KEY, b"1")))

    [(peer, push)] = sent(effects, Push)
    assert peer == B
    assert isinstance(push, Push)
    assert (push.origin, push.first, push.last) == (A, 1, 1)


def test_push_is_merged_covered_and_acknowledged() -> None:
    """The acknowledgement leaves with the turn that made it durable."""
    bench = Bench()
    bench.connect(B)
    entry = register(Dot(B, 1))

    effects = bench.hear(B, push_of(entry))

    assert bench.entry(KEY) == entry
    assert bench.clock == VersionVector.of({B: 1})
    assert sent(effects, PushAcknowledgement) == [(B, PushAcknowledgement(B, 1, 1))]


def test_push_after_a_gap_is_merged_and_not_covered() -> None:
    """D4: its entry is visible at once; the node does not claim it."""
    bench = Bench()
    bench.connect(B)

    bench.hear(B, push_of(register(Dot(B, 2))))

    assert bench.entry(KEY) is not None
    assert not bench.clock
    assert bench.node.uncovered_batches == 1


def test_gap_that_lasts_is_asked_for_as_a_delta() -> None:
    """D4: 100 ms, and not before."""
    bench = Bench()
    bench.connect(B)
    bench.hear(B, push_of(register(Dot(B, 2))))

    bench.now = Millis(START + 99)
    assert sent(bench.turn(Tick()), DeltaRequest) == []
    bench.now = Millis(START + 100)
    [(peer, _)] = sent(bench.turn(Tick()), DeltaRequest)

    assert peer == B
    assert sent(bench.turn(Tick()), DeltaRequest) == [], "one delta at a time"


def test_gap_is_asked_for_in_time_although_the_clock_was_set_back() -> None:
    """The wall clock going back an hour must not stop replication for one."""
    bench = Bench()
    bench.connect(B)
    bench.hear(B, push_of(register(Dot(B, 2))))
    bench.turn(Tick())

    bench.now = Millis(START - 3_600_000)
    bench.turn(Tick())
    bench.now = Millis(bench.now + 100)

    assert [peer for peer, _ in sent(bench.turn(Tick()), DeltaRequest)] == [B]


def test_empty_push_is_a_breach_of_the_protocol() -> None:
    """The peer that sends it is cut off, and nothing of it is kept."""
    bench = Bench()
    bench.connect(B)

    effects = bench.hear(B, Push(B, 2, 1, ()))

    [effect] = [e for e in effects if isinstance(e, Disconnect)]
    assert effect.peer == B
    assert "2..1" in effect.reason


def test_message_of_a_peer_that_is_gone_is_ignored() -> None:
    """The rest of a connection says nothing about the next one."""
    bench = Bench()

    assert bench.hear(B, push_of(register(Dot(B, 1)))) == []
    assert bench.entry(KEY) is None


# -- deltas and reports ------------------------------------------------------


def test_peer_that_has_more_is_asked_for_a_delta_when_it_connects() -> None:
    """D1: with what is covered here."""
    bench = Bench()

    effects = bench.connect(B, VersionVector.of({B: 3}))

    [(peer, request)] = sent(effects, DeltaRequest)
    assert peer == B
    assert isinstance(request, DeltaRequest)
    assert not request.clock


def test_session_numbers_are_not_used_again_after_a_restart() -> None:
    """Pages for the node of before the restart may still come (seed 467)."""
    numbers = []
    for restart in range(2):
        bench = Bench()
        bench.now = Millis(START + restart)
        [(_, request)] = sent(bench.connect(B, VersionVector.of({B: 3})), DeltaRequest)
        assert isinstance(request, DeltaRequest)
        numbers.append(request.session)

    assert numbers[0] != numbers[1]


def test_clock_is_joined_with_the_last_page_alone() -> None:
    """D2; until then reads of what came owe the snapshot's clock (D3)."""
    bench = Bench()
    theirs = VersionVector.of({B: 2})
    [(_, request)] = sent(bench.connect(B, theirs), DeltaRequest)
    assert isinstance(request, DeltaRequest)
    session, entry = request.session, wire_entry(KEY, register(Dot(B, 1)))

    effects = bench.hear(B, DeltaPage(session, 0, theirs, (entry,), last=False))
    assert not bench.clock
    assert bench.store.state().pending == theirs
    assert sent(effects, DeltaAcknowledgement) == [
        (B, DeltaAcknowledgement(session, 0))
    ]

    bench.hear(B, DeltaPage(session, 1, theirs, (), last=True))
    assert bench.clock == theirs
    assert not bench.store.state().pending


def test_page_that_meets_damage_here_is_not_covered_by_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """D2: found in simulation, flipping bits of stored records (seed 3)."""
    bench = Bench()
    theirs = VersionVector.of({B: 2})
    [(_, request)] = sent(bench.connect(B, theirs), DeltaRequest)
    assert isinstance(request, DeltaRequest)
    session, entry = request.session, wire_entry(KEY, register(Dot(B, 1)))

    def damaged(*_: object) -> Entry | None:
        message = "the record fails its checksum"
        raise CorruptRecordError(message)

    monkeypatch.setattr(MemorySnapshot, "entry", damaged)
    effects = bench.hear(
        B,
        DeltaPage(session, 0, theirs, (entry,), last=False),
        DeltaPage(session, 1, theirs, (), last=True),
    )

    assert not bench.clock
    assert [e.peer for e in effects if isinstance(e, Disconnect)] == [B]


def test_page_of_another_session_is_given_up() -> None:
    """The peer stops sending what nobody waits for."""
    bench = Bench()
    bench.connect(B)

    effects = bench.hear(B, DeltaPage(9, 4, VersionVector.of({B: 1}), (), last=True))

    assert sent(effects, DeltaAcknowledgement) == [
        (B, DeltaAcknowledgement(9, 4, abandoned=True))
    ]
    assert not bench.clock


def test_refused_delta_is_asked_for_again_later() -> None:
    """D10: a busy peer is not asked at every tick."""
    bench = Bench()
    clock = VersionVector.of({B: 1})
    [(_, request)] = sent(bench.connect(B, clock), DeltaRequest)
    assert isinstance(request, DeltaRequest)
    refusal = DeltaPage(request.session, 0, VersionVector(), (), last=True, refused="3")
    bench.hear(B, refusal, Report(clock, START))

    bench.now = Millis(START + 999)
    assert sent(bench.turn(Tick()), DeltaRequest) == []
    bench.now = Millis(START + 1000)
    assert len(sent(bench.turn(Tick()), DeltaRequest)) == 1


def test_delta_request_is_served_by_the_shell() -> None:
    """From a snapshot of after the turn."""
    bench = Bench()
    bench.connect(B)

    effects = bench.hear(B, DeltaRequest(5, VersionVector()))

    assert ServeDelta(B, DeltaRequest(5, VersionVector())) in effects


def test_report_that_shows_more_leads_to_a_delta() -> None:
    """D8: the safety net under lost pushes."""
    bench = Bench()
    bench.connect(B)
    bench.hear(B, Report(VersionVector.of({B: 1}), START))

    bench.now = Millis(START + 499)
    assert sent(bench.turn(Tick()), DeltaRequest) == []
    bench.now = Millis(START + 500)
    assert len(sent(bench.turn(Tick()), DeltaRequest)) == 1


# -- large values ------------------------------------------------------------


def test_announced_value_is_pulled_before_it_is_covered() -> None:
    """D6."""
    bench = Bench()
    bench.connect(B)
    entry = large(B, 1)

    effects = bench.hear(B, push_of(entry))
    assert not bench.clock
    while requests := sent(effects, FetchRequest):
        [(_, request)] = requests
        assert isinstance(request, FetchRequest)
        effects = bench.hear(B, *chunks_of(request, entry))

    assert bench.entry(KEY) == entry
    assert bench.clock == VersionVector.of({B: 1})
    assert sent(effects, PushAcknowledgement) == [(B, PushAcknowledgement(B, 1, 1))]


def test_lost_request_for_a_value_is_sent_again() -> None:
    """The peer's turn failed, and its connection stands (seed 255)."""
    bench = Bench()
    bench.connect(B)
    [(_, request)] = sent(bench.hear(B, push_of(large(B, 1))), FetchRequest)

    bench.now = Millis(START + SILENCE_MAX + 1)

    assert sent(bench.turn(Tick()), FetchRequest) == [(B, request)]


def test_late_chunks_after_a_failed_turn_do_not_land_under_another_key() -> None:
    """A failed turn gives up all pulls; their numbers must not come again."""
    bench = Bench()
    bench.connect(B)
    first, second = large(B, 1), large(B, 2)
    [(_, request)] = sent(bench.hear(B, push_of(first, at(b"first"))), FetchRequest)
    assert isinstance(request, FetchRequest)
    late = chunks_of(request, first)
    bench.failed_turn(bench.request(Put(KEY, b"no room")))

    bench.hear(B, push_of(second, at(b"second")))
    effects = bench.hear(B, *late)

    assert sent(effects, FetchRequest) == []
    assert bench.entry(at(b"second")) is None


def test_record_of_a_failed_turn_is_not_served() -> None:
    """W2: a peer must not be told what has not happened."""
    bench = Bench()
    bench.connect(B)
    bench.write(Put(KEY, LARGE))
    request = FetchRequest(1, KEY, Dot(A, 1), 0)

    lost = Received(B, request)
    bench.failed_turn(bench.request(Put(KEY, LARGE + b"no room")), lost)
    [(_, chunk)] = sent(bench.hear(B, request._replace(offset=64)), FetchChunk)

    assert isinstance(chunk, FetchChunk)
    assert chunk.dot == Dot(A, 1)


def test_record_encoded_anew_is_sent_from_its_beginning() -> None:
    """A CRDT may differ under the same dot: two halves would not fit (seed 20832)."""
    bench = Bench()
    bench.connect(B)
    bench.write(Put(KEY, LARGE))
    request = FetchRequest(1, KEY, Dot(A, 1), 64)

    [(_, chunk)] = sent(bench.hear(B, request), FetchChunk)

    assert isinstance(chunk, FetchChunk)
    assert chunk.offset == 0


def test_push_carries_the_dependencies_of_the_write_it_stands_for() -> None:
    """Also when a peer's entry won the key between the turn's two writes."""
    bench = Bench()
    bench.connect(B)
    bench.connect(C)
    bench.hear(C, push_of(register(Dot(C, 1)), at(b"cause")))
    seen = Session((Dot(C, 1),))
    winner = register(Dot(B, 1), hlc=(START + 400) << 16)

    effects = bench.turn(
        bench.request(Put(KEY, b"first"), session=seen),
        Received(B, push_of(winner)),
        bench.request(Put(KEY, b"second")),
    )

    pushes = [message for _, message in sent(effects, Push)]
    assert isinstance(pushes[0], Push)
    [(_, record, _)] = pushes[0].entries
    assert decode(record, WIRE).version.dependencies == (Dot(C, 1),)


# -- turns that fail ---------------------------------------------------------


def test_failed_turn_leaves_no_trace_and_its_seq_is_given_again() -> None:
    """Nothing of it was told to anyone, so the dot is still unused."""
    bench = Bench()
    bench.connect(B)
    bench.write(Put(KEY, b"1"))
    before = bench.node.state

    bench.failed_turn(bench.request(Put(KEY, b"no room")))

    assert bench.node.state == before
    bench.write(Put(KEY, b"2"))
    entry = bench.entry(KEY)
    assert entry is not None
    assert entry.version.dot == Dot(A, 2)


def test_later_turn_falls_with_the_one_it_was_built_on() -> None:
    """Two turns are under way; the older one finds no room."""
    bench = Bench()
    bench.write(Put(KEY, b"1"))
    before = bench.node.state
    bench.staged(bench.request(Put(KEY, b"2")))
    bench.staged(bench.request(Put(at(b"other"), b"3")))
    assert bench.node.state.seq == 3

    bench.node.abort()

    assert bench.node.state == before


def test_failed_turn_forgets_pushes_that_were_never_sent() -> None:
    """They would count as in flight for ever."""
    bench = Bench(outbox_bytes_max=200)
    bench.connect(B)

    bench.failed_turn(bench.request(Put(KEY, bytes(40)), Put(at(b"other"), bytes(40))))

    assert bench.node.peers[B].outbox.size_bytes == 0
    assert sent(bench.turn(bench.request(Put(KEY, b"2"))), Push)


def test_slow_peer_does_not_hold_up_a_write() -> None:
    """D5: past the bound nothing is pushed to it, and the client is answered."""
    bench = Bench(outbox_bytes_max=200)
    bench.connect(B)

    turns = [bench.turn(bench.request(Put(KEY, bytes(40)))) for _ in range(5)]

    assert all(any(isinstance(e, Reply) for e in effects) for effects in turns)
    assert sent(turns[0], Push)
    assert sent(turns[-1], Push) == []
    assert bench.node.peers[B].outbox.size_bytes <= 200
    in_flight = PushAcknowledgement(A, 1, 1)
    [(_, report)] = sent(bench.hear(B, in_flight), Report)
    assert isinstance(report, Report)
    assert report.clock == VersionVector.of({A: 5}), "it sees now what it has missed"
