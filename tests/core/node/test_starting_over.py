"""Who must start over, who may go on, and what a bootstrap must bring (D10, G2b)."""

from collections.abc import Sequence

import pytest

from kvnode.core.clocks.hybrid_logical_clock import from_millis
from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.node.bootstrap import NEAR_PATIENCE
from kvnode.core.node.commands import Put, Reason, Refused
from kvnode.core.node.events import (
    Disconnect,
    PeerDown,
    PeerUp,
    Received,
    ServeDelta,
    StartOver,
    Tick,
)
from kvnode.core.replication.messages import DeltaPage, DeltaRequest, Push, wire_entry
from kvnode.core.versions.floor import GROUND, Floor
from kvnode.core.versions.roster import Roster, Standing
from kvnode.core.versions.store_view import DurableState, Filling
from kvnode.core.versions.version import Entry
from kvnode.types import Dot, EntryKey, Millis
from tests.core.node.bench import START, Bench, address, member, sent
from tests.core.replication.entries import A, B, C, at, register

LATER = Millis(START + 1000)
COVERED = VersionVector.of({B: 9})
FLOOR = Floor(COVERED, from_millis(START))


def of_type(effects: Sequence[object], kind: type[object]) -> list[object]:
    """Return the effects of one kind."""
    return [effect for effect in effects if isinstance(effect, kind)]


def whole_request(bench: Bench, effects: Sequence[object]) -> DeltaRequest:
    """Return the request for everything among *effects*."""
    del bench
    [(_, request)] = sent(effects, DeltaRequest)  # type: ignore[arg-type]
    assert isinstance(request, DeltaRequest)
    assert request.whole
    return request


def last_page(
    request: DeltaRequest,
    clock: VersionVector,
    floor: Floor,
    *entries: tuple[EntryKey, Entry],
    last: bool = True,
) -> DeltaPage:
    """Return the only page of a bootstrap, or the first of more."""
    until = entries[-1][0] if entries else None
    wired = tuple(wire_entry(key, entry) for key, entry in entries)
    return DeltaPage(
        request.session, 0, clock, wired, last=last, floor=floor, until=until
    )


def test_who_was_removed_judges_its_writes_by_the_floor_that_came_with_the_news() -> (
    None
):
    """Else writes from before it would be kept, and what they held come back."""
    bench = Bench()
    bench.write(Put(at(b"k"), b"unique"))

    gone = member(A, Standing.REMOVED)
    effects = bench.meet(B, COVERED, FLOOR, members=(gone,))

    assert of_type(effects, StartOver)
    assert bench.state.start_over is not None
    assert bench.state.start_over.floor == FLOOR


def test_stores_of_two_clusters_do_not_start_over_for_each_other() -> None:
    """Each has forgotten what the other never had: both would be rescued and wait."""
    own = VersionVector.of({A: 3})
    state = DurableState(
        A, own, seq=3, roster=Roster([member(A)]), floor=Floor(own, from_millis(START))
    )
    bench = Bench(state=state)

    effects = bench.meet(B, COVERED, FLOOR)

    assert not of_type(effects, StartOver)
    [disconnect] = of_type(effects, Disconnect)
    assert isinstance(disconnect, Disconnect)
    assert disconnect.peer == B
    assert bench.state.start_over is None
    assert not bench.state.roster.counts(B)


def test_node_that_asks_for_everything_is_a_member_before_it_is_served() -> None:
    """What it does not have yet must not be forgotten while it is filled."""
    state = DurableState(
        A, COVERED, roster=Roster([member(A)]), floor=FLOOR, hlc=FLOOR.hlc
    )
    bench = Bench(state=state)
    bench.meet(C)
    assert not bench.state.roster.counts(C), "it might as well be from before the floor"

    effects = bench.hear(C, DeltaRequest(1, VersionVector(), whole=True))

    assert of_type(effects, ServeDelta)
    assert bench.state.roster.counts(C)


def test_node_that_asks_for_a_delta_from_before_the_floor_is_no_member() -> None:
    """It is to start over, as another replica."""
    state = DurableState(A, COVERED, roster=Roster([member(A)]), floor=FLOOR)
    bench = Bench(state=state)
    bench.meet(C)

    bench.hear(C, DeltaRequest(1, VersionVector()))

    assert not bench.state.roster.counts(C)


def test_bootstrap_that_something_forgotten_has_passed_by_empties_the_store() -> None:
    """What was deleted meanwhile is in no page of the next one, and must go."""
    bench = Bench()
    request = whole_request(bench, bench.meet(B, COVERED))
    early, late = at(b"a"), at(b"z")
    bench.hear(
        B, last_page(request, COVERED, GROUND, (early, register(Dot(B, 1))), last=False)
    )
    bench.restart()
    beyond = VersionVector.of({B: 12})
    bench.meet(C, beyond)
    bench.now = Millis(bench.now + NEAR_PATIENCE)  # B, which is nearer, does not come
    request = whole_request(bench, bench.turn(Tick()))
    assert request.after == early

    effects = bench.hear(
        C,
        last_page(
            request,
            beyond,
            Floor(beyond, from_millis(START)),
            (late, register(Dot(B, 11))),
        ),
    )

    assert of_type(effects, StartOver)
    mark = bench.state.start_over
    assert mark is not None
    assert bench.state.filling is not None, "what the bootstrap brought is to go"


def started_over(floor: Floor) -> DurableState:
    """Return the state of a store that was replaced for *floor*, one write kept."""
    kept = VersionVector.of({C: 1})
    return DurableState(A, kept, hlc=floor.hlc, filling=Filling(floor=floor))


@pytest.mark.parametrize(("hlc", "judged_again"), [(START, True), (LATER, False)])
def test_kept_writes_are_judged_again_if_more_was_forgotten_meanwhile(
    hlc: Millis, *, judged_again: bool
) -> None:
    """A deletion after it may be among what the donor has forgotten since."""
    bench = Bench(state=started_over(FLOOR))
    kept = register(Dot(C, 1), hlc=from_millis(hlc))
    bench.put_aside_of_the_node(at(b"kept"), kept)
    request = whole_request(bench, bench.meet(B, COVERED))

    risen = Floor(COVERED, from_millis(LATER))
    effects = bench.hear(B, last_page(request, COVERED, risen))

    assert bool(of_type(effects, StartOver)) is judged_again
    assert (bench.state.filling is None) is not judged_again


def test_store_that_started_over_serves_nobody_before_it_is_filled() -> None:
    """Even while no peer is there: it would serve an empty store for a full one."""
    roster = Roster([member(A), member(B)])
    state = DurableState(A, hlc=FLOOR.hlc, roster=roster, filling=Filling())
    bench = Bench(state=state)

    bench.tick()

    assert bench.state.filling is not None


def half_filled() -> Bench:
    """A node that B, out of reach now, has filled in part, with writes of its own."""
    filling = Filling(at(b"m"), COVERED, GROUND, 1, 2)
    bench = Bench(state=DurableState(A, hlc=FLOOR.hlc, filling=filling))
    bench.meet(B, COVERED)
    bench.tick()
    assert bench.state.filling is not None
    bench.turn(PeerDown(B))
    return bench


def test_half_filled_store_serves_if_nobody_has_anything_any_more() -> None:
    """All others have lost it; what is here is all there is."""
    bench = half_filled()
    reborn = address(B)._replace(replica=C)  # whoever loses a store is another replica

    bench.turn(PeerUp(reborn, EMPTY, (), protocol=2))
    bench.tick()

    assert bench.state.filling is None


def test_half_filled_store_knows_who_has_written_part_of_it() -> None:
    """That this replica has nothing, it can only have said before it wrote that."""
    bench = half_filled()

    bench.meet(B)
    bench.tick(60_000)

    assert bench.state.filling is not None


def test_bootstrap_does_not_end_with_a_delta_of_a_peer_without_floors() -> None:
    """One of protocol 1 knows nothing of what the first part's donor has forgotten."""
    filling = Filling(at(b"m"), COVERED, FLOOR, 1, 2)
    bench = Bench(state=DurableState(A, filling=filling))

    effects = bench.connect(C, VersionVector.of({C: 1}))
    effects += bench.tick(2000)

    assert not sent(effects, DeltaRequest)


def test_store_that_holds_what_it_does_not_cover_yet_is_not_new() -> None:
    """It would claim that in the middle of a bootstrap, as if only it had it."""
    bench = Bench()
    bench.meet(B)
    pushed = register(Dot(B, 1))

    effects = bench.turn(
        Received(B, Push(B, 1, 1, (wire_entry(at(b"k"), pushed),))),
        PeerUp(address(C), VersionVector.of({B: 1}), (), protocol=2),
    )

    assert bench.state.filling is None
    assert bench.clock == VersionVector.of({B: 1})
    assert not [r for _, r in sent(effects, DeltaRequest) if r.whole]  # type: ignore[union-attr]


def test_writes_are_refused_while_the_store_is_filled() -> None:
    """One that was queued before that was known would be made upon half a store."""
    bench = Bench()
    bench.meet(B, COVERED)

    [outcome] = bench.write(Put(at(b"k"), b"1"))

    assert isinstance(outcome, Refused)
    assert outcome.reason is Reason.UNAVAILABLE, "it may happen later"
    assert bench.state.seq == 0
