"""Operators are told which member holds up forgetting (G1)."""

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.node.events import PeerDown, PeersConfigured, PeerUp
from kvnode.core.node.hindrances import SILENT_AFTER
from kvnode.core.replication.messages import Report
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.roster import Member
from kvnode.core.versions.store_view import PeerAddress
from kvnode.types import HlcTimestamp, Millis
from tests.core.node.bench import NAMES, START, Bench, address
from tests.core.replication.entries import B, C


def _up(bench: Bench, *, protocol: int = 2) -> None:
    member = Member(B, NAMES[B], "", "east")
    bench.turn(PeerUp(address(B), EMPTY, (), (member,), protocol=protocol))


def _reports(bench: Bench, *, roster: int | None = None) -> None:
    digest = bench.store.state().roster.digest() if roster is None else roster
    bench.hear(B, Report(EMPTY, bench.now, roster=digest))


def test_nothing_hinders_when_all_members_have_reported() -> None:
    """The usual case says nothing."""
    bench = Bench()
    _up(bench)
    _reports(bench)

    assert bench.node.hindrances(bench.now) == ()


def test_member_that_is_connected_and_silent_is_named() -> None:
    """It has just come, or hangs."""
    bench = Bench()
    _up(bench)

    [line] = bench.node.hindrances(bench.now)

    assert line == "b-site (000000000000000b) has not reported since this node started"


def test_member_that_went_down_is_named_with_how_long_ago() -> None:
    """What is deleted from then on is kept."""
    bench = Bench()
    _up(bench)
    _reports(bench)
    bench.turn(PeerDown(B))

    [line] = bench.node.hindrances(Millis(bench.now + 3 * 3_600_000))

    assert (
        "b-site (000000000000000b) is not connected: it last reported 3 hours" in line
    )


def test_connected_member_that_says_nothing_any_more_is_named() -> None:
    """A process that hangs keeps its connection for a while."""
    bench = Bench()
    _up(bench)
    _reports(bench)

    just, late = bench.now + SILENT_AFTER - 1, bench.now + SILENT_AFTER

    assert bench.node.hindrances(Millis(just)) == ()
    [line] = bench.node.hindrances(Millis(late))
    assert "last reported 60 s ago" in line


def test_member_from_before_a_restart_that_is_away_is_named() -> None:
    """The roster remembers it; what it has is not known."""
    bench = Bench()
    _up(bench)
    bench.turn(PeerDown(B))

    [line] = bench.node.hindrances(bench.now)

    assert "is not connected, and silent since this node started" in line


def test_former_identity_is_told_from_the_present_one() -> None:
    """That is the one to remove after a node was wiped."""
    bench = Bench()
    _up(bench)
    bench.turn(PeerDown(B))
    fresh = PeerAddress(NAMES[B], "", C, "east")
    bench.turn(PeerUp(fresh, EMPTY, (), (Member(C, NAMES[B], "", "east"),), protocol=2))

    lines = bench.node.hindrances(bench.now)

    former = [line for line in lines if "whose name another one has now" in line]
    assert [line.startswith("b-site (000000000000000b)") for line in former] == [True]


def test_configured_peer_that_was_never_met_is_named() -> None:
    """A misspelt address must not look like a healthy cluster."""
    bench = Bench()
    bench.turn(PeersConfigured((PeerAddress("tokyo", "10.0.0.2:7400"),)))

    [line] = bench.node.hindrances(bench.now)

    assert line.startswith("configured peer tokyo at 10.0.0.2:7400 was never met")


def test_members_with_another_roster_are_named() -> None:
    """Someone has joined of whom one side has not heard."""
    bench = Bench()
    _up(bench)
    _reports(bench, roster=7)

    [line] = bench.node.hindrances(bench.now)

    assert line.startswith("members disagree about the roster: b-site")


def test_member_of_the_version_before_is_to_be_upgraded() -> None:
    """It does not say what it holds."""
    bench = Bench()
    _up(bench, protocol=1)

    [line] = bench.node.hindrances(bench.now)

    assert line.endswith("does not report what it needs: upgrade it")


def test_floor_that_waits_for_writes_is_said() -> None:
    """This node lacks what the others had when it was worked out."""
    bench = Bench()
    _up(bench)
    ahead = VersionVector.of({B: 3})
    roster = bench.store.state().roster.digest()
    floor = Floor(EMPTY, HlcTimestamp(START << 16))
    bench.hear(B, Report(ahead, START, roster=roster, floor=floor))

    [line] = bench.node.hindrances(bench.now)

    assert line == "this node lacks 3 writes that the next floor builds on"
