"""Meshes meet over real connections: a stream each way, and the reason if none."""

import asyncio
import logging
from contextlib import AbstractAsyncContextManager

import pytest

from kvnode._pb import shards_pb2 as pb
from kvnode.core.objects.messages import (
    Append,
    Appended,
    PeerMessage,
    Seal,
    SnapshotWanted,
)
from kvnode.core.objects.quorum_log import ORIGIN, LogEntry
from kvnode.transport.road import Stream
from kvnode.transport.shards import mesh as mesh_module
from kvnode.transport.shards.introduction import MetNode
from kvnode.transport.shards.message_codec import encode_shard_message
from kvnode.types import Millis, ReplicaId
from tests.runtime.nodes import until
from tests.transport.shards.mesh_nodes import (
    MeshSite,
    holds,
    shard_tasks,
)


async def test_nodes_that_dial_each_other_meet_and_speak_either_way(
    site: MeshSite,
) -> None:
    """In order, and each message says for which shard it is and from whom."""
    a, b = await site.both()
    assert a.mesh.nodes == {"b": MetNode(*b.own[1:])}
    assert a.mesh.name_of(b.own.replica) == "b"
    assert a.mesh.name_of(a.own.replica) == "a"
    assert a.mesh.name_of(ReplicaId(9)) == ""

    for number in range(50):
        a.say(b, number)
    b.mesh.send(a.own.replica, "s001", Seal(7))
    await until(lambda: len(b.received) == 50 and len(a.received) == 1)

    assert b.numbers == list(range(50))
    assert b.received[0] == (a.own.replica, "s000", Appended(1, 1, 0))
    assert a.received == [(b.own.replica, "s001", Seal(7))]


async def test_way_goes_from_who_dials_alone(site: MeshSite) -> None:
    """Who was dialed has no way back before it dials itself."""
    a, b = await site.start("a", 1), await site.start("b", 2)
    a.run(b)
    await a.met(b)
    b.say(a, 1)
    a.say(b, 2)
    await until(lambda: b.numbers == [2])
    assert b.mesh.nodes == {}
    assert a.received == []


async def test_node_that_stops_ends_the_streams_of_others_at_once(
    site: MeshSite,
) -> None:
    """They would hold its server until it loses patience; and nobody is met again."""
    a, b = await site.both()
    await b.mesh.close()
    await until(lambda: a.mesh.nodes == {})
    assert b.mesh.nodes.keys() == {"a"}  # it may still speak itself
    await holds(lambda: a.mesh.nodes == {}, 1.0)
    async with asyncio.timeout(1):
        await site.stop(b, grace=30)


async def test_largest_message_passes(site: MeshSite) -> None:
    """An entry of 16 MiB is larger than what gRPC takes by itself."""
    a, b = await site.both()
    message = Append(1, 1, ORIGIN, (LogEntry(1, bytes(16 * 2**20)),), 0, Millis(0))
    a.mesh.send(b.own.replica, "s000", message)
    await until(lambda: bool(b.received))
    assert b.received == [(a.own.replica, "s000", message)]


async def test_same_message_goes_to_several_nodes_and_shards(site: MeshSite) -> None:
    """It is encoded once for several nodes, and not for another shard."""
    a, b = await site.both()
    c = await site.start("c", 3)
    a.run(c)
    await a.met(c)
    message = Seal(3)
    for shard in ("s000", "s001"):
        for peer in (b, c):
            a.mesh.send(peer.own.replica, shard, message)
    await until(lambda: len(b.received) == len(c.received) == 2)
    assert [shard for _, shard, _ in b.received] == ["s000", "s001"]
    assert b.received == c.received


async def test_equal_messages_are_encoded_once(
    site: MeshSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A leader makes one for each follower; of two kinds, equal parts say nothing."""
    a, b = await site.both()
    encoded: list[PeerMessage] = []

    def encode(shard: str, message: PeerMessage) -> pb.ShardMessage:
        encoded.append(message)
        return encode_shard_message(shard, message)

    monkeypatch.setattr(mesh_module, "encode_shard_message", encode)
    said: list[PeerMessage] = [Seal(3), Seal(3), SnapshotWanted(3), Seal(4)]
    for message in said:
        a.mesh.send(b.own.replica, "s000", message)

    await until(lambda: len(b.received) == len(said))
    assert [message for _, _, message in b.received] == said
    assert [type(message) for _, _, message in b.received] == [*map(type, said)]
    assert len(encoded) == len(said) - 1


async def test_message_without_a_way_is_lost(site: MeshSite) -> None:
    """It does not come later either."""
    a, b = await site.start("a", 1), await site.start("b", 2)
    a.say(b, 1)
    a.run(b)
    await a.met(b)
    a.say(b, 2)
    await until(lambda: bool(b.received))
    assert b.numbers == [2]


async def test_node_that_has_restarted_is_met_again(site: MeshSite) -> None:
    """With whatever identity it has by then; there is no way to it meanwhile."""
    a, b = await site.both()
    port = await site.stop(b)
    await until(lambda: not a.mesh.nodes)
    assert a.mesh.name_of(b.own.replica) == ""

    again = await site.start("b", 22, port=port)
    await a.met(again)
    a.say(again, 1)
    a.say(b, 2)
    await until(lambda: again.numbers == [1])
    await holds(lambda: again.numbers == [1])


async def test_node_that_dials_is_dialed_back_at_once(
    site: MeshSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the pause is that was to be made."""
    a, b = await site.start("a", 1), await site.start("b", 2)
    a.run(b)
    await a.met(b)
    monkeypatch.setattr(mesh_module, "REDIAL_SECONDS_MIN", 1000.0)
    monkeypatch.setattr(mesh_module, "REDIAL_SECONDS_MAX", 1000.0)
    drawn = a.drawn
    port = await site.stop(b)
    await until(lambda: a.drawn > drawn)

    again = await site.start("b", 2, port=port)
    await holds(lambda: not a.mesh.nodes)
    again.run(a)
    await a.met(again)


async def test_pauses_grow_and_are_short_again_after_a_way_that_has_lasted(
    site: MeshSite,
) -> None:
    """Else a node that has run for months would be slow to find its peers."""
    a, b = await site.start("a", 1), await site.start("b", 2)
    port = await site.stop(b)
    a.run(b)
    await until(lambda: a.drawn > 5)
    assert a.pauses[:4] == [0.02, 0.04, 0.05, 0.05]
    b = await site.start("b", 2, port=port)
    await a.met(b)
    await asyncio.sleep(mesh_module.REDIAL_SECONDS_MAX)
    drawn = a.drawn

    await site.stop(b)
    await until(lambda: a.drawn > drawn)
    assert a.pauses[drawn] == mesh_module.REDIAL_SECONDS_MIN


async def test_unreachable_address_is_dialed_again_and_again(
    site: MeshSite, caplog: pytest.LogCaptureFixture
) -> None:
    """And is logged once."""
    caplog.set_level(logging.INFO)
    a, b = await site.start("a", 1), await site.start("b", 2)
    await site.stop(b)
    a.run(b)
    await until(lambda: a.drawn >= 5)
    assert caplog.text.count("no objects at") == 1
    assert b.address in caplog.text


async def test_address_that_has_vanished_is_not_dialed_any_more(
    site: MeshSite,
) -> None:
    """A way that there is ends; the node is dialed again when it is known again."""
    a, b = await site.both()
    a.known.clear()
    await until(lambda: not a.mesh.nodes)
    await until(lambda: f"dial shards {b.address}" not in shard_tasks())
    drawn = a.drawn
    await holds(lambda: a.drawn == drawn and not a.mesh.nodes)

    a.known.add(b.address)
    await a.met(b)


async def test_node_of_no_address_is_not_dialed(site: MeshSite) -> None:
    """A member may be known by its name alone."""
    a = await site.start("a", 1)
    a.known.add("")
    a.run()
    await holds(lambda: a.mesh._dialing == {})


async def test_cut_road_loses_messages_both_ways(site: MeshSite) -> None:
    """And carries what is said when it is open again, on the same streams."""
    a, b = await site.both()
    a.conditions["b"].blocked = True
    a.say(b, 1)
    b.say(a, 2)
    await holds(lambda: a.received == b.received == [])

    a.conditions["b"].blocked = False
    a.say(b, 3)
    b.say(a, 4)
    await until(lambda: a.numbers == [4] and b.numbers == [3])


@pytest.mark.parametrize("who", ["a", "b"])
async def test_cut_road_is_not_dialed_over(site: MeshSite, who: str) -> None:
    """Whichever side has cut it."""
    a, b = await site.start("a", 1), await site.start("b", 2)
    a.conditions["b"].blocked = who == "a"
    b.conditions["a"].blocked = who == "b"
    a.run(b)
    await until(lambda: a.drawn >= 3)
    assert a.mesh.nodes == {}

    a.conditions["b"].blocked = b.conditions["a"].blocked = False
    await a.met(b)


async def test_newer_way_is_not_taken_down_with_the_older_one(site: MeshSite) -> None:
    """A node may be known by two addresses, of which one is dropped."""
    a, b = await site.start("a", 1), await site.start("b", 2)
    a.run(b)
    await a.met(b)
    (older,) = a.mesh._ways.values()
    a.known.add(b.address.replace("127.0.0.1", "localhost"))
    await until(lambda: a.mesh._ways[b.own.replica] is not older)
    a.known.discard(b.address)
    await until(lambda: f"dial shards {b.address}" not in shard_tasks())
    a.say(b, 1)
    await until(lambda: b.numbers == [1])


async def test_nothing_is_left_running_after_the_end(site: MeshSite) -> None:
    """Neither what dials nor what answers."""
    before = asyncio.all_tasks()
    a, b = await site.both()
    b.door.clear()
    asking = asyncio.gather(a.ask(b), return_exceptions=True)
    await until(lambda: bool(b.asked))
    await site.stop(a)
    await site.stop(b)
    await asking

    assert a.mesh.nodes == b.mesh.nodes == {}

    def left() -> set[str]:
        tasks = asyncio.all_tasks() - before
        return {task.get_name() for task in tasks if not task.done()}

    await until(lambda: not left())  # those of gRPC itself end a moment later


class BrokenRoad:
    """A road that fails as only a broken program does."""

    def open(self, address: str) -> AbstractAsyncContextManager[Stream[pb.ShardFrame]]:
        """Fail."""
        msg = f"the way to {address} cannot be"
        raise AssertionError(msg)


async def test_failure_of_the_program_while_dialing_ends_the_mesh(
    site: MeshSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that silently dialed one of its peers no more would look healthy."""
    a, b = await site.both()
    c = await site.start("c", 3)
    monkeypatch.setattr(a.approach, "_road", BrokenRoad())
    a.run(c)
    assert a.running is not None
    async with asyncio.timeout(5):
        with pytest.raises(AssertionError, match=f"the way to {c.address} cannot be"):
            await a.running
    await until(lambda: f"dial shards {b.address}" not in shard_tasks())
