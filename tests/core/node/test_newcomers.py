"""Empty stores that meet each other: who is new, and who is yet to be filled (D10)."""

import pytest

from kvnode.core.clocks.hybrid_logical_clock import from_millis
from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.node.commands import Put
from kvnode.core.node.events import (
    Effect,
    PeerDown,
    PeersConfigured,
    PeerUp,
    RemoveMember,
    StartOver,
)
from kvnode.core.replication import fetch
from kvnode.core.replication.messages import (
    DeltaAcknowledgement,
    DeltaPage,
    DeltaRequest,
    FetchChunk,
    FetchRequest,
    Push,
    Report,
    wire_entry,
)
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.record import WIRE, encode
from kvnode.core.versions.rolling_digest import NOTHING
from kvnode.core.versions.roster import Member
from kvnode.core.versions.store_view import DurableState
from kvnode.limits import INLINE_VALUE_BYTES_MAX
from kvnode.types import Dot, ReplicaId
from tests.core.node.bench import START, Bench, address, member, sent
from tests.core.replication.entries import A, B, C, at, register

COVERED = VersionVector.of({C: 3})
FLOOR = Floor(COVERED, from_millis(START))
UNSETTLED = NOTHING.changed(1).broken()  # as after a crash in relaxed mode


def newcomer(*, known: tuple[Member, ...] = ()) -> Bench:
    """An empty node that has met B, which is empty, too, and knows of *known*."""
    bench = Bench()
    bench.meet(B, members=known)
    return bench


def between_newcomers() -> Bench:
    """An empty node that has met B, which C, now out of reach, was to fill."""
    bench = Bench()
    bench.meet(B, members=(member(C),), filling=True)
    return bench


def asked(effects: list[Effect]) -> DeltaRequest:
    """Return the one request among *effects*."""
    [(_, request)] = sent(effects, DeltaRequest)
    assert isinstance(request, DeltaRequest)
    return request


def told(peer: ReplicaId, effects: list[Effect]) -> list[bool]:
    """Return what *peer* is told: each time, whether this node is being filled."""
    return [
        message.filling
        for to, message in sent(effects, Report)
        if to == peer and isinstance(message, Report)
    ]


# -- a peer that is being filled is no empty store ------------------------------------


def test_peer_that_is_being_filled_is_not_taken_for_an_empty_store() -> None:
    """Its clock says nothing, as does that of a new one; but others have something."""
    bench = between_newcomers()

    bench.tick(60_000)

    assert bench.state.filling is not None
    assert bench.state.start_over is None


def test_newcomer_is_filled_by_another_one_as_soon_as_that_is_full() -> None:
    """Whoever of both reaches a member brings it to the other."""
    bench = between_newcomers()

    bench.report(B, COVERED)
    request = asked(bench.tick(1000))
    bench.hear(B, DeltaPage(request.session, 0, COVERED, (), last=True))

    assert request.whole
    assert bench.state.filling is None
    assert bench.clock == COVERED


def test_new_nodes_serve_at_once_whomever_they_have_not_met_yet() -> None:
    """A cluster must begin somewhere: nobody says that anybody has anything."""
    bench = newcomer(known=(member(C),))

    bench.tick()

    assert bench.state.filling is None


def test_peer_that_begins_to_be_filled_later_is_heard() -> None:
    """It was met while both were empty, or its hello was older than that."""
    bench = newcomer(known=(member(C),))

    bench.report(B, EMPTY, filling=True)

    assert bench.state.filling is not None


def test_store_with_a_write_of_its_own_goes_on_beside_a_peer_that_is_filled() -> None:
    """A client was told that it was done: it must not vanish behind a bootstrap."""
    bench = newcomer(known=(member(C),))
    bench.write(Put(at(b"k"), b"1"))

    bench.report(B, EMPTY, filling=True)

    assert bench.state.filling is None


def test_bootstrap_goes_on_after_a_restart_among_newcomers() -> None:
    """It is durable from the turn on in which it was heard of."""
    bench = between_newcomers()
    bench.restart()

    bench.meet(B)
    bench.tick(60_000)

    assert bench.state.filling is not None


# -- nobody waits for what is not coming ----------------------------------------------


def test_donor_that_is_out_of_reach_is_waited_for() -> None:
    """D10: what it has is not here, and it has not been removed."""
    bench = Bench()
    bench.meet(C, COVERED)
    bench.turn(PeerDown(C))

    bench.tick(60_000)

    assert bench.state.filling is not None


def test_newcomers_serve_when_all_that_had_something_were_removed() -> None:
    """Each says of itself that it is being filled: neither must wait for the other."""
    bench = between_newcomers()

    bench.turn(RemoveMember(C))
    bench.report(B, EMPTY, filling=True)
    bench.tick()
    assert bench.state.filling is None

    bench.report(B, EMPTY, filling=True)
    bench.turn(PeerUp(address(B), EMPTY, (), protocol=2, filling=True))

    assert bench.state.filling is None


def test_last_node_serves_when_the_only_other_one_was_removed() -> None:
    """Nobody is left who could fill it."""
    bench = Bench()
    bench.meet(C, COVERED)

    bench.turn(RemoveMember(C))
    bench.tick()

    assert bench.state.filling is None


def test_removed_donor_is_not_the_last_that_may_have_something() -> None:
    """Another member is out of reach."""
    bench = Bench()
    bench.meet(C, COVERED, members=(member(B),))

    bench.turn(RemoveMember(C))
    bench.tick(60_000)

    assert bench.state.filling is not None


def test_configured_peer_that_was_never_met_may_have_something() -> None:
    """It has no identity yet, and is waited for if somebody says there is data."""
    bench = Bench()
    bench.turn(PeersConfigured((address(C)._replace(replica=ReplicaId(0)),)))

    bench.meet(B, filling=True)
    bench.tick(60_000)

    assert bench.state.filling is not None


def test_donor_that_lost_everything_ends_the_wait() -> None:
    """It is back under its name, as another replica, and all are there."""
    bench = Bench()
    bench.meet(C, COVERED)
    bench.turn(PeerDown(C))
    reborn = address(C)._replace(replica=B)

    bench.turn(PeerUp(reborn, EMPTY, (), protocol=2))
    bench.tick()

    assert bench.state.filling is None


def test_donor_that_lacks_what_another_one_has_forgotten_is_not_asked() -> None:
    """It was removed and does not know it: what it fills must start over as well."""
    bench = Bench()
    bench.meet(B, members=(member(C),), filling=True)
    bench.report(B, VersionVector.of({C: 1}))

    effects = bench.meet(C, COVERED, FLOOR)

    assert [peer for peer, _ in sent(effects, DeltaRequest)] == [C]


# -- what is told ---------------------------------------------------------------------


def test_peers_that_have_nothing_are_told_when_a_bootstrap_begins_and_ends() -> None:
    """They may have been met before, and take this node for an empty one."""
    bench = newcomer()

    effects = bench.meet(C, COVERED)
    request = asked(effects)
    page = DeltaPage(request.session, 0, COVERED, (), last=True)
    ended = bench.hear(C, page)

    assert told(B, effects) == [True]
    assert told(B, ended) == [False]
    assert told(C, effects + ended) == []


def test_peer_that_is_met_during_a_bootstrap_is_told() -> None:
    """The hello that it got may be from before."""
    bench = Bench()
    bench.meet(C, COVERED)

    assert told(B, bench.meet(B)) == [True]


def test_peer_that_is_met_after_a_bootstrap_is_told() -> None:
    """The hello that it got, on a long way, may be from before there was anything."""
    bench = Bench()
    request = asked(bench.meet(C, COVERED))
    bench.hear(C, DeltaPage(request.session, 0, COVERED, (), last=True))

    assert told(B, bench.meet(B)) == [False]


def test_new_nodes_have_nothing_to_tell_each_other() -> None:
    """Nor is a peer told that has something itself: it is not misled."""
    bench = Bench()
    assert told(B, bench.meet(B)) == []

    bench.write(Put(at(b"k"), b"1"))

    assert told(C, bench.meet(C, COVERED)) == []


@pytest.mark.parametrize("hello", [False, True])
def test_whoever_is_being_filled_is_told_what_is_here(*, hello: bool) -> None:
    """It looks for a donor, and may think that this node has nothing."""
    bench = Bench()
    bench.write(Put(at(b"k"), b"1"))
    effects = bench.meet(B, filling=hello)
    if not hello:
        effects = bench.report(B, EMPTY, filling=True)

    assert told(B, effects) == [False]


# -- a floor that an empty store has not heard of (G2b) -------------------------------


def test_empty_store_that_hears_of_a_floor_is_filled() -> None:
    """It has nothing that would have to be judged, and stays the replica it is."""
    bench = newcomer()

    effects = bench.report(B, COVERED, floor=FLOOR)
    effects += bench.tick()

    assert not [effect for effect in effects if isinstance(effect, StartOver)]
    assert asked(effects).whole


def test_store_with_a_write_that_hears_of_a_floor_starts_over() -> None:
    """Whether what is forgotten has ended its write, nobody can tell (G2b)."""
    bench = newcomer()
    bench.write(Put(at(b"k"), b"1"))

    bench.report(B, COVERED, floor=FLOOR)

    assert bench.state.start_over is not None
    assert bench.state.filling is None


def test_store_that_holds_what_it_cannot_claim_is_not_empty() -> None:
    """What a lost connection has left may be older than what is forgotten."""
    bench = newcomer()
    pushed = register(Dot(C, 2))
    bench.hear(B, Push(C, 2, 2, (wire_entry(at(b"k"), pushed),)))
    bench.turn(PeerDown(B))
    assert bench.entry(at(b"k")) == pushed
    assert bench.clock == EMPTY

    bench.meet(B)
    bench.report(B, COVERED, floor=FLOOR)

    assert bench.state.start_over is not None


def test_delta_on_its_way_is_given_up_for_a_bootstrap() -> None:
    """Its entries would get into the middle of it, some of them forgotten elsewhere."""
    bench = newcomer()
    older = VersionVector.of({C: 1})
    bench.report(B, older)
    delta = asked(bench.tick(1000))
    assert not delta.whole

    effects = bench.meet(C, COVERED, FLOOR)
    old = wire_entry(at(b"k"), register(Dot(C, 1)))
    bench.hear(B, DeltaPage(delta.session, 0, older, (old,), last=True))

    given_up = DeltaAcknowledgement(delta.session, 0, abandoned=True)
    assert sent(effects, DeltaAcknowledgement) == [(B, given_up)]
    assert [peer for peer, _ in sent(effects, DeltaRequest)] == [C]
    assert asked(effects).whole
    assert bench.entry(at(b"k")) is None
    assert bench.state.filling is not None


LARGE = register(Dot(C, 1), bytes(INLINE_VALUE_BYTES_MAX + 1))
"""Of which a peer announces the stamp, and the value is pulled (D6)."""


def pulled(effects: list[Effect]) -> list[FetchChunk]:
    """Return what answers the one pull among *effects*: LARGE."""
    [(_, request)] = sent(effects, FetchRequest)
    assert isinstance(request, FetchRequest)
    return fetch.serve(request, LARGE.version.dot, encode(LARGE, WIRE))


def test_value_that_was_on_its_way_is_not_merged_into_a_bootstrap() -> None:
    """It belongs to a delta that was given up."""
    bench = newcomer()
    older = VersionVector.of({C: 1})
    bench.report(B, older)
    delta = asked(bench.tick(1000))
    entry = wire_entry(at(b"k"), LARGE)
    page = DeltaPage(delta.session, 0, older, (entry,), last=False)
    chunks = pulled(bench.hear(B, page))

    bench.meet(C, COVERED, FLOOR)
    bench.hear(B, *chunks)

    assert bench.state.filling is not None
    assert bench.entry(at(b"k")) is None


def test_pushed_value_that_was_on_its_way_is_not_claimed_in_a_bootstrap() -> None:
    """It would be claimed without what the bootstrap is about to bring."""
    bench = newcomer()
    chunks = pulled(bench.hear(B, Push(C, 1, 1, (wire_entry(at(b"k"), LARGE),))))

    bench.meet(C, COVERED)
    bench.hear(B, *chunks)

    assert bench.state.filling is not None
    assert bench.clock == EMPTY
    assert bench.entry(at(b"k")) is None
    assert bench.node.uncovered_batches == 0


def test_store_with_an_unknown_digest_is_not_empty_while_a_batch_waits() -> None:
    """What that has brought would stay, and be claimed as if only it were here."""
    bench = Bench(state=DurableState(A, digest=UNSETTLED))
    bench.meet(B)
    bench.hear(B, Push(C, 2, 2, (wire_entry(at(b"k"), register(Dot(C, 2))),)))

    bench.meet(C, COVERED)

    assert bench.state.filling is None


def test_empty_store_whose_digest_is_unknown_is_filled() -> None:
    """In relaxed mode it is so after a crash; there is nothing to be lost."""
    bench = Bench(state=DurableState(A, digest=UNSETTLED))

    bench.meet(C, COVERED)

    assert bench.state.filling is not None


def test_write_in_the_turn_of_the_meeting_is_kept_even_if_no_digest_tells() -> None:
    """It is not covered before the turn ends."""
    bench = Bench(state=DurableState(A, digest=UNSETTLED))

    bench.turn(
        bench.request(Put(at(b"k"), b"1")), PeerUp(address(C), COVERED, (), protocol=2)
    )

    assert bench.state.filling is None
    assert bench.clock == VersionVector.of({A: 1})
