"""What becomes of a store from before the floor (G2b)."""

from dataclasses import replace

from hypothesis import given

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.replication.start_over import Fate, begun_again, fate, giving_up
from kvnode.core.versions.floor import GROUND, Floor
from kvnode.core.versions.roster import Member, Roster, Standing
from kvnode.core.versions.store_view import DurableState, Filling, StartOver
from kvnode.core.versions.version import Entry, Kind, Stamp, Version
from kvnode.types import Dot, HlcTimestamp, ReplicaId
from tests import strategies
from tests.core.replication.entries import A, B, C

PEER = VersionVector.of({A: 5, B: 5})
MARK = StartOver(PEER, Floor(VersionVector.of({A: 5}), HlcTimestamp(100)))
OWN = VersionVector.of({A: 9, B: 2})
STATE = DurableState(
    A,
    OWN,
    pending=PEER,
    seq=9,
    hlc=HlcTimestamp(70),
    roster=Roster((Member(A, "a-site"), Member(B, "b-site"))),
    floor=Floor(VersionVector.of({A: 1}), HlcTimestamp(10)),
    start_over=MARK,
)


def register(dot: Dot, hlc: int) -> Version:
    """Return the version of a register."""
    return Version(Kind.REGISTER, HlcTimestamp(hlc), dot)


def counter(base: int, *dots: Dot) -> Version:
    """Return the version of a counter that was started upon something."""
    *others, dot = dots
    stamp = Stamp(HlcTimestamp(base), B)
    hlc = HlcTimestamp(base + 1000)
    return Version(Kind.COUNTER, hlc, dot, tuple(others), base=stamp)


def test_what_the_peer_covers_is_dropped() -> None:
    """The peer knows better: it may have been deleted there."""
    assert fate(register(Dot(A, 5), 500), STATE) is Fate.DROPPED
    assert fate(counter(500, Dot(A, 5), Dot(B, 4)), STATE) is Fate.DROPPED


def test_newer_writes_of_its_own_are_kept() -> None:
    """All that was forgotten is stamped below the floor."""
    assert fate(register(Dot(A, 6), 100), STATE) is Fate.KEPT
    assert fate(counter(100, Dot(A, 6), Dot(B, 4)), STATE) is Fate.KEPT


def test_older_writes_of_its_own_are_rescued() -> None:
    """Nobody can tell any more whether they were deleted."""
    assert fate(register(Dot(A, 6), 99), STATE) is Fate.RESCUED
    assert fate(counter(99, Dot(A, 6)), STATE) is Fate.RESCUED, "whatever its stamp"


def test_what_it_held_and_did_not_cover_is_rescued() -> None:
    """Others have it, if they are there; kept, it would never be judged again."""
    assert fate(register(Dot(C, 1), 500), STATE) is Fate.RESCUED


def _ended_at(seq: int) -> DurableState:
    """Return the state when members have agreed that A has written no more."""
    ended = Member(A, "a-site", standing=Standing.REMOVED, lost_above=seq)
    return replace(STATE, roster=Roster((ended, Member(B, "b-site"))))


def test_what_sessions_were_told_is_lost_is_rescued() -> None:
    """Kept, it would come to members that have agreed to do without."""
    state = _ended_at(7)

    assert fate(register(Dot(A, 7), 500), state) is Fate.KEPT
    assert fate(register(Dot(A, 8), 500), state) is Fate.RESCUED


def test_last_writes_of_a_store_that_was_removed_are_rescued() -> None:
    """Members may claim them, or have given them up, and the peer not know it yet."""
    removed = Member(A, "a-site", standing=Standing.REMOVED)
    state = replace(STATE, roster=Roster((removed, Member(B, "b-site"))))

    assert fate(register(Dot(A, 6), 500), state) is Fate.RESCUED
    assert fate(counter(500, Dot(A, 6), Dot(B, 4)), state) is Fate.RESCUED
    assert fate(register(Dot(A, 5), 500), state) is Fate.DROPPED


def test_removed_store_puts_aside_what_a_living_replica_had_told_it() -> None:
    """I2: it may depend on what is given up, or on what the peer does not cover yet."""
    removed = Member(A, "a-site", standing=Standing.REMOVED)
    state = replace(
        STATE,
        clock=VersionVector.of({A: 5, B: 7}),
        roster=Roster((removed, Member(B, "b-site"))),
    )

    assert fate(register(Dot(B, 7), 500), state) is Fate.RESCUED


def test_member_keeps_what_only_it_has_of_one_that_is_gone() -> None:
    """Nothing of that is given up without its word."""
    gone = Member(B, "b-site", standing=Standing.REMOVED)
    state = replace(
        STATE,
        clock=VersionVector.of({A: 9, B: 7}),
        roster=Roster((Member(A, "a-site"), gone)),
    )

    assert fate(register(Dot(B, 7), 500), state) is Fate.KEPT


def test_nothing_is_claimed_from_behind_the_end() -> None:
    """Nor what the store had superseded: whoever claims it must start over."""
    kept = EMPTY.with_range(A, 7, 7)

    assert begun_again(_ended_at(7), ReplicaId(77), kept).clock == kept


def test_what_a_bootstrap_had_brought_is_dropped_when_the_next_one_begins() -> None:
    """It is in the next one, or was deleted meanwhile."""
    filled = replace(STATE, clock=VersionVector.of({A: 9}), filling=Filling())

    assert fate(register(Dot(C, 1), 500), filled) is Fate.DROPPED
    assert fate(register(Dot(A, 6), 500), filled) is Fate.KEPT


def test_store_goes_on_as_another_replica_that_is_to_be_filled() -> None:
    """It claims what only it had, and has forgotten nothing."""
    fresh = ReplicaId(77)

    state = begun_again(STATE, fresh)

    assert (state.replica, state.seq) == (fresh, 0)
    assert state.clock == VersionVector({A: ((6, 9),)})
    assert state.pending == EMPTY
    assert state.floor == GROUND
    assert state.filling == Filling(floor=MARK.floor)
    assert state.start_over is None
    former = state.roster.get(A)
    assert former is not None
    assert former.standing is Standing.REMOVED
    assert state.roster.counts(B)


def test_rescued_writes_are_not_claimed() -> None:
    """I1: another peer may have been told one of them, and will tell it again."""
    kept = VersionVector.of({}).with_range(A, 8, 8)

    state = begun_again(giving_up(STATE, [Dot(A, 9)]), ReplicaId(77), kept)

    assert state.clock == kept, "nor what a rescued entry had superseded"


def test_roster_tells_how_far_the_writes_went_that_are_given_up() -> None:
    """Sessions may have seen them: they must not wait for ever."""
    state = giving_up(STATE, [Dot(B, 4), Dot(C, 7)])

    told = {m.replica: m.given_up for m in state.roster}
    assert told == {A: 9, B: 0}, "of A it covers more, of B the peer; C is no member"
    ended = begun_again(state, ReplicaId(77)).roster.get(A)
    assert ended is not None
    assert (ended.standing, ended.given_up) == (Standing.REMOVED, 9)


def test_clock_is_raised_to_the_floor() -> None:
    """What it writes from now on is stamped above all that was forgotten."""
    assert begun_again(STATE, ReplicaId(77)).hlc == MARK.floor.hlc
    ahead = replace(STATE, hlc=HlcTimestamp(500))
    assert begun_again(ahead, ReplicaId(77)).hlc == 500


@given(entry=strategies.entries(), covered=strategies.version_vectors())
def test_only_what_the_peer_covers_or_brings_again_is_dropped(
    entry: Entry, covered: VersionVector
) -> None:
    """G2b: nothing is lost silently."""
    state = replace(STATE, start_over=MARK._replace(covered=covered))

    dropped = fate(entry.version, state) is Fate.DROPPED

    assert dropped == covered.covers_all(entry.version.index_dots)
