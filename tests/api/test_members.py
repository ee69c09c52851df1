"""Operators see who belongs to the cluster, and remove exactly whom they mean."""

import grpc
import pytest

from kvnode._pb import admin_pb2 as pb
from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.node.events import PeerDown, PeersConfigured, PeerUp, RemoveMember
from kvnode.core.replication.messages import Report
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.roster import Member
from kvnode.core.versions.store_view import PeerAddress
from kvnode.errors import RejectedError, UnavailableError
from kvnode.types import HlcTimestamp, Millis, ReplicaId
from tests.api.server import Served
from tests.runtime.nodes import NOW, OWN, PEER, THIRD


async def _joins(
    node: Served, replica: ReplicaId, name: str, clock: VersionVector = EMPTY
) -> None:
    """Let a member connect."""
    address = PeerAddress(name, f"{name}:1", replica, "asia")
    member = Member(replica, name, f"{name}:1", "asia")
    await node.api.node.driver.deliver(
        PeerUp(address, clock, (), (member,), protocol=2)
    )
    await node.api.node.settled()


async def _goes_down(node: Served, replica: ReplicaId) -> None:
    await node.api.node.driver.deliver(PeerDown(replica))
    await node.api.node.settled()


async def _status(node: Served) -> pb.StatusReply:
    return await node.admin.Status(pb.StatusRequest())


async def _refusal(node: Served, member: str, **options: bool) -> str:
    """Return why *member* is not removed."""
    request = pb.RemoveMemberRequest(member=member, **options)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await node.admin.RemoveMember(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert node.departures.removed == []
    return caught.value.details() or ""


# -- status ------------------------------------------------------------------------


async def test_status_lists_members_with_what_they_lack(node: Served) -> None:
    """By the roster: one that is down is there, too."""
    await node.api.write(b"k")
    await _joins(node, PEER, "tokyo", VersionVector.of({PEER: 2}))
    await _joins(node, THIRD, "paris")
    await _goes_down(node, THIRD)

    home, paris, tokyo = (await _status(node)).members

    assert home.self
    assert (home.replica, home.standing) == (OWN, pb.STANDING_MEMBER)
    assert (paris.name, paris.connected, paris.heard_ms_ago) == ("paris", False, 0)
    assert (tokyo.region, tokyo.address, tokyo.connected) == ("asia", "tokyo:1", True)
    assert (tokyo.missing_there, tokyo.missing_here) == (1, 2)
    assert not tokyo.HasField("rtt_us")


async def test_status_says_what_holds_up_forgetting(node: Served) -> None:
    """That a member was never met, in words that name it."""
    node.api.node.inbox.put(PeersConfigured((PeerAddress("rome", "r:1"),)), 1, 0)
    await node.api.node.settled()

    status = await _status(node)

    [hindrance] = status.forgetting.hindrances
    assert "configured peer rome at r:1 was never met" in hindrance
    assert status.floor.age_ms == -1


async def test_status_says_how_old_the_floor_is(node: Served) -> None:
    """How long deletions are kept at most is what an alarm would look at."""
    await _joins(node, PEER, "tokyo")
    floor = Floor(EMPTY, HlcTimestamp((NOW - 500) << 16))
    roster = node.api.node.driver.roster().digest()
    await node.api.node.receive(Report(EMPTY, NOW, roster=roster, floor=floor))
    node.api.node.clock.now = Millis(NOW + 30)
    await node.api.write(b"k")  # a turn in which it is adopted

    status = await _status(node)

    assert status.floor.age_ms == 530
    assert not status.forgetting.hindrances


async def test_status_says_who_fills_the_node_and_how_far_it_is(node: Served) -> None:
    """D10: it serves nobody until then, so people will ask."""
    assert not (await _status(node)).HasField("filling")

    await _joins(node, PEER, "tokyo", VersionVector.of({PEER: 2}))

    filling = (await _status(node)).filling
    assert (filling.done, filling.percent, filling.donor) == (0, 0, "tokyo")


async def test_status_tells_protocols_and_rescued_files(node: Served) -> None:
    """What a rolling upgrade, and a node that had to start over, need to know."""
    await _joins(node, PEER, "tokyo")

    status = await _status(node)

    assert status.peers[0].protocol == 2
    assert [(f.name, f.size_bytes) for f in status.rescued] == [("a.jsonl", 7)]


# -- removing ----------------------------------------------------------------------


async def test_member_that_is_down_is_removed_by_its_name(node: Served) -> None:
    """That is the usual case."""
    await _joins(node, PEER, "tokyo")
    await _goes_down(node, PEER)

    reply = await node.admin.RemoveMember(pb.RemoveMemberRequest(member="tokyo"))

    assert [member.replica for member in reply.removed] == [PEER]
    assert node.departures.removed == [PEER]


async def test_unknown_member_is_refused_and_members_are_named(node: Served) -> None:
    """A misspelt name must not look like success."""
    await _joins(node, PEER, "tokyo")

    assert "'tokio' was never a member; the members are home" in await _refusal(
        node, "tokio"
    )


async def test_member_that_is_connected_needs_force(node: Served) -> None:
    """It can leave by itself, and loses nothing by that."""
    await _joins(node, PEER, "tokyo")

    assert "is connected right now" in await _refusal(node, "tokyo")

    request = pb.RemoveMemberRequest(member="tokyo", force=True)
    await node.admin.RemoveMember(request)
    assert node.departures.removed == [PEER]


async def test_node_does_not_remove_itself(node: Served) -> None:
    """By whatever name."""
    await _joins(node, PEER, "tokyo")

    for name in ("home", f"{OWN:016x}"):
        assert "this node itself" in await _refusal(node, name, force=True)


async def test_name_of_several_members_is_refused_with_their_identities(
    node: Served,
) -> None:
    """A wiped node came back under its name: which one is meant?"""
    await _joins(node, PEER, "tokyo")
    await _goes_down(node, PEER)
    await _joins(node, THIRD, "tokyo")

    complaint = await _refusal(node, "tokyo")

    assert f"{PEER:016x} (former)" in complaint
    assert f"{THIRD:016x} (connected)" in complaint


async def test_former_identities_are_removed_and_the_present_one_stays(
    node: Served,
) -> None:
    """That is what --former is for; members show which they are."""
    await _joins(node, PEER, "tokyo")
    await _goes_down(node, PEER)
    await _joins(node, THIRD, "tokyo")
    former = [m.replica for m in (await _status(node)).members if m.former]

    request = pb.RemoveMemberRequest(member="tokyo", former=True)
    await node.admin.RemoveMember(request)

    assert former == [PEER]
    assert node.departures.removed == [PEER]


async def test_member_without_former_identity_is_not_removed_by_mistake(
    node: Served,
) -> None:
    """--former never means the present one."""
    await _joins(node, PEER, "tokyo")
    await _goes_down(node, PEER)

    assert "never had another identity" in await _refusal(node, "tokyo", former=True)


@pytest.mark.parametrize("member", ["tokyo", f"{PEER:016x}"])
async def test_removing_who_is_gone_already_changes_nothing(
    node: Served, member: str
) -> None:
    """A script may run twice."""
    await _joins(node, PEER, "tokyo")
    node.api.node.driver.tell(RemoveMember(PEER))
    await node.api.node.settled()

    reply = await node.admin.RemoveMember(pb.RemoveMemberRequest(member=member))

    assert list(reply.removed) == []
    assert node.departures.removed == []


async def test_link_of_a_removed_member_can_still_be_set(node: Served) -> None:
    """A cut that was made before must be undone."""
    await _joins(node, PEER, "tokyo")
    node.api.node.driver.tell(RemoveMember(PEER))
    await node.api.node.settled()

    await node.admin.SetLink(pb.SetLinkRequest(peer="tokyo", blocked=False))

    assert "tokyo" in node.links.by_name


# -- leaving and lag ---------------------------------------------------------------


async def test_leaving_says_who_has_heard_it(node: Served) -> None:
    """Without a patience it is a minute."""
    reply = await node.admin.Leave(pb.LeaveRequest())

    assert (reply.told, reply.members) == (1, 2)
    assert node.departures.patience == [60.0]


async def test_leaving_in_vain_is_an_answer_and_a_wrong_request_an_error(
    node: Served,
) -> None:
    """Clients repeat what is unavailable, and would wait many times as long."""
    node.departures.failure = UnavailableError("2 writes are here alone")
    reply = await node.admin.Leave(pb.LeaveRequest(patience_ms=500))
    assert reply.refused_because == "2 writes are here alone"

    node.departures.failure = RejectedError("nobody else is there")
    with pytest.raises(grpc.aio.AioRpcError, match="nobody else is there"):
        await node.admin.Leave(pb.LeaveRequest(patience_ms=500))


async def test_lag_names_what_is_missing_of_whom_and_who_has_it(node: Served) -> None:
    """Of members that are away, too, as far as others have it."""
    await _joins(node, PEER, "tokyo")
    await _joins(node, THIRD, "paris")
    clock = VersionVector({PEER: ((1, 2),), THIRD: ((1, 5),)})
    roster = node.api.node.driver.roster().digest()
    await node.api.node.receive(Report(clock, NOW, roster=roster))
    node.api.node.clock.now = Millis(NOW + 1500)

    reply = await node.admin.Lag(pb.LagRequest())

    assert reply.name == "home"
    tokyo, paris = reply.origins
    assert (tokyo.name, tokyo.missing, list(tokyo.holders)) == ("tokyo", 2, ["tokyo"])
    assert (paris.name, paris.missing, list(paris.holders)) == ("paris", 5, ["tokyo"])
    assert not paris.HasField("behind_ms")


async def test_lag_in_time_is_not_known_before_the_origins_clock_is(
    node: Served,
) -> None:
    """S3: what it said of its time is no bound while nobody has probed it."""
    await _joins(node, PEER, "tokyo")
    roster = node.api.node.driver.roster().digest()
    await node.api.node.receive(Report(EMPTY, NOW, roster=roster))
    await node.api.write(b"k")
    node.api.node.clock.now = Millis(NOW + 1500)

    [tokyo] = (await node.admin.Lag(pb.LagRequest())).origins

    assert (tokyo.missing, tokyo.connected) == (0, True)
    assert not tokyo.HasField("behind_ms")
