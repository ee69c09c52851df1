"""Calls that one node sends on to another, over a real connection to its service."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import grpc.aio
import pytest

from kvnode._pb import objects_pb2 as pb
from kvnode.api.object_calls import FORWARDED_BYTES_MAX
from kvnode.api.objects_port import Call
from kvnode.api.objects_service import (
    Context,
    ObjectsServicer,
    add_objects,
    add_servicer,
)
from kvnode.core.objects.messages import Seal
from kvnode.errors import (
    CorruptRecordError,
    IndeterminateError,
    InvalidArgumentError,
    KvError,
    NotLeaderError,
    ObjectEndedError,
    ObjectRaisedError,
    Outcome,
    OverloadedError,
    PeerProtocolError,
    RejectedError,
    StoreFullError,
    UnavailableError,
)
from kvnode.object_limits import CALL_BYTES_MAX
from kvnode.objects.object_id import ObjectId
from kvnode.runtime.objects import remote
from kvnode.runtime.objects.remote import RemotePeers
from kvnode.transport.link import Conditions
from kvnode.transport.shards.introduction import Introduction, MetNode
from kvnode.transport.shards.mesh import ShardMesh
from kvnode.types import ReplicaId
from tests.api.objects_server import (
    FakeObjects,
    ServedObjects,
    listening,
    served_objects,
)
from tests.runtime.nodes import until

TARGET = ObjectId.from_name("Cart", "c")
CALL = Call(TARGET, "add", ["apple", 2], {"at": 1.5}, "key")
OWN, OTHER = ReplicaId(1), ReplicaId(2)


class Mesh:
    """What remote peers ask of a mesh."""

    def __init__(self) -> None:
        self.own = Introduction("test", "here", OWN, "here:1", "")
        self.nodes: dict[str, MetNode] = {}
        self.sent: list[tuple[object, ...]] = []
        self.road = Conditions()

    def conditions(self, name: str) -> Conditions:
        """Return how the road to a node is."""
        return self.road if name == "there" else Conditions()

    def send(self, *message: object) -> None:
        """Keep a message."""
        self.sent.append(message)

    def name_of(self, replica: ReplicaId) -> str:
        """Return the name of a node."""
        return {OWN: "here", OTHER: "there"}.get(replica, "")

    async def ask(self, *question: object) -> object:
        """Return what was asked."""
        return question

    def meet(self, address: str) -> None:
        """Have met a node that is reached at *address*."""
        self.nodes["there"] = MetNode("there", OTHER, address, "")


class Site:
    """A node that sends calls on, and one that does them."""

    def __init__(self, served: ServedObjects) -> None:
        self.mesh = Mesh()
        self.mesh.meet(served.address)
        self.served = served
        self.there = served.objects
        self.peers = RemotePeers(cast("ShardMesh", self.mesh))


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """Two nodes that have met."""
    async with served_objects() as served:
        made = Site(served)
        yield made
        await made.peers.close()


async def test_call_comes_as_it_was_and_says_that_it_was_sent_on(site: Site) -> None:
    """So the other node does it, or says who does, and never sends it on itself."""
    result = await site.peers.call("there", CALL)
    assert result == [["apple", 2], {"at": 1.5}]
    (done,) = site.there.calls
    assert done._replace(patience_ms=0) == CALL._replace(is_forwarded=True)


async def test_node_that_does_a_call_knows_how_long_somebody_waits(site: Site) -> None:
    """So a call that hangs is not kept for longer than its caller stays."""
    await site.peers.call("there", CALL._replace(patience_ms=4000))
    (done,) = site.there.calls
    assert 2000 < done.patience_ms <= 4000


async def test_cut_road_carries_no_calls(site: Site) -> None:
    """What was cut before has not happened, and what was cut meanwhile may have."""
    site.mesh.road.blocked = True
    with pytest.raises(UnavailableError):
        await site.peers.call("there", CALL)
    assert not site.there.calls

    site.mesh.road.blocked = False
    site.there.hold["add"] = asyncio.Event()
    calling = asyncio.create_task(site.peers.call("there", CALL))
    await site.there.began.wait()
    site.mesh.road.blocked = True
    site.there.hold["add"].set()
    with pytest.raises(IndeterminateError, match="was cut"):
        await calling


async def test_calls_of_one_node_share_a_connection(site: Site) -> None:
    """However many there are."""
    await asyncio.gather(*(site.peers.call("there", CALL) for _ in range(20)))
    assert site.served.servicer.stream_count == 1
    assert len(site.there.calls) == 20


async def test_node_that_has_moved_is_called_where_it_is(site: Site) -> None:
    """By the address that it has told last."""
    await site.peers.call("there", CALL)
    async with served_objects() as elsewhere:
        site.mesh.meet(elsewhere.address)
        await site.peers.call("there", CALL)
        assert len(elsewhere.objects.calls) == len(site.there.calls) == 1
        await site.peers.close()


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (InvalidArgumentError("so it is"), InvalidArgumentError),
        (UnavailableError("so it is"), UnavailableError),
        (ObjectEndedError("so it is"), ObjectEndedError),
        (OverloadedError("so it is"), OverloadedError),
        (StoreFullError("so it is"), StoreFullError),
        (IndeterminateError("so it is"), IndeterminateError),
        (CorruptRecordError("so it is"), IndeterminateError),
    ],
    ids=repr,
)
async def test_error_says_the_same_at_both_nodes(
    site: Site, raised: KvError, kind: type[KvError]
) -> None:
    """Above all whether it may have happened; and the call is not tried again."""
    site.there.failures.append(raised)
    with pytest.raises(kind, match="so it is") as caught:
        await site.peers.call("there", CALL)
    assert type(caught.value) is kind
    assert caught.value.outcome is raised.outcome
    assert len(site.there.calls) == 1


async def test_error_keeps_what_it_says_beside_its_text(site: Site) -> None:
    """Who leads, and what the method has raised."""
    site.there.failures.append(NotLeaderError("I do not", leader="elsewhere"))
    with pytest.raises(NotLeaderError) as not_leader:
        await site.peers.call("there", CALL)
    assert not_leader.value.leader == "elsewhere"

    site.there.failures.append(ObjectRaisedError("no", type_name="ValueError"))
    with pytest.raises(ObjectRaisedError) as raised:
        await site.peers.call("there", CALL)
    assert raised.value.type_name == "ValueError"


async def test_failure_of_the_other_node_may_have_happened(site: Site) -> None:
    """Its program is broken: nobody knows how far it came."""
    site.there.failures.append(RuntimeError("a bug"))
    with pytest.raises(IndeterminateError):
        await site.peers.call("there", CALL)
    assert len(site.there.calls) == 1


async def test_call_between_nodes_may_be_larger_than_that_of_a_client(
    site: Site,
) -> None:
    """What a client said in JSON is longer here; there is a bound all the same."""
    large = bytes(CALL_BYTES_MAX * 4)
    await site.peers.call("there", CALL._replace(arguments=[large]))
    assert site.there.calls[0].arguments == [large]

    for argument in (bytes(FORWARDED_BYTES_MAX), "x" * FORWARDED_BYTES_MAX):
        with pytest.raises(InvalidArgumentError) as caught:
            await site.peers.call("there", CALL._replace(arguments=[argument]))
        assert caught.value.outcome is Outcome.FAILED
    assert len(site.there.calls) == 1


async def test_node_that_was_not_met_is_not_called(site: Site) -> None:
    """Nothing was done."""
    with pytest.raises(UnavailableError, match="no connection to elsewhere"):
        await site.peers.call("elsewhere", CALL)


async def test_node_that_cannot_be_reached_has_done_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up soon: there may be another leader by then."""
    monkeypatch.setattr(remote, "CONNECT_SECONDS_MAX", 0.1)
    async with served_objects() as gone:
        site.mesh.meet(gone.address)
    with pytest.raises(UnavailableError):
        async with asyncio.timeout(5):
            await site.peers.call("there", CALL)


async def test_call_whose_connection_is_lost_may_have_happened(site: Site) -> None:
    """It is not sent a second time, and the next one is done."""
    site.there.hold["add"] = asyncio.Event()
    calling = asyncio.create_task(site.peers.call("there", CALL))
    await site.there.began.wait()
    site.served.servicer.cut_after = 0
    other = asyncio.create_task(site.peers.call("there", CALL))
    for each in (calling, other):
        with pytest.raises(IndeterminateError):
            async with asyncio.timeout(5):
                await each
    assert len(site.there.calls) == 1
    site.there.hold.clear()
    await site.peers.call("there", CALL)
    assert len(site.there.calls) == 2


async def test_node_that_serves_no_objects_refuses_in_words() -> None:
    """It was started without them, and is asked all the same."""
    async with listening(lambda server: add_objects(server, None)) as address:
        mesh = Mesh()
        mesh.meet(address)
        peers = RemotePeers(cast("ShardMesh", mesh))
        with pytest.raises(RejectedError, match="serves no objects"):
            await peers.call("there", CALL)
        await peers.close()


class OddServicer(ObjectsServicer):
    """Answers in a form that was not asked for."""

    async def Calls(  # type: ignore[override]  # as in ObjectsServicer  # noqa: D102, N802
        self, request_iterator: AsyncIterator[pb.UnreadCallFrame], context: Context
    ) -> None:
        value = pb.CallReply(result=pb.ObjectValue(json="1"))
        async for frame in request_iterator:
            results = [
                pb.ObjectCallResult(id=call.id, reply=value) for call in frame.calls
            ]
            answer = pb.CallFrameReply(results=results)
            await context.write(answer.SerializeToString())


async def test_answer_that_is_no_value_breaks_the_protocol() -> None:
    """It may have happened, whatever it was."""

    def register(server: grpc.aio.Server) -> None:
        servicer = OddServicer(FakeObjects())
        add_servicer(server, servicer)

    async with listening(register) as address:
        mesh = Mesh()
        mesh.meet(address)
        peers = RemotePeers(cast("ShardMesh", mesh))
        with pytest.raises(PeerProtocolError, match="no value") as caught:
            await peers.call("there", CALL)
        assert caught.value.outcome is Outcome.INDETERMINATE
        await peers.close()


async def test_closing_fails_what_is_under_way_and_refuses_what_comes(
    site: Site,
) -> None:
    """And leaves nothing running."""
    site.there.hold["add"] = asyncio.Event()
    calling = asyncio.create_task(site.peers.call("there", CALL))
    await site.there.began.wait()
    await site.peers.close()
    with pytest.raises(IndeterminateError):
        await calling
    with pytest.raises(UnavailableError, match="has stopped"):
        await site.peers.call("there", CALL)

    def running() -> set[str]:
        names = {task.get_name() for task in asyncio.all_tasks()}
        return {name for name in names if name.startswith("kvnode client")}

    await until(lambda: not running())


async def test_messages_and_questions_go_by_the_mesh(site: Site) -> None:
    """As they are; and it knows the names, but for this node's own identity."""
    site.peers.send(OTHER, "s000", Seal(1))
    assert site.mesh.sent == [(OTHER, "s000", Seal(1))]
    asked: object = await site.peers.ask("there", cast("object", "who"), 0.5)  # type: ignore[arg-type]  # the mesh here knows no voters
    assert asked == ("there", "who", 0.5)
    assert site.peers.name_of(OTHER) == "there"
    assert site.peers.replicas() == {"here": OWN, "there": OTHER}
