"""How a node takes part in spreading pushes, and what it must not pass on (D7)."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from kvnode.core.clocks.hybrid_logical_clock import from_millis
from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.dissemination.messages import (
    Absent,
    Announce,
    Graft,
    PushId,
    WakeAt,
)
from kvnode.core.dissemination.overlay import DIRECT_MEMBERS_MAX
from kvnode.core.membership.messages import Ack, Ping
from kvnode.core.membership.settings import PROBE_INTERVAL
from kvnode.core.node import comparing
from kvnode.core.node.commands import Put, Replicas
from kvnode.core.node.events import (
    Effect,
    PeerDown,
    PeersConfigured,
    PeerUp,
    RemoveMember,
    Reply,
    Tick,
)
from kvnode.core.node.spreading import VIEW_INTERVAL
from kvnode.core.replication import fetch, messages
from kvnode.core.replication.messages import (
    DeltaPage,
    DeltaRequest,
    Digest,
    FetchRequest,
    Push,
    PushAcknowledgement,
    wire_entry,
)
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.record import WIRE, encode
from kvnode.core.versions.store_view import Filling, PeerAddress
from kvnode.core.versions.version import Entry
from kvnode.types import Dot, Millis, ReplicaId
from tests.core.node.bench import REGIONS, START, Bench, sent
from tests.core.replication.entries import A, at, register

KEY = at(b"k")
HOME = REGIONS[A]
NEAR = tuple(ReplicaId(n) for n in (1, 2, 3))
WEST = tuple(ReplicaId(n) for n in (11, 12, 13, 14))
SOUTH = tuple(ReplicaId(n) for n in (21, 22, 23, 24))
THREE_REGIONS: Mapping[ReplicaId, str] = (
    dict.fromkeys(NEAR, HOME) | dict.fromkeys(WEST, "west") | dict.fromkeys(SOUTH, "s")
)
ALL = (*NEAR, *WEST, *SOUTH)
LARGE = bytes(100)


@pytest.fixture(autouse=True, scope="module")
def _small_values() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(messages, "INLINE_VALUE_BYTES_MAX", 50)
        patch.setattr(fetch, "CHUNK_BYTES", 1000)
        yield


class Crowd(Bench):
    """Node A, connected to many; by default to eleven others in three regions."""

    def __init__(
        self,
        regions: Mapping[ReplicaId, str] = THREE_REGIONS,
        *,
        protocols: Mapping[ReplicaId, int] | None = None,
        outbox_bytes_max: int = 10_000,
    ) -> None:
        super().__init__(outbox_bytes_max=outbox_bytes_max)
        self.turn(PeersConfigured(()))
        for replica, region in regions.items():
            self.introduce(replica, region, (protocols or {}).get(replica, 2))

    def introduce(
        self, replica: ReplicaId, region: str = "", protocol: int = 2
    ) -> None:
        """Let *replica* connect, which covers nothing."""
        peer = PeerAddress(f"n{replica}", "", replica, region)
        self.turn(PeerUp(peer, EMPTY, (), protocol=protocol))

    def put(self, value: bytes = b"v") -> list[Effect]:
        """Write once; return all that comes of it."""
        return self.turn(self.request(Put(KEY, value)))

    def later(self, span: int) -> list[Effect]:
        """Let *span* ms pass, and a tick come."""
        self.now = Millis(self.now + span)
        return self.turn(Tick())


def push_of(entry: Entry) -> Push:
    """Return the push of one write by its origin."""
    replica, seq = entry.version.dot
    return Push(replica, seq, seq, (wire_entry(KEY, entry),))


def name_of(push: Push) -> PushId:
    """Return the name of *push*."""
    return PushId(push.origin, push.first, push.last)


def written(replica: ReplicaId, seq: int = 1, value: bytes = b"value") -> Push:
    """Return a push of the write number *seq* of *replica*, stamped as of now."""
    stamp = from_millis(START) + seq
    return push_of(register(Dot(replica, seq), value, hlc=stamp))


def receivers(effects: list[Effect]) -> list[ReplicaId]:
    """Return to whom payloads go."""
    return [peer for peer, _ in sent(effects, Push)]


# -- whom it sends to ------------------------------------------------------------


@pytest.mark.parametrize("others", [1, DIRECT_MEMBERS_MAX - 1])
def test_small_cluster_pushes_to_all_and_announces_nothing(others: int) -> None:
    """D7: each to all, in as many messages as ever."""
    crowd = Crowd({ReplicaId(n): f"r{n % 3}" for n in range(1, others + 1)})

    effects = crowd.put()

    assert receivers(effects) == list(range(1, others + 1))
    assert len(effects) == others + 1, "and the reply"
    assert sent(crowd.later(50), Announce) == []


def test_large_cluster_gets_one_payload_a_region_and_its_own_tree() -> None:
    """D7: what goes over long links grows with regions."""
    effects = Crowd().put()

    found = receivers(effects)
    assert sorted(r for r in found if r in NEAR) == list(NEAR)
    assert len([r for r in found if r in WEST]) == 1
    assert len([r for r in found if r in SOUTH]) == 1
    assert len(found) == 5


def test_member_that_speaks_protocol_1_makes_everything_direct() -> None:
    """It passes nothing on, and understands no announcement."""
    crowd = Crowd(protocols={WEST[0]: 1})

    assert sorted(receivers(crowd.put())) == sorted(ALL)
    assert sent(crowd.later(50), Announce) == []
    assert sent(crowd.hear(NEAR[0], written(NEAR[0])), Push) == []

    crowd.turn(PeerDown(WEST[0]))
    assert len(receivers(crowd.put())) == 5


def test_push_that_enters_the_region_here_is_passed_on_to_all_of_it() -> None:
    """And acknowledged to whom it came from: the origin may be unknown here."""
    crowd = Crowd()
    push = written(SOUTH[1])

    effects = crowd.hear(WEST[2], push)

    assert sorted(receivers(effects)) == list(NEAR)
    assert sent(effects, PushAcknowledgement) == [
        (WEST[2], PushAcknowledgement(SOUTH[1], 1, 1))
    ]
    assert crowd.clock.covers(Dot(SOUTH[1], 1))


def test_disconnected_member_gets_nothing_and_another_enters_in_its_stead() -> None:
    """Connection is health as far as this node can tell."""
    crowd = Crowd()
    [entry] = [r for r in receivers(crowd.put()) if r in WEST]
    crowd.turn(PeerDown(entry))

    [other] = [r for r in receivers(crowd.put()) if r in WEST]

    assert other != entry


def test_push_that_comes_again_is_acknowledged_and_not_passed_on() -> None:
    """Whoever sent it counts it as in flight until then."""
    crowd = Crowd()
    push = written(SOUTH[1])
    crowd.hear(WEST[2], push)

    effects = crowd.hear(SOUTH[1], push)

    assert receivers(effects) == []
    assert [peer for peer, _ in sent(effects, PushAcknowledgement)] == [SOUTH[1]]


def test_peer_whose_outbox_is_full_is_passed_over() -> None:
    """D5: it is asked for elsewhere, or found by comparing clocks."""
    crowd = Crowd(outbox_bytes_max=300)
    slow, *others = NEAR
    for seq in (1, 2, 3):
        crowd.hear(WEST[2], written(SOUTH[1], seq))
        for peer in others:
            crowd.hear(peer, PushAcknowledgement(SOUTH[1], seq, seq))

    effects = crowd.hear(WEST[2], written(SOUTH[1], 4))

    assert sorted(receivers(effects)) == others
    assert crowd.node.peers[slow].outbox.behind


# -- what it must not pass on ----------------------------------------------------


def test_push_of_a_replica_that_is_gone_is_not_taken_in() -> None:
    """Only what members hold may come, by deltas: else nothing could be closed."""
    crowd = Crowd()
    crowd.turn(RemoveMember(SOUTH[1]))

    effects = crowd.hear(WEST[2], written(SOUTH[1]))

    assert effects == []
    assert crowd.entry(KEY) is None
    assert crowd.node.uncovered_batches == 0


def test_push_of_a_replica_that_is_gone_is_passed_on_no_more() -> None:
    """It came before the removal; whoever asks now must not get it from here."""
    crowd = Crowd()
    push = written(SOUTH[1], 2)  # not covered: the first one is missing
    crowd.hear(WEST[2], push)
    assert receivers(crowd.hear(NEAR[0], Graft(name_of(push)))) == [NEAR[0]]

    crowd.turn(RemoveMember(SOUTH[1]))

    assert receivers(crowd.hear(NEAR[0], Graft(name_of(push)))) == []


def test_push_that_is_left_to_a_delta_is_not_passed_on() -> None:
    """It may have been ended by something that is forgotten (G2b)."""
    crowd = Crowd()
    above = Floor(EMPTY, from_millis(Millis(START + 1000)))
    crowd.node.state = replace(crowd.node.state, floor=above)
    push = written(SOUTH[1])

    assert crowd.hear(WEST[2], push) == []
    assert receivers(crowd.hear(NEAR[0], Graft(name_of(push)))) == []


def test_push_that_is_neither_covered_nor_held_is_not_passed_on() -> None:
    """Its batch went with a connection, so no report speaks of it any more (G1)."""
    crowd = Crowd()
    push = written(SOUTH[1], 2)
    crowd.hear(WEST[2], push)
    crowd.turn(PeerDown(WEST[2]))

    assert receivers(crowd.hear(NEAR[0], Graft(name_of(push)))) == []

    crowd.hear(WEST[3], written(SOUTH[1], 1))
    crowd.hear(WEST[3], push)
    assert receivers(crowd.hear(NEAR[0], Graft(name_of(push)))) == [NEAR[0]]


def test_large_value_is_passed_on_when_it_is_here() -> None:
    """D6: whoever hears of it pulls it from this node."""
    crowd = Crowd()
    entry = register(Dot(SOUTH[1], 1), LARGE)

    effects = crowd.hear(WEST[2], push_of(entry))
    [(_, request)] = sent(effects, FetchRequest)
    assert isinstance(request, FetchRequest)
    assert receivers(effects) == []
    assert crowd.hear(NEAR[0], Graft(name_of(push_of(entry)))) == [], "nor absent"
    chunks = fetch.serve(request, entry.version.dot, encode(entry, WIRE))
    effects = crowd.hear(WEST[2], *chunks)

    assert sorted(receivers(effects)) == list(NEAR)
    assert [peer for peer, _ in sent(effects, PushAcknowledgement)] == [WEST[2]]


def test_large_value_on_its_way_from_one_peer_is_not_pulled_from_another() -> None:
    """The same stamps may come from two sides."""
    crowd = Crowd()
    push = push_of(register(Dot(SOUTH[1], 1), LARGE))
    crowd.hear(WEST[2], push)

    assert sent(crowd.hear(SOUTH[1], push), FetchRequest) == []

    crowd.turn(PeerDown(WEST[2]))
    assert [p for p, _ in sent(crowd.hear(SOUTH[1], push), FetchRequest)] == [SOUTH[1]]


# -- what it asks for, and answers -----------------------------------------------


def test_push_is_announced_in_the_region_when_the_machine_asks_to_be_woken() -> None:
    """Twenty milliseconds after it was made."""
    crowd = Crowd()
    [wake] = [e for e in crowd.put() if isinstance(e, WakeAt)]
    assert wake.due == START + 20

    told = sent(crowd.later(20), Announce)

    assert {peer for peer, _ in told} >= set(NEAR)
    assert {message for _, message in told} == {Announce((PushId(A, 1, 1),))}


def test_announced_push_that_does_not_come_is_asked_for() -> None:
    """What is covered, or waits to be, is not."""
    crowd = Crowd()
    crowd.hear(WEST[2], written(SOUTH[1], 1))
    crowd.hear(WEST[2], written(SOUTH[1], 3))
    names = tuple(PushId(SOUTH[1], seq, seq) for seq in (1, 2, 3))

    crowd.hear(NEAR[0], Announce(names))

    assert sent(crowd.later(50), Graft) == [(NEAR[0], Graft(names[1]))]
    crowd.hear(NEAR[0], written(SOUTH[1], 2))
    assert crowd.clock == VersionVector.of({SOUTH[1]: 3})


def test_announced_push_that_comes_with_a_delta_is_not_asked_for() -> None:
    """D1: what a delta brought is covered."""
    crowd = Crowd()
    crowd.hear(NEAR[0], Announce((PushId(SOUTH[1], 1, 1),)))
    theirs = VersionVector.of({SOUTH[1]: 1})
    peer = PeerAddress("n2", "", NEAR[1], HOME)
    [(_, request)] = sent(
        crowd.turn(PeerUp(peer, theirs, (), protocol=2)), DeltaRequest
    )
    assert isinstance(request, DeltaRequest)
    page = DeltaPage(request.session, 0, theirs, (), last=True)

    crowd.hear(NEAR[1], page)

    assert sent(crowd.later(500), Graft) == []


def test_announced_push_whose_large_value_is_being_pulled_is_not_asked_for() -> None:
    """All but the value is here."""
    crowd = Crowd()
    push = push_of(register(Dot(SOUTH[1], 1), LARGE))
    crowd.hear(NEAR[0], Announce((name_of(push),)))

    crowd.hear(WEST[2], push)

    assert sent(crowd.later(500), Graft) == []


def test_push_of_a_replica_that_is_gone_is_asked_for_no_more() -> None:
    """It would not be taken in."""
    crowd = Crowd()
    crowd.hear(NEAR[0], Announce((PushId(SOUTH[1], 1, 1),)))
    crowd.turn(RemoveMember(SOUTH[1]))
    crowd.hear(NEAR[1], Announce((PushId(SOUTH[1], 1, 1),)))

    assert sent(crowd.later(500), Graft) == []


def test_push_that_is_covered_and_not_kept_is_absent() -> None:
    """It came with a delta: a delta passes it on."""
    crowd = Crowd()
    name = PushId(SOUTH[1], 1, 1)
    known = VersionVector.of({SOUTH[1]: 1})
    crowd.node.state = replace(crowd.node.state, clock=known)

    assert sent(crowd.hear(NEAR[0], Graft(name)), Absent) == [(NEAR[0], Absent(name))]
    assert sent(crowd.later(500), Graft) == []


def test_node_that_is_being_filled_neither_asks_nor_promises() -> None:
    """D10: what is pushed to it meanwhile comes with a delta."""
    crowd = Crowd()
    crowd.node.state = replace(crowd.node.state, filling=Filling())
    name = PushId(SOUTH[1], 1, 1)

    crowd.hear(NEAR[0], Announce((name,)))

    assert sent(crowd.hear(NEAR[1], Graft(name)), Absent) == [(NEAR[1], Absent(name))]
    assert sent(crowd.later(500), Graft) == []


def test_push_of_a_turn_that_failed_is_not_given_away_under_its_name() -> None:
    """The next write gets its seq."""
    crowd = Crowd()
    crowd.failed_turn(crowd.request(Put(KEY, b"has not happened")))
    name = PushId(A, 1, 1)
    assert sent(crowd.hear(NEAR[0], Graft(name)), Absent) == [(NEAR[0], Absent(name))]
    crowd.put(b"has")

    [(_, push)] = sent(crowd.hear(NEAR[0], Graft(name)), Push)

    stored = crowd.entry(KEY)
    assert stored is not None
    assert isinstance(push, Push)
    assert push.entries == (wire_entry(KEY, stored),)


def test_gap_is_asked_for_by_name_before_it_is_asked_for_as_a_delta() -> None:
    """Many nodes may lack the same, and deltas are served to few at once."""
    crowd = Crowd()
    crowd.hear(WEST[2], written(SOUTH[1], 2))

    assert sent(crowd.later(999), DeltaRequest) == []
    assert [peer for peer, _ in sent(crowd.later(1), DeltaRequest)] == [WEST[2]]


# -- who knows that a write has arrived ------------------------------------------


def test_write_for_each_region_is_answered_when_the_entries_have_it() -> None:
    """S4: they got it from here, so they acknowledge to here."""
    crowd = Crowd()
    request = crowd.request(
        Put(KEY, b"v"), replicas=Replicas(each_region=True, patience=Millis(1000))
    )
    found = receivers(crowd.turn(request))
    west, south = ([r for r in found if r in some] for some in (WEST, SOUTH))

    assert not crowd.hear(west[0], PushAcknowledgement(A, 1, 1))
    [reply] = crowd.hear(south[0], PushAcknowledgement(A, 1, 1))

    assert isinstance(reply, Reply)
    assert reply.acknowledged == reply.needed == 3


@pytest.fixture(name="few_compared")
def _few_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "COMPARED_WITH_ALL_MAX", len(ALL) - 1)


def test_all_peers_are_compared_with_every_interval() -> None:
    """Where they are few: staleness is known to a second."""
    digests = sent(Crowd().later(1000), Digest)

    assert sorted(peer for peer, _ in digests) == sorted(ALL)


@pytest.mark.usefixtures("few_compared")
def test_one_of_many_peers_is_compared_with_every_interval() -> None:
    """D8: each once in as many intervals as there are peers."""
    crowd = Crowd()
    found = [sent(crowd.later(1000), Digest) for _ in ALL]

    assert all(len(digests) == 1 for digests in found)
    assert sorted(peer for [(peer, _)] in found) == sorted(ALL)


@pytest.mark.usefixtures("few_compared")
def test_all_of_many_peers_are_compared_with_while_a_write_waits_for_them() -> None:
    """S4: those who got it from others do not acknowledge it here."""
    crowd = Crowd()
    patient = Replicas(9, patience=Millis(5000))
    crowd.turn(crowd.request(Put(KEY, b"v"), replicas=patient))

    assert len(sent(crowd.later(1000), Digest)) == len(ALL)
    assert len(sent(crowd.later(5000), Digest)) == 1


@pytest.mark.parametrize(("near", "far"), [(WEST, SOUTH), (SOUTH, WEST)])
def test_nearest_region_by_probes_is_asked_first(
    near: tuple[ReplicaId, ...], far: tuple[ReplicaId, ...]
) -> None:
    """D7: not the origin, which is farther, nor the first by name."""
    north = ReplicaId(31)
    crowd = Crowd({**THREE_REGIONS, north: "north"})
    ways = dict.fromkeys(near, 20) | dict.fromkeys(far, 250) | {north: 150}
    for _ in range(2 * len(ways) + VIEW_INTERVAL // PROBE_INTERVAL):
        for peer, ping in sent(crowd.later(PROBE_INTERVAL), Ping):
            assert isinstance(ping, Ping)
            crowd.now = Millis(crowd.now + ways.get(peer, 2))
            crowd.hear(peer, Ack(ping.number, crowd.now))

    crowd.hear(north, Announce((PushId(north, 1, 1),)))

    asked = [peer for _ in range(20) for peer, _ in sent(crowd.later(50), Graft)]
    assert asked[0] in near
