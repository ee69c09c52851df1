"""Seeds that nobody was met at hold up forgetting, until anything was forgotten."""

import pytest

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.node.commands import Delete, Put
from kvnode.core.node.events import PeerDown, PeersConfigured, PeerUp, SeedReached, Tick
from kvnode.core.replication.messages import Digest, Report
from kvnode.core.versions.floor import GROUND, Floor
from kvnode.core.versions.roster import Roster, Standing
from kvnode.core.versions.store_view import DurableState, PeerAddress
from kvnode.types import HlcTimestamp, Millis, ReplicaId
from tests.core.node.bench import NAMES, START, Bench, address, member, sent
from tests.core.replication.entries import A, B, C, at

SEED = "10.0.0.9:7400"
OWN_ADDRESS = "10.0.0.1:7400"
INTERVAL = 5000


class Seeded(Bench):
    """Node A, which was told of a seed; B is connected."""

    def __init__(self, *seeds: str, state: DurableState | None = None) -> None:
        super().__init__(state=state)
        own = self.settings.own._replace(address=OWN_ADDRESS)
        self.settings = self.settings._replace(own=own, seeds=seeds)
        self.restart()
        self.turn(PeersConfigured(()))
        self.meet(B)

    def forgets(self) -> bool:
        """Write, delete, let B report that; tell whether it is forgotten then."""
        self.write(Put(at(b"k"), b"value"))
        self.write(Delete(at(b"k")))
        for _ in range(4):  # two rounds for where the writes of the gone end
            self.now = Millis(self.now + INTERVAL)
            self.report(B, self.clock)
            self.tick()
        return self.state.floor != GROUND


def test_nothing_is_forgotten_before_a_seed_was_met() -> None:
    """The members of an old cluster may be there."""
    assert Seeded().forgets()
    assert not Seeded(SEED).forgets()


def test_own_address_is_no_seed() -> None:
    """One list for all nodes is the usual way."""
    assert Seeded(OWN_ADDRESS).forgets()


def test_seed_that_was_reached_holds_nothing_up() -> None:
    """It may be known to others by another address, or be this node itself."""
    for there in (A, B):
        bench = Seeded(SEED)
        bench.turn(SeedReached(SEED, there))
        assert bench.forgets()


def test_seed_whose_meeting_found_no_room_was_not_met() -> None:
    """Who is there is no member then, and nobody would wait for its word."""
    up = PeerUp(address(C)._replace(address=SEED), EMPTY, (), (), GROUND, 2)
    bench = Seeded(SEED)
    bench.failed_turn(up, SeedReached(SEED, C), Tick())
    assert not bench.forgets()

    bench.turn(up)
    assert SEED not in " ".join(bench.node.hindrances(bench.now))


@pytest.mark.parametrize("standing", [Standing.MEMBER, Standing.REMOVED])
def test_seed_whose_node_is_known_holds_nothing_up(standing: Standing) -> None:
    """If it is a member its word is waited for, and if it is gone it is not (G3)."""
    there = member(C, standing)._replace(address=SEED)
    bench = Seeded(SEED, state=DurableState(A, roster=Roster((member(A), there))))
    assert bench.forgets() == (standing is Standing.REMOVED)
    lines = bench.node.hindrances(bench.now)
    assert [line.split()[0] for line in lines] == (
        [NAMES[C]] if standing is Standing.MEMBER else []
    )


@pytest.mark.parametrize("replica", [0, C])
def test_seed_of_which_one_only_hears_was_not_met(replica: ReplicaId) -> None:
    """Somebody was told of a name there; or has met it, and it is no member here."""
    bench = Seeded(SEED)
    known = (PeerAddress("c-site", SEED, replica),)
    bench.turn(PeerDown(B))
    bench.turn(PeerUp(address(B), EMPTY, known, protocol=2))
    assert not bench.forgets()


def test_seeds_hold_nothing_up_where_something_was_forgotten() -> None:
    """All members had agreed to it; an address in the settings may be long gone."""
    floor = Floor(EMPTY, HlcTimestamp(START << 16))
    state = DurableState(A, roster=Roster((member(A),)), floor=floor, hlc=floor.hlc)
    bench = Seeded(SEED, state=state)
    bench.forgets()
    assert bench.state.floor != floor


def told(bench: Bench) -> Digest:
    """Return the digest that the node tells B with the next round."""
    [(_, digest)] = sent(bench.tick(1000), Digest)
    assert isinstance(digest, Digest)
    return digest


def test_who_waits_for_a_seed_tells_members() -> None:
    """They would forget upon its word, be that a digest or a report."""
    bench = Seeded(SEED)
    digest = told(bench)
    [(_, report)] = sent(bench.hear(B, Digest(0, 0, bench.now)), Report)
    assert isinstance(report, Report)
    assert (digest.unmet, report.unmet) == (True, True)

    bench.turn(SeedReached(SEED, B))
    assert not told(bench).unmet


def test_who_waits_for_a_seed_compares_as_all_do() -> None:
    """
    Peers report to whoever tells another digest than theirs, and to nobody else (D8).

    Without it this node would not hear of what it lacks, nor of other members.
    """
    waiting, other = Seeded(SEED), Seeded()
    other.write(Put(at(b"k"), b"value"))
    [(_, report)] = sent(other.hear(B, told(waiting)), Report)
    assert isinstance(report, Report)
    assert report.clock == other.clock


def test_who_waits_for_a_seed_does_not_vouch_for_floors() -> None:
    """There may be some of a cluster that it has not met, and sessions of that."""
    bench = Seeded(SEED)
    for _ in range(2):
        bench.report(B, bench.clock)
        told(bench)
    assert not bench.node.reported_until

    bench.turn(SeedReached(SEED, B))
    told(bench)
    assert bench.node.reported_until


@pytest.mark.parametrize("in_digest", [False, True])
@pytest.mark.parametrize("unmet", [False, True])
def test_nothing_is_forgotten_upon_the_word_of_one_that_waits(
    *, unmet: bool, in_digest: bool
) -> None:
    """It says so with each report, and with each digest."""
    bench = Seeded()
    bench.write(Delete(at(b"k")))
    for _ in range(2):
        view = told(bench).view
        bench.now = Millis(bench.now + INTERVAL)
        roster = bench.state.roster.digest()
        report = Report(bench.clock, bench.now, roster=roster, unmet=unmet)
        digest = Digest(view, 0, bench.now, unmet)
        bench.hear(B, digest if in_digest else report)
        bench.tick()
    assert (bench.state.floor == GROUND) == unmet
    if unmet:
        [line] = bench.node.hindrances(bench.now)
        assert line.endswith("has met nobody at some of its seeds: see its status")


def test_operator_is_told_which_seed_it_is() -> None:
    """And what to do."""
    bench = Seeded(SEED)
    bench.report(B, VersionVector())
    [line] = bench.node.hindrances(bench.now)
    assert line.startswith(f"nobody was met at the seed {SEED}")
    assert line.endswith("take it out of the settings")
