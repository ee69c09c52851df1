"""
Nodes broken on purpose: each breaks one rule, as a programmer might.

A harness that does not notice them proves nothing by its silence.
"""

from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager
from typing import NamedTuple, ParamSpec, Self, TypeVar

import pytest

from kvnode.core.clocks.hybrid_logical_clock import from_millis
from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.node import bootstrap, forgetting, incoming, pushes, replicator, writes
from kvnode.core.node.members import Members
from kvnode.core.node.turn import Turn
from kvnode.core.replication import catch_up, coverage, delta, fetch, outbox
from kvnode.core.replication.messages import Push, wire_entry
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.roster import Roster
from kvnode.core.versions.session import Session
from kvnode.core.versions.store_view import Commit, DurableState, StoreView
from kvnode.core.versions.version import ORIGIN, Entry
from kvnode.storage.memory_store import MemorySnapshot, MemoryStore
from kvnode.types import Dot, EntryKey, HlcTimestamp, Millis, Namespace, ReplicaId
from tests.simulation.practice import GOOD_PRACTICE, Practice, Source
from tests.simulation.scenarios import (
    WRITTEN_AFTER_A_SET_BACK,
    WRITTEN_BEFORE_A_COPY_HEARS,
)
from tests.simulation.schedule import (
    FILLED,
    FORGETFUL,
    LATE,
    PAGE_BY_PAGE,
    RESTORING,
    Step,
    schedule_of,
)

P = ParamSpec("P")
R = TypeVar("R")


class LatestView:
    """A view that looks at a new snapshot for each range of the index."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._held: MemorySnapshot = store.snapshot().__enter__()

    def _renew(self) -> None:
        self._held.__exit__(None, None, None)
        self._held = self._store.snapshot().__enter__()

    def state(self) -> DurableState:
        """Return the state of the snapshot that is open now."""
        return self._held.state()

    def indexed_replicas(self) -> Iterable[ReplicaId]:
        """Return what the snapshot that is open now has."""
        return self._held.indexed_replicas()

    def index(
        self, replica: ReplicaId, first: int, last: int | None
    ) -> Iterator[tuple[Dot, EntryKey]]:
        """Open another snapshot, and yield rows of it."""
        self._renew()
        return iter(list(self._held.index(replica, first, last)))

    def entry(self, key: EntryKey) -> Entry | None:
        """Return what the snapshot that is open now has."""
        return self._held.entry(key)

    def namespaces(self) -> Iterable[Namespace]:
        """Return what the snapshot that is open now has."""
        return self._held.namespaces()

    def scan(
        self, namespace: Namespace, *, start: bytes = b""
    ) -> Iterator[tuple[bytes, Entry]]:
        """Yield what the snapshot that is open now has."""
        return self._held.scan(namespace, start=start)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.__exit__(None, None, None)


def _delta_of_many_snapshots(patch: pytest.MonkeyPatch) -> Practice:
    """D1: an entry superseded between two snapshots is in neither part."""

    def open_source(store: MemoryStore) -> Source:
        view = LatestView(store)
        held: AbstractContextManager[StoreView] = view  # type: ignore[assignment]  # a delta needs no more of a view than it has
        return Source(view, held)  # type: ignore[arg-type]  # the same

    del patch
    return Practice(open_source=open_source)


def _clock_joined_with_the_first_page(patch: pytest.MonkeyPatch) -> Practice:
    """D2: the pages after it may never come."""
    patch.setattr(
        catch_up.CatchUp, "complete", property(lambda delta: not delta.missing)
    )
    return GOOD_PRACTICE


def _batch_covered_without_its_dependencies(patch: pytest.MonkeyPatch) -> Practice:
    """D4."""
    covered = coverage._coverable

    def coverable(batch: coverage.WaitingBatch, clock: VersionVector) -> bool:
        dependencies, batch.dependencies = batch.dependencies, ()
        answer = covered(batch, clock)
        batch.dependencies = dependencies
        return answer

    patch.setattr(coverage, "_coverable", coverable)
    return GOOD_PRACTICE


def _index_rows_never_deleted(patch: pytest.MonkeyPatch) -> Practice:
    """Section 3: the rows of what a write supersedes go in its transaction."""
    apply = MemoryStore.apply

    async def careless(store: MemoryStore, commit: Commit) -> None:
        writes = tuple(write._replace(replaced=None) for write in commit.writes)
        await apply(store, Commit(commit.state, writes, commit.conflicts))

    patch.setattr(MemoryStore, "apply", careless)
    return GOOD_PRACTICE


def _entry_sent_only_at_its_newest_dot(patch: pytest.MonkeyPatch) -> Practice:
    """D1: a peer may have a CRDT's newest contribution and lack an older one."""
    patch.setattr(delta, "_first_lacking", lambda entry, _: entry.version.dot)
    return GOOD_PRACTICE


def _stamp_below_what_it_overwrites(patch: pytest.MonkeyPatch) -> Practice:
    """R1: only the node's own clock is looked at, not the stored stamp."""

    def tick(last: HlcTimestamp, *_: HlcTimestamp, now: Millis) -> HlcTimestamp:
        return HlcTimestamp(max(from_millis(now), last + 1))

    patch.setattr(writes, "tick", tick)
    return GOOD_PRACTICE


def _effects_before_the_commit(patch: pytest.MonkeyPatch) -> Practice:
    """W2: told, and then lost in a crash."""
    del patch
    return Practice(effects_before_commit=True)


def _any_pull_of_the_key_will_do(patch: pytest.MonkeyPatch) -> Practice:
    """D6: the record that arrives may be older than the one announced."""
    patch.setattr(coverage, "is_here", lambda *_: True)
    patch.setattr(catch_up, "is_here", lambda *_: True)
    return GOOD_PRACTICE


def _values_never_pulled(patch: pytest.MonkeyPatch) -> Practice:
    """D6: an announced value is taken for one that is here."""
    patch.setattr(incoming, "includes", lambda *_: True)
    return GOOD_PRACTICE


def _silent_pulls_not_repeated(patch: pytest.MonkeyPatch) -> Practice:
    """A request lost in a failed turn of the peer leaves the pull hanging."""
    patch.setattr(fetch.Fetches, "repeat", lambda *_: [])
    return GOOD_PRACTICE


def _overtaken_pushes_stay_in_flight(patch: pytest.MonkeyPatch) -> Practice:
    """D5: a push that a delta overtook is never acknowledged."""
    patch.setattr(outbox.Outbox, "covered", lambda *_: False)
    return GOOD_PRACTICE


def _push_cut_by_newest_seq(patch: pytest.MonkeyPatch) -> Practice:
    """D4: a range is covered though its key comes with the next push."""

    def newest_first(
        origin: ReplicaId,
        first: int,
        last: int,
        written: dict[EntryKey, pushes.Originated],
    ) -> Iterator[Push]:
        by_newest = sorted(written.items(), key=lambda item: item[1].entry.version.dot)
        start = first
        for key, (_, entry) in by_newest:
            seq = entry.version.dot.seq
            yield Push(origin, start, seq, (wire_entry(key, entry),))
            start = seq + 1
        assert start == last + 1, "the last write is the newest of its key"

    patch.setattr(replicator, "pushes", newest_first)
    return GOOD_PRACTICE


def _dependencies_lost_with_a_superseded_write(
    patch: pytest.MonkeyPatch,
) -> Practice:
    """D4: the newest entry of a turn travels for the earlier ones too."""
    patch.setattr(writes, "join_sorted", lambda _, own: own)
    return GOOD_PRACTICE


def _token_without_what_a_write_showed(patch: pytest.MonkeyPatch) -> Practice:
    """S1: the reply to a CRDT's update shows other contributions too."""
    del patch

    def forgetful(session: Session, entry: Entry, *_: object) -> Session:
        return session.saw((entry.version.dot,), entry.version.hlc)

    return Practice(token_after_write=forgetful)


# -- forgetting (G1 to G2b) -----------------------------------------------------


def _floor_of_some_members(patch: pytest.MonkeyPatch) -> Practice:
    """G1: one that has not reported is taken for one that covers all."""
    words_of_all = forgetting.Forgetting.words_of_all

    def words_of_some(
        own_half: forgetting.Forgetting, turn: Turn, own: ReplicaId
    ) -> forgetting.Words | None:
        words = words_of_all(own_half, turn, own)
        heard = own_half._words if words is None else words
        return dict(list(heard.items())[:1])

    patch.setattr(forgetting.Forgetting, "words_of_all", words_of_some)
    return GOOD_PRACTICE


def _floor_of_those_connected(patch: pytest.MonkeyPatch) -> Practice:
    """G1, G3: members that are away are not waited for."""
    propose = forgetting.Forgetting.propose

    def propose_without_the_absent(
        own_half: forgetting.Forgetting,
        turn: Turn,
        own: ReplicaId,
        held: VersionVector,
        connected: Collection[ReplicaId],
    ) -> None:
        whole, peers = turn.roster, turn.peers
        turn.roster = Roster(m for m in whole if m.replica in {own, *connected})
        turn.peers = ()
        for replica, word in list(own_half._words.items()):
            own_half._words[replica] = word._replace(roster=turn.roster.digest())
        propose(own_half, turn, own, held, connected)
        turn.roster, turn.peers = whole, peers

    patch.setattr(forgetting.Forgetting, "propose", propose_without_the_absent)
    return GOOD_PRACTICE


def _floor_adopted_without_what_is_under_way(patch: pytest.MonkeyPatch) -> Practice:
    """
    G1: what a report covered or held may come yet.

    Each of two rules keeps out what comes late (decision 12), so that one must be
    broken for the other to matter here; tests.core.node.test_forgetting has each.
    """
    _everything_may_be_merged(patch)
    advance = forgetting.Forgetting.advance

    def hasty(own_half: forgetting.Forgetting, turn: Turn) -> None:
        wanted = own_half._wanted
        if wanted is not None and turn.clock.includes(wanted.floor.vector):
            own_half._wanted = wanted._replace(known=EMPTY)
        advance(own_half, turn)

    patch.setattr(forgetting.Forgetting, "advance", hasty)
    return GOOD_PRACTICE


def _everything_may_be_merged(patch: pytest.MonkeyPatch) -> Practice:
    """G2b: a fresh write may have been ended by what is forgotten."""
    patch.setattr(incoming, "may_merge", lambda *_: True)
    return GOOD_PRACTICE


def _covered_entries_merged_again(patch: pytest.MonkeyPatch) -> Practice:
    """
    What is covered may have been ended by what is forgotten.

    As above: a fresh write from before the floor is not taken either.
    """
    _everything_may_be_merged(patch)
    merge_fresh = incoming.Incoming._merge_fresh
    merge_page = incoming.Incoming._merge_page
    take_pulled = incoming.Incoming._take_pulled

    def forgetful(method: Callable[P, R]) -> Callable[P, R]:
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            [turn] = [part for part in args if isinstance(part, Turn)]
            clock, turn.clock = turn.clock, EMPTY
            try:
                return method(*args, **kwargs)
            finally:
                turn.clock = turn.clock.join(clock)

        return run

    patch.setattr(incoming.Incoming, "_merge_fresh", forgetful(merge_fresh))
    patch.setattr(incoming.Incoming, "_merge_page", forgetful(merge_page))
    patch.setattr(incoming.Incoming, "_take_pulled", forgetful(take_pulled))
    return GOOD_PRACTICE


def _counter_started_below_what_was_forgotten(patch: pytest.MonkeyPatch) -> Practice:
    """G2: one that still holds the deletion takes the counter for ended."""
    patch.setattr(writes, "origin_of", lambda _: ORIGIN)
    return GOOD_PRACTICE


def _clock_left_below_the_floor(patch: pytest.MonkeyPatch) -> Practice:
    """G2: what is written later must be stamped above all that is forgotten."""
    adopt = forgetting.Forgetting.adopt

    def adopt_alone(own_half: forgetting.Forgetting, floor: Floor, turn: Turn) -> None:
        hlc = turn.hlc
        adopt(own_half, floor, turn)
        turn.hlc = hlc

    patch.setattr(forgetting.Forgetting, "adopt", adopt_alone)
    return GOOD_PRACTICE


def _delta_from_before_the_floor(patch: pytest.MonkeyPatch) -> Practice:
    """G2b: neither asked for what it cannot tell, nor refused what it must miss."""
    patch.setattr(delta, "_refusal", lambda *_: "")
    patch.setattr(Members, "start_over", lambda *_: None)
    return GOOD_PRACTICE


def _bootstrap_claims_what_the_last_sender_covers(
    patch: pytest.MonkeyPatch,
) -> Practice:
    """D10: the first keys are as of the first sender."""
    take_page = bootstrap.take_page

    def careless(delta: catch_up.CatchUp, turn: Turn) -> None:
        take_page(delta, turn)
        assert turn.filling is not None, "it goes on"
        turn.filling = turn.filling._replace(covers=delta.snapshot_clock)

    patch.setattr(incoming, "take_page", careless)
    return GOOD_PRACTICE


def _who_is_filled_is_no_member(patch: pytest.MonkeyPatch) -> Practice:
    """D10: what it does not have yet is forgotten meanwhile."""
    patch.setattr(Members, "admit", lambda *_: None)
    return GOOD_PRACTICE


class Sabotage(NamedTuple):
    """
    How to break a node, and by which rules it may be noticed.

    Schedules are tried from *seed* on, which found it once: when the core has changed,
    another one may have to.
    """

    apply: Callable[[pytest.MonkeyPatch], Practice]
    noticed_by: tuple[str, ...]
    seed: int = 0
    weights: Mapping[str, int] | None = None  # None = each seed has its own
    size: int = 200  # steps of a schedule
    seeds: int = 500  # tried at most: half a minute
    scenario: Sequence[Step] = ()  # tried instead of any seed

    def schedules(self) -> Iterator[tuple[int, Sequence[Step]]]:
        """Yield what is to be tried, by seed."""
        if self.scenario:
            yield self.seed, self.scenario
            return
        for seed in range(self.seed, self.seed + self.seeds):
            yield seed, schedule_of(seed, self.size, self.weights)


def _among_late(
    apply: Callable[[pytest.MonkeyPatch], Practice], seed: int, *noticed_by: str
) -> Sabotage:
    """Return a sabotage that shows in few steps, each of which takes long."""
    return Sabotage(apply, noticed_by, seed, LATE, size=60, seeds=60)


def _among_restored(
    apply: Callable[[pytest.MonkeyPatch], Practice],
    seed: int,
    weights: Mapping[str, int],
    *noticed_by: str,
) -> Sabotage:
    """Return a sabotage that shows when a site is what it was, or nothing."""
    return Sabotage(apply, noticed_by, seed, weights, seeds=100)


SABOTAGES = {
    sabotage.apply.__name__.strip("_"): sabotage
    for sabotage in (
        Sabotage(_delta_of_many_snapshots, ("I1",), 563, PAGE_BY_PAGE),
        Sabotage(_clock_joined_with_the_first_page, ("I1", "I2")),
        Sabotage(_batch_covered_without_its_dependencies, ("I2",), 4),
        Sabotage(_index_rows_never_deleted, ("index",)),
        Sabotage(_entry_sent_only_at_its_newest_dot, ("I1",)),
        Sabotage(_stamp_below_what_it_overwrites, ("I1", "R4", "S1"), 150),
        Sabotage(_effects_before_the_commit, ("W2",)),
        Sabotage(_any_pull_of_the_key_will_do, ("I1",), 684),
        Sabotage(_values_never_pulled, ("I1",)),
        Sabotage(_silent_pulls_not_repeated, ("end",), 265),
        Sabotage(_overtaken_pushes_stay_in_flight, ("end",), 1),
        Sabotage(_push_cut_by_newest_seq, ("I1",), 680),
        Sabotage(_dependencies_lost_with_a_superseded_write, ("I1", "I2", "S1"), 4),
        Sabotage(_token_without_what_a_write_showed, ("S1",), 454),
        _among_late(_floor_of_some_members, 0, "G2", "I1"),
        Sabotage(_floor_of_those_connected, ("G2", "I1"), 1, FORGETFUL, seeds=100),
        _among_late(_floor_adopted_without_what_is_under_way, 7, "G2b"),
        Sabotage(
            _everything_may_be_merged, ("G2b",), scenario=WRITTEN_BEFORE_A_COPY_HEARS
        ),
        _among_late(_covered_entries_merged_again, 8, "G2b"),
        # It is ranked below the deletion, which ends it where that is still held.
        _among_late(_counter_started_below_what_was_forgotten, 0, "G2b", "I1"),
        Sabotage(
            _clock_left_below_the_floor, ("G2b",), scenario=WRITTEN_AFTER_A_SET_BACK
        ),
        _among_restored(_delta_from_before_the_floor, 11, RESTORING, "G2"),
        _among_restored(
            _bootstrap_claims_what_the_last_sender_covers, 506, RESTORING, "I1"
        ),
        _among_restored(_who_is_filled_is_no_member, 28, FILLED, "D10"),
    )
}
