"""Filling an empty store: resumed anywhere, claiming only what all senders cover."""

from collections.abc import Sequence

from kvnode.core.clocks.hybrid_logical_clock import from_millis
from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.node.bootstrap import NEAR_PATIENCE
from kvnode.core.node.events import PeerDown, Tick
from kvnode.core.replication.delta import delta_pages
from kvnode.core.replication.messages import DeltaPage, DeltaRequest, Push, wire_entry
from kvnode.core.versions.floor import GROUND, Floor
from kvnode.core.versions.store_view import Commit, DurableState, Filling, Write
from kvnode.storage.memory_store import MemoryStore
from kvnode.types import Dot, EntryKey, Millis, Namespace, ReplicaId
from tests.core.node.bench import START, Bench, sent
from tests.core.replication.entries import B, C, at, register
from tests.simulation.site import run

FIRST = VersionVector.of({B: 3})
SECOND = VersionVector.of({B: 4, C: 2})
KEYS = [at(b"a"), at(b"b"), EntryKey(Namespace("zone"), b"a")]


def donor(
    replica: ReplicaId, clock: VersionVector, floor: Floor = GROUND
) -> MemoryStore:
    """Return the store of a node that holds KEYS."""
    store = MemoryStore(replica)
    writes = tuple(
        Write(key, register(Dot(B, n)), None) for n, key in enumerate(KEYS, 1)
    )
    state = DurableState(replica, clock, floor=floor, seq=clock.newest(replica))
    run(store.apply(Commit(state, writes)))
    return store


def served(store: MemoryStore, request: DeltaRequest) -> list[DeltaPage]:
    """Return the pages that a donor sends, one entry each."""
    with store.snapshot() as view:
        slices = delta_pages(view, request, page_bytes=1, expected=3)
        return list(filter(None, slices))


def asked(effects: Sequence[object]) -> DeltaRequest:
    """Return the one request among *effects*."""
    [(_, request)] = sent(effects, DeltaRequest)  # type: ignore[arg-type]
    assert isinstance(request, DeltaRequest)
    return request


def test_new_node_asks_for_everything_and_has_it_then() -> None:
    """D10: in key order, over all namespaces, page by page."""
    bench = Bench()
    request = asked(bench.meet(B, FIRST))
    pages = served(donor(B, FIRST), request)

    progress = []
    for page in pages:
        bench.hear(B, page)
        progress.append(bench.state.filling and bench.state.filling.after)

    assert request.whole
    assert [page.until for page in pages] == KEYS
    assert progress == [*KEYS[:-1], None]
    assert bench.state.filling is None
    assert bench.clock == FIRST
    assert all(bench.entry(key) for key in KEYS)


def test_progress_is_told_in_entries() -> None:
    """Of as many as the donor holds, about."""
    bench = Bench()
    request = asked(bench.meet(B, FIRST))

    bench.hear(B, served(donor(B, FIRST), request)[0])

    filling = bench.state.filling
    assert filling is not None
    assert (filling.done, filling.expected) == (1, 3)


def test_bootstrap_goes_on_at_another_donor_and_claims_what_both_cover() -> None:
    """The first keys are as of the first one, the rest as of the second."""
    bench = Bench()
    request = asked(bench.meet(B, FIRST))
    bench.hear(B, *served(donor(B, FIRST), request)[:2])
    bench.turn(PeerDown(B))
    bench.restart()

    bench.meet(C, SECOND)
    bench.now = Millis(bench.now + NEAR_PATIENCE)  # B, which is nearer, does not come
    request = asked(bench.turn(Tick()))
    pages = served(donor(C, SECOND), request)
    bench.hear(C, *pages)

    assert request.after == KEYS[1]
    assert [page.until for page in pages] == KEYS[2:]
    assert bench.clock == FIRST.meet(SECOND) == FIRST
    assert bench.state.filling is None


def test_floor_comes_with_what_it_is_the_floor_of() -> None:
    """All that the donors have forgotten is forgotten here."""
    floor = Floor(FIRST, from_millis(Millis(START + 300)))
    bench = Bench()
    request = asked(bench.meet(B, FIRST, floor))

    bench.hear(B, *served(donor(B, FIRST, floor), request))

    assert bench.state.floor == floor
    assert bench.state.hlc >= floor.hlc


def test_refused_bootstrap_is_asked_for_elsewhere() -> None:
    """The donor is being filled itself, or has no room for another one."""
    bench = Bench()
    request = asked(bench.meet(B, FIRST))
    bench.meet(C, SECOND)
    refusal = DeltaPage(request.session, 0, EMPTY, (), last=True, refused="busy")

    bench.hear(B, refusal)
    asked_for = [peer for peer, _ in sent(bench.tick(1000), DeltaRequest)]
    bench.hear(C, refusal)
    asked_for += [peer for peer, _ in sent(bench.tick(20_000), DeltaRequest)]
    asked_for += [peer for peer, _ in sent(bench.tick(20_000), DeltaRequest)]

    assert {B, C} <= set(asked_for)


def test_node_that_is_filled_serves_no_delta() -> None:
    """What it holds is no state that ever was."""
    store = MemoryStore(B)
    run(store.apply(Commit(DurableState(B, filling=Filling()))))

    [page] = served(store, DeltaRequest(1, EMPTY, whole=True))

    assert page.refused
    assert not page.entries


def test_pushes_wait_for_the_end_of_the_bootstrap() -> None:
    """They may build on what is not here yet, and a delta brings them."""
    bench = Bench()
    request = asked(bench.meet(B, FIRST))
    fresh = register(Dot(B, 4))

    bench.hear(B, Push(B, 4, 4, (wire_entry(at(b"new"), fresh),)))
    assert bench.entry(at(b"new")) is None
    bench.hear(B, *served(donor(B, FIRST), request))

    assert bench.clock == FIRST


def test_bootstrap_of_an_empty_donor_ends_at_once() -> None:
    """It covers what it holds nothing of any more."""
    bench = Bench()
    request = asked(bench.meet(B, FIRST))

    bench.hear(B, DeltaPage(request.session, 0, FIRST, (), last=True))

    assert bench.state.filling is None
    assert bench.clock == FIRST


def test_late_key_of_a_new_namespace_is_left_to_a_delta() -> None:
    """Its place may lie behind what is here: the claim does not cover it."""
    bench = Bench()
    request = asked(bench.meet(B, FIRST))
    bench.hear(B, *served(donor(B, FIRST), request)[:-1])
    bench.turn(PeerDown(B))
    store = donor(C, SECOND)
    early = EntryKey(Namespace("aaa"), b"k")
    state = store.state()
    run(store.apply(Commit(state, (Write(early, register(Dot(C, 2)), None),))))

    request = asked(bench.meet(C, SECOND))
    bench.hear(C, *served(store, request))
    assert bench.entry(early) is None
    bench.report(C, SECOND)
    request = asked(bench.tick(1000) + bench.tick(1000))

    assert not request.whole
    with store.snapshot() as view:
        pages = list(filter(None, delta_pages(view, request, page_bytes=1000)))
    bench.hear(C, *pages)
    assert bench.entry(early) is not None
    assert bench.clock == SECOND
