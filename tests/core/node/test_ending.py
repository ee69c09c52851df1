"""Where the writes of a dead replica end is agreed on twice before it is told (S2)."""

import pytest

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.node.events import Disconnect, PeerUp, Tick
from kvnode.core.replication.messages import (
    DeltaPage,
    DeltaRequest,
    Digest,
    FetchChunk,
    FetchRequest,
    Push,
    Report,
    wire_entry,
)
from kvnode.core.versions.record import WIRE, encode
from kvnode.core.versions.roster import NOT_CLOSED, Member, Standing
from kvnode.core.versions.session import Session
from kvnode.limits import INLINE_VALUE_BYTES_MAX
from kvnode.types import Dot, LostWrites, Millis, ReplicaId
from tests.core.node.bench import address, sent
from tests.core.node.test_closing import INTERVAL, OTHER, Cluster
from tests.core.replication.entries import B, C, counter, register

D = ReplicaId(0xD)


class Dying(Cluster):
    """Node A, connected to B; C has told A its first write, and is removed."""

    def __init__(self) -> None:
        super().__init__()
        self.told(register(Dot(C, 1)))
        self.remove()

    def agree(self) -> None:
        """Let both rounds pass."""
        self.b_says()
        self.b_says()
        assert self.record(C).lost_above == 1


def lost(cluster: Dying, seq: int) -> tuple[LostWrites, ...]:
    """Return what a session that has seen so much of C is told."""
    return Session((Dot(C, seq),)).lost(cluster.store.state().roster)


# -- agreeing ----------------------------------------------------------------------


def test_session_is_told_after_the_second_round_and_not_before() -> None:
    """In the first all say what they have; in the second, that it has stayed so."""
    cluster = Dying()
    told = [lost(cluster, 3)]

    for _ in range(2):
        cluster.b_says()
        told.append(lost(cluster, 3))

    assert told == [(), (), (LostWrites(C, "c-site", 2, 3),)]
    assert lost(cluster, 1) == ()


def test_second_round_counts_what_was_said_with_the_fence_alone() -> None:
    """Who has not heard of it may still take something in."""
    cluster = Dying()
    before = cluster.store.state().roster
    cluster.b_says()
    assert cluster.record(C).fenced_from == 2

    for _ in range(3):
        cluster.hear(B, Report(EMPTY, cluster.now, roster=before.digest()))
        cluster.now = Millis(cluster.now + INTERVAL)
        cluster.turn(Tick())

    assert cluster.record(C).lost_above == NOT_CLOSED


def test_silent_member_holds_up_the_end() -> None:
    """It may have what nobody else has, however long it is away."""
    cluster = Dying()

    for _ in range(5):
        cluster.now = Millis(cluster.now + INTERVAL)
        cluster.turn(Tick())

    assert cluster.record(C).fenced_from == 0
    assert cluster.record(C).lost_above == NOT_CLOSED


def test_fence_moves_behind_what_a_member_had_taken_in_before_it_heard() -> None:
    """A newcomer had told B two more writes: they are not lost."""
    cluster = Dying()
    cluster.b_says()

    cluster.b_says(clock=VersionVector.of({C: 3}))
    assert (cluster.record(C).fenced_from, cluster.record(C).lost_above) == (
        4,
        NOT_CLOSED,
    )
    cluster.b_says(clock=VersionVector.of({C: 3}))

    assert cluster.record(C).lost_above == 3
    assert lost(cluster, 3) == ()


def test_end_waits_until_all_that_is_held_of_the_dead_is_covered() -> None:
    """It comes after the fence else; and what it depends on is of another one's."""
    cluster = Cluster()
    second = register(Dot(C, 2))
    needs = (Dot(B, 1), Dot(D, 5))
    cluster.told(second._replace(version=second.version._replace(dependencies=needs)))
    gone = Member(D, "d-site", standing=Standing.REMOVED)
    cluster.hear(B, Report(EMPTY, cluster.now, roster=1, members=(gone,)))
    cluster.remove()

    for _ in range(3):
        cluster.b_says()
    assert {cluster.record(dead).fenced_from for dead in (C, D)} == {0}

    cluster.hear(B, Push(B, 1, 1, (wire_entry(OTHER, register(Dot(B, 1))),)))
    for _ in range(3):
        cluster.b_says(clock=VersionVector.of({B: 1}))
    assert [cluster.record(dead).lost_above for dead in (C, D)] == [2, 5]


def test_write_of_the_dead_is_covered_without_what_is_lost_for_good() -> None:
    """Sessions were told of that; nobody claims to have it afterwards."""
    cluster = Cluster()
    first = register(Dot(C, 1))
    needs = first.version._replace(dependencies=(Dot(D, 1),))
    cluster.told(first._replace(version=needs))
    ended = Member(D, "d-site", standing=Standing.REMOVED, lost_above=0)
    cluster.hear(B, Report(EMPTY, cluster.now, roster=1, members=(ended,)))
    cluster.remove()

    cluster.b_says()

    assert cluster.clock == VersionVector.of({C: 1})


def test_end_is_where_a_recovery_file_ends_if_that_is_known() -> None:
    """What members claim up to there, clocks have, and sessions take from clocks."""
    cluster = Dying()
    over = cluster.record(C)._replace(given_up=3)
    cluster.hear(B, Report(EMPTY, cluster.now, roster=1, members=(over,)))

    for _ in range(3):  # what B covers comes with a delta, and nothing is claimed yet
        cluster.b_says(clock=VersionVector.of({C: 2}))

    assert cluster.record(C).lost_above == 3


def test_what_is_put_aside_after_the_end_is_claimed_by_nobody() -> None:
    """Sessions have been told that it is lost, and are told so further."""
    cluster = Dying()
    cluster.agree()
    over = cluster.record(C)._replace(given_up=3)
    cluster.hear(B, Report(EMPTY, cluster.now, roster=1, members=(over,)))

    for _ in range(3):
        cluster.b_says()

    assert cluster.clock == VersionVector.of({C: 1})
    assert lost(cluster, 3) != ()


def test_end_is_told_to_whoever_has_another_roster() -> None:
    """Of rosters nothing is ever forgotten, so each node learns it, and keeps it."""
    cluster = Dying()
    cluster.agree()
    cluster.restart()
    cluster.turn(PeerUp(address(B), EMPTY, (), protocol=2))

    told = sent(cluster.hear(B, Digest(0, 0, cluster.now)), Report)

    [(_, report)] = told
    assert isinstance(report, Report)
    assert cluster.record(C) in report.members
    assert lost(cluster, 3) != ()


# -- the fence ---------------------------------------------------------------------


@pytest.mark.parametrize("agreed", [False, True])
def test_nothing_is_taken_in_from_behind_the_fence(*, agreed: bool) -> None:
    """A copy of the store of C that nobody had met tells it in a delta."""
    cluster = Dying()
    cluster.b_says()
    if agreed:
        cluster.b_says()
    claims = VersionVector.of({B: 1})
    cluster.hear(B, Report(claims, cluster.now, roster=1))
    [(_, request)] = sent(cluster.tick(INTERVAL), DeltaRequest)
    assert isinstance(request, DeltaRequest)

    more = VersionVector.of({B: 1, C: 2})
    entry = wire_entry(OTHER, register(Dot(C, 2)))
    cluster.hear(B, DeltaPage(request.session, 0, more, (entry,), last=True))

    assert cluster.entry(OTHER) is None
    assert cluster.clock == VersionVector.of({C: 1})
    assert not cluster.state.pending, "nor is it for sessions to take up"


def test_no_delta_is_asked_for_that_would_bring_what_is_behind_the_fence() -> None:
    """Whoever has it starts over, or the fence moves; neither takes a delta."""
    cluster = Dying()
    cluster.agree()

    cluster.hear(B, Report(VersionVector.of({C: 2}), cluster.now, roster=1))

    assert sent(cluster.tick(INTERVAL), DeltaRequest) == []


def test_value_that_merges_is_not_taken_in_with_a_part_from_behind_the_fence() -> None:
    """Its writer counts, and had the part from one that nobody has met."""
    cluster = Dying()
    cluster.agree()
    entry = counter(Dot(B, 1), Dot(C, 2))

    effects = cluster.hear(B, Push(B, 1, 1, (wire_entry(OTHER, entry),)))

    assert cluster.entry(OTHER) is None
    assert any(isinstance(effect, Disconnect) for effect in effects)


def test_delta_that_claims_more_than_the_fence_ends_without_a_claim() -> None:
    """It began before this node heard of the fence, and its last value comes after."""
    cluster = Dying()
    more = VersionVector.of({B: 1, C: 2})
    cluster.hear(B, Report(more, cluster.now, roster=1))
    [(_, request)] = sent(cluster.tick(INTERVAL), DeltaRequest)
    assert isinstance(request, DeltaRequest)
    large = register(Dot(B, 1), bytes(INLINE_VALUE_BYTES_MAX + 1))
    announced = wire_entry(OTHER, large)
    effects = cluster.hear(
        B, DeltaPage(request.session, 0, more, (announced,), last=True)
    )
    [(_, pull)] = sent(effects, FetchRequest)
    assert isinstance(pull, FetchRequest)
    fenced = cluster.record(C)._replace(fenced_from=2)
    cluster.hear(B, Report(more, cluster.now, roster=1, members=(fenced,)))

    record = encode(large, WIRE)
    chunk = FetchChunk(pull.fetch, large.version.dot, 0, len(record), record)
    cluster.hear(B, chunk)

    assert cluster.entry(OTHER) is not None
    assert not cluster.clock.covers(Dot(C, 2))
