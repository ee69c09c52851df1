"""
The contract of the driver: durable before told, all or nothing, and no hanging.

Each test says what may leave the node, and after what.
"""

import asyncio

import pytest

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.dissemination.messages import Announce
from kvnode.core.membership.clock_offset import Undecided
from kvnode.core.membership.messages import Ack, Health, Ping
from kvnode.core.node.commands import (
    AddToCounter,
    Applied,
    ConditionFailed,
    Delete,
    Put,
    Replicas,
)
from kvnode.core.node.events import PeerDown, PeerUp, Received, Reply
from kvnode.core.replication.messages import (
    DeltaRequest,
    FetchRequest,
    Push,
    PushAcknowledgement,
    Report,
)
from kvnode.core.versions.session import Session
from kvnode.core.versions.store_view import Commit, PeerAddress
from kvnode.core.versions.version import Entry
from kvnode.errors import (
    DamagedRecordError,
    IndeterminateError,
    OverloadedError,
    StoreFullError,
    UnavailableError,
)
from kvnode.limits import INLINE_VALUE_BYTES_MAX
from kvnode.runtime import driver as runtime_driver
from kvnode.storage.memory_store import MemorySnapshot
from kvnode.types import Dot, EntryKey, Millis, ReplicaId
from tests.runtime.nodes import (
    NOW,
    OWN,
    PEER,
    PEER_ADDRESS,
    at,
    foreign,
    push_of,
    running_node,
    until,
)

# -- durable before told (W2) ----------------------------------------------------


async def test_nothing_leaves_the_node_before_it_is_durable() -> None:
    """Neither the reply nor the push goes while the commit is under way."""
    async with running_node() as node:
        await node.peer_up()
        node.log.clear()
        node.store.hold()
        reply = node.queue(Put(at(b"k"), b"v"))
        reply.add_done_callback(lambda _: node.log.append("reply"))
        await node.store.applying.wait()
        await node.settled()
        assert node.log == []
        assert node.driver.clock().newest(OWN) == 0

        node.store.gate.set()
        await reply
        await node.settled()

        assert node.log == ["durable 1", "send Push", "reply"]
        assert node.driver.clock().newest(OWN) == 1


async def test_push_of_a_peer_is_acknowledged_only_when_durable() -> None:
    """An acknowledgement counts as a replica for somebody's w."""
    async with running_node() as node:
        await node.peer_up()
        node.store.hold()

        await node.receive(push_of(b"k", foreign(1)))
        assert node.transport.messages(PushAcknowledgement) == []
        node.store.gate.set()
        await node.settled()

        assert node.transport.messages(PushAcknowledgement) == [
            PushAcknowledgement(PEER, 1, 1)
        ]


async def test_writes_of_one_turn_share_one_transaction_and_see_each_other() -> None:
    """The second reads the first, which is not on disk yet."""
    async with running_node() as node:
        first = node.queue(Put(at(b"k"), b"v"))
        second = node.queue(Put(at(b"k"), b"w", if_absent=True))
        third = node.queue(AddToCounter(at(b"n"), 2), AddToCounter(at(b"n"), 3))
        replies = [await reply for reply in (first, second, third)]

        assert node.log == ["durable 2"]
        outcomes = [r.outcomes for r in replies if isinstance(r, Reply)]
        assert isinstance(outcomes[0][0], Applied)
        assert isinstance(outcomes[1][0], ConditionFailed)
        assert len(outcomes[2]) == 2
        with node.driver.snapshot() as view:
            entry = view.entry(at(b"k"))
        assert entry is not None
        assert entry.value == b"v"


async def test_turn_staged_upon_one_under_way_sees_it_and_waits_for_it() -> None:
    """The pipeline keeps order: no later reply overtakes an earlier one."""
    async with running_node() as node:
        node.store.hold()
        first = node.queue(Put(at(b"k"), b"v"))
        await node.store.applying.wait()
        second = node.queue(Put(at(b"k"), b"w", if_absent=True))
        await node.settled()
        assert not first.done()
        assert not second.done()

        node.store.gate.set()
        reply = await second

        assert first.done()
        assert isinstance(reply, Reply)
        assert isinstance(reply.outcomes[0], ConditionFailed)


async def test_turn_that_changes_nothing_costs_no_transaction() -> None:
    """A refused condition is answered without the disk."""
    async with running_node() as node:
        reply = await node.queue(Put(at(b"k"), b"v", if_dot=Dot(OWN, 9)))

        assert isinstance(reply, Reply)
        assert node.log == []


# -- a full disk (W3) ------------------------------------------------------------


async def test_full_disk_fails_all_writes_of_the_turn_and_sends_nothing() -> None:
    """Nothing of the turn has happened, and the node goes on."""
    async with running_node() as node:
        await node.peer_up()
        node.log.clear()
        node.store.fail_next(StoreFullError("no room"))

        replies = [node.queue(Put(at(name), b"v")) for name in (b"a", b"b")]
        outcomes = [await reply for reply in replies]

        assert all(isinstance(outcome, StoreFullError) for outcome in outcomes)
        assert node.log == []
        with node.driver.snapshot() as view:
            assert view.entry(at(b"a")) is None
        assert isinstance(await node.put(b"a"), Reply)
        pushed = node.transport.messages(Push)
        assert [(push.first, push.last) for push in pushed] == [(1, 1)]


async def test_full_disk_fails_the_turn_staged_upon_the_failed_one() -> None:
    """It has seen what did not happen."""
    async with running_node() as node:
        node.store.hold()
        node.store.fail_next(StoreFullError("no room"))
        first = node.queue(Put(at(b"k"), b"v"))
        await node.store.applying.wait()
        second = node.queue(Put(at(b"k"), b"w", if_dot=Dot(OWN, 1)))
        await node.settled()

        node.store.gate.set()

        assert isinstance(await first, StoreFullError)
        assert isinstance(await second, StoreFullError)
        reply = await node.put(b"k")
        assert isinstance(reply.outcomes[0], Applied)
        assert reply.outcomes[0].entry.version.dot == Dot(OWN, 1)


async def test_full_disk_does_not_hold_back_earlier_replies() -> None:
    """S4: a write that is durable is answered although a later turn fails."""
    async with running_node() as node:
        await node.peer_up()
        waiting = node.queue(
            Put(at(b"k"), b"v"), replicas=Replicas(2, patience=Millis(10_000))
        )
        await node.settled()
        assert not waiting.done()
        node.store.fail_next(StoreFullError("no room"))
        failed = node.queue(Put(at(b"l"), b"v"))
        await node.receive(PushAcknowledgement(OWN, 1, 1))

        reply = await waiting

        assert isinstance(await failed, StoreFullError)
        assert isinstance(reply, Reply)
        assert reply.acknowledged == 2


async def test_node_without_room_takes_deletes_and_says_so() -> None:
    """The reserve is for what makes room, and for what peers send."""
    async with running_node() as node:
        await node.put(b"k")
        node.store.capacity_bytes = node.store.usage().used_bytes + 1000
        node.store.reserve_bytes = 2000

        with pytest.raises(StoreFullError, match="2000 are kept for"):
            node.queue(Put(at(b"l"), b"v"))
        with pytest.raises(StoreFullError):
            node.queue(Delete(at(b"k")), Put(at(b"l"), b"v"))
        assert "no room" in node.driver.refusal()
        assert isinstance(await node.queue(Delete(at(b"k"))), Reply)
        await node.peer_up()
        await node.receive(push_of(b"m", foreign(1)))
        assert node.driver.clock().newest(PEER) == 1

        node.store.reserve_bytes = 0
        assert node.driver.refusal() == ""
        await node.put(b"l")


# -- being filled (D10) ----------------------------------------------------------


async def test_node_serves_nobody_from_the_turn_on_that_begins_its_bootstrap() -> None:
    """While that is on its way to disk, a snapshot may show what comes of it."""
    async with running_node() as node:
        node.driver.check_serving()
        node.store.hold()
        await node.peer_up(VersionVector.of({PEER: 1}), protocol=2)
        await node.store.applying.wait()
        assert node.driver.committed_state.filling is None

        assert node.driver.is_being_filled()
        with pytest.raises(UnavailableError, match="is being filled"):
            node.driver.check_serving()

        node.store.gate.set()
        await node.settled()
        with pytest.raises(UnavailableError, match="is being filled"):
            node.driver.check_serving()


# -- a failed disk ---------------------------------------------------------------


async def test_disk_failure_stops_the_node_and_answers_nobody() -> None:
    """Nobody can know whether it happened: not yes, not no."""
    async with running_node() as node:
        await node.peer_up()
        node.log.clear()
        node.store.fail_next(OSError("disk is gone"))
        reply = node.queue(Put(at(b"k"), b"v"))

        outcome = await asyncio.wait_for(reply, 1)

        assert isinstance(outcome, IndeterminateError)
        assert node.log == []
        with pytest.raises(OSError, match="disk is gone"):
            await node.running
        with pytest.raises(UnavailableError, match="disk is gone"):
            node.queue(Put(at(b"k"), b"v"))
        assert "disk is gone" in node.driver.refusal()


async def test_disk_failure_abandons_writes_that_wait_for_replicas() -> None:
    """They are durable, but who asked for w copies was not told of w."""
    async with running_node() as node:
        await node.peer_up()
        waiting = node.queue(
            Put(at(b"k"), b"v"), replicas=Replicas(2, patience=Millis(10_000))
        )
        await node.settled()
        node.store.fail_next(OSError("disk is gone"))
        node.queue(Put(at(b"l"), b"v"))

        assert isinstance(await asyncio.wait_for(waiting, 1), IndeterminateError)


async def test_disk_failure_leaves_no_delivery_hanging() -> None:
    """A connection whose peer is held back must end with the node."""
    async with running_node(bytes_max=10) as node:
        await node.peer_up()
        node.store.hold()
        node.store.fail_next(OSError("disk is gone"))
        node.queue(Put(at(b"k"), b"v"))
        await node.store.applying.wait()
        await node.driver.deliver(Received(PEER, push_of(b"m", foreign(1))))
        await node.settled()
        await node.driver.deliver(Received(PEER, push_of(b"m", foreign(2))))
        message = Received(PEER, push_of(b"m", foreign(3)))
        delivery = asyncio.create_task(node.driver.deliver(message))
        await node.settled()
        assert not delivery.done()

        node.store.gate.set()

        await asyncio.wait_for(delivery, 1)


# -- bounds ----------------------------------------------------------------------


async def test_full_inbox_refuses_clients_and_holds_peers_back() -> None:
    """Clients may try again; a peer's next message is not read."""
    async with running_node(operations_max=4, bytes_max=5000) as node:
        await node.peer_up()
        node.store.hold()
        first = node.queue(Put(at(b"k"), b"v"))
        await node.store.applying.wait()
        staged = node.queue(Put(at(b"k"), b"v"))
        await node.settled()
        queued = [node.queue(Put(at(b"k"), b"v")) for _ in range(4)]
        with pytest.raises(OverloadedError, match="4 operations"):
            node.queue(Put(at(b"k"), b"v"))

        big = foreign(1, b"x" * 5000)
        await node.driver.deliver(Received(PEER, push_of(b"m", big)))
        held = asyncio.create_task(
            node.driver.deliver(Received(PEER, push_of(b"m", foreign(2))))
        )
        await node.settled()
        assert not held.done()

        node.store.gate.set()
        await asyncio.wait_for(held, 1)
        for reply in (first, staged, *queued):
            assert isinstance(await reply, Reply)


async def test_connections_are_reported_in_order_although_the_inbox_is_full() -> None:
    """A PeerDown that waits would end the connection that came after it."""
    async with running_node(bytes_max=10) as node:
        await node.peer_up()
        node.store.hold()
        node.queue(Put(at(b"k"), b"v"))
        await node.store.applying.wait()
        node.queue(Put(at(b"l"), b"v"))
        await node.settled()
        await node.driver.deliver(Received(PEER, push_of(b"m", foreign(1))))
        down = asyncio.create_task(node.driver.deliver(PeerDown(PEER)))
        up = asyncio.create_task(
            node.driver.deliver(PeerUp(PEER_ADDRESS, VersionVector(), ()))
        )
        await node.settled()
        assert down.done()
        assert up.done()

        node.store.gate.set()
        await node.settled()

        assert PEER in node.driver.peers()


# -- what others ask -------------------------------------------------------------


async def test_waiting_for_coverage_ends_when_it_comes() -> None:
    """S2: as soon as the commit that covers the session is durable."""
    async with running_node() as node:
        await node.peer_up()
        session = Session((Dot(PEER, 1),))
        waiting = asyncio.create_task(node.driver.wait_covered(session, 60))
        other = asyncio.create_task(
            node.driver.wait_covered(Session((Dot(PEER, 2),)), 60)
        )
        await node.settled()

        await node.receive(push_of(b"k", foreign(1)))

        assert await asyncio.wait_for(waiting, 1)
        assert not other.done()
        other.cancel()
        await asyncio.gather(other, return_exceptions=True)


async def test_waiting_for_coverage_ends_with_patience() -> None:
    """The answer says whether it came; nothing is left behind."""
    async with running_node() as node:
        assert not await node.driver.wait_covered(Session((Dot(PEER, 1),)), 0)
        assert await node.driver.wait_covered(Session(), 0)
        await node.put(b"k")
        assert await node.driver.wait_covered(Session((Dot(OWN, 1),)), 0)


async def test_listeners_hear_each_commit_once_it_is_durable() -> None:
    """And no longer once they have asked for that."""
    async with running_node() as node:
        heard: list[Commit] = []
        stop = node.driver.listen(heard.append)
        await node.put(b"k")
        assert [w.key for commit in heard for w in commit.writes] == [at(b"k")]
        assert heard[0].state.clock == node.driver.clock()

        stop()
        await node.put(b"l")

        assert len(heard) == 1


async def test_peers_are_dialed_and_known_durably() -> None:
    """Those that the operator named, and those heard of."""
    async with running_node() as node:
        named = PeerAddress("paris", "127.0.0.1:1")
        node.driver.configure((named,))
        await node.peer_up()

        assert node.transport.dialed == [named]
        assert [p.name for p in node.driver.known_peers()] == ["paris", "tokyo"]
        assert node.store.state().peers == node.driver.known_peers()


async def test_peer_that_is_ahead_is_asked_for_a_delta() -> None:
    """D1: everything that this node does not cover."""
    async with running_node() as node:
        await node.peer_up(VersionVector.of({PEER: 3}))

        assert len(node.transport.messages(DeltaRequest)) == 1


async def test_peer_that_breaks_the_protocol_is_disconnected() -> None:
    """With the reason; the node itself is not impressed."""
    async with running_node() as node:
        await node.peer_up()
        await node.receive(Push(PEER, 3, 2, ()))

        assert node.transport.disconnected == [(PEER, "a push of seqs 3..2 is empty")]
        await node.put(b"k")


async def test_age_of_the_last_message_is_known() -> None:
    """For operators; -1 stands for never."""
    async with running_node() as node:
        assert node.driver.heard_ms_ago(PEER) == -1
        await node.peer_up()
        await node.receive(Report(VersionVector(), NOW))
        node.clock.now = Millis(NOW + 70)
        assert node.driver.heard_ms_ago(PEER) == 70
        assert node.driver.behind(PEER) == 570  # its clock may be 500 ms off


async def test_probe_is_answered_while_a_commit_is_held_up() -> None:
    """A slow disk makes nobody look dead; all else waits for it (W2)."""
    async with running_node() as node:
        await node.driver.deliver(PeerUp(PEER_ADDRESS, VersionVector(), (), protocol=2))
        await node.settled()
        node.store.hold()
        reply = node.queue(Put(at(b"k"), b"v"))
        await node.store.applying.wait()

        await node.receive(Ping(7, OWN))

        assert [ack.number for ack in node.transport.messages(Ack)] == [7]
        assert not node.transport.messages(Push)
        assert not reply.done()
        node.store.gate.set()
        await reply


async def test_members_are_shown_with_what_is_known_of_them() -> None:
    """For operators; the node itself is one of them."""
    async with running_node() as node:
        await node.driver.deliver(PeerUp(PEER_ADDRESS, VersionVector(), (), protocol=2))
        await node.settled()
        node.clock.now = Millis(NOW + 70)

        own, peer = node.driver.members()

        assert (own.replica, own.name, own.connected) == (OWN, "home", True)
        assert (peer.replica, peer.name, peer.region) == (PEER, "tokyo", "asia")
        assert (peer.health, peer.heard_ms_ago) == (Health.ALIVE, 70)
        assert node.driver.member_changes() == ()
        assert node.driver.clock_verdict() == Undecided(1)
        assert len(node.driver.quarantine()) == 0
        assert node.driver.refusal() == ""


# -- stopping --------------------------------------------------------------------


async def test_stop_finishes_what_is_queued() -> None:
    """What was accepted is answered; nothing is accepted any more."""
    async with running_node() as node:
        node.store.hold()
        replies = [node.queue(Put(at(b"%d" % n), b"v")) for n in range(3)]
        await node.store.applying.wait()
        replies += [node.queue(Put(at(b"%d" % n), b"v")) for n in range(3, 6)]

        node.driver.stop()
        node.store.gate.set()
        await asyncio.wait_for(node.running, 1)

        assert all(isinstance(reply.result(), Reply) for reply in replies)
        with pytest.raises(UnavailableError, match="stopping"):
            node.queue(Put(at(b"k"), b"v"))


async def test_stop_tells_writes_that_wait_for_replicas_that_nobody_knows() -> None:
    """They are durable here and may never reach a peer."""
    async with running_node() as node:
        await node.peer_up()
        waiting = node.queue(
            Put(at(b"k"), b"v"), replicas=Replicas(2, patience=Millis(10_000))
        )
        await node.settled()

        node.driver.stop()
        await asyncio.wait_for(node.running, 1)

        assert isinstance(waiting.result(), IndeterminateError)


async def test_large_value_of_a_client_is_only_announced_to_peers() -> None:
    """D6: whoever lacks it pulls it."""
    async with running_node() as node:
        await node.peer_up()
        await node.put(b"k", b"x" * (INLINE_VALUE_BYTES_MAX + 1))
        await node.settled()

        (push,) = node.transport.messages(Push)
        assert push.entries[0].value_bytes == INLINE_VALUE_BYTES_MAX + 1
        assert push.size_bytes < 1000


# -- damaged records -------------------------------------------------------------


async def test_damaged_record_is_pulled_once_for_many_readers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each of them meets it, and tells; the log names it."""
    async with running_node() as node:
        await node.put(b"k")
        await node.peer_up(VersionVector.of({OWN: 1}))

        def damaged(_: MemorySnapshot, key: EntryKey) -> Entry | None:
            message = "the record fails its checksum"
            raise DamagedRecordError(message, key)

        monkeypatch.setattr(MemorySnapshot, "entry", damaged)
        for _ in range(3):
            node.driver.damaged(at(b"k"))
        assert len(node.inbox) == 1
        await node.settled()
        node.driver.damaged(at(b"k"))
        await node.settled()

        [request] = node.transport.messages(FetchRequest)
        assert request.key == at(b"k")
        assert caplog.text.count("b'k' in namespace default is damaged") == 1


async def test_damaged_keys_that_wait_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A scan of a ruined store must not fill the inbox."""
    monkeypatch.setattr(runtime_driver, "DAMAGED_WAITING_MAX", 2)
    async with running_node() as node:
        for name in (b"a", b"b", b"c"):
            node.driver.damaged(at(name))

        assert len(node.inbox) == 2


# -- when a turn is due ------------------------------------------------------------


async def test_node_is_woken_when_it_asks_to_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its announcements are due in 20 ms: here no tick comes before a minute."""
    monkeypatch.setattr(runtime_driver, "TICK_MILLIS", 60_000)
    async with running_node() as node:
        for number in range(1, 10):
            address = PeerAddress(f"n{number}", "", ReplicaId(number), "europe")
            await node.driver.deliver(PeerUp(address, EMPTY, (), protocol=2))
        await node.put(b"k")
        assert not node.transport.messages(Announce)

        node.clock.now = Millis(NOW + 20)

        await until(lambda: bool(node.transport.messages(Announce)))
