"""The ObjectsAdmin service over a real connection: what it tells and refuses."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import grpc.aio
import pytest

from kvnode._pb import objects_pb2 as pb
from kvnode._pb import objects_pb2_grpc
from kvnode.api.objects_admin_port import (
    LedShard,
    ObjectsNode,
    ObjectsOverview,
    ReplicaStatus,
    VoterView,
)
from kvnode.api.objects_admin_service import Context, ObjectsAdminServicer
from kvnode.client import Client
from kvnode.client.shards import ShardReplica, Voter
from kvnode.errors import (
    DeadlineError,
    InvalidArgumentError,
    NotLeaderError,
    RejectedError,
)
from kvnode.types import ReplicaId


class FakeAdministration:
    """Answers the same always, and notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.failure: Exception | None = None
        self.hangs = False

    async def overview(self) -> ObjectsOverview:
        """One shard, kept here and at a node that is away."""
        away = ReplicaStatus("", ReplicaId(2), 7, is_silent=True)
        here = ReplicaStatus("tokyo", ReplicaId(1), 0, is_silent=False)
        return ObjectsOverview(
            "tokyo",
            (ObjectsNode("tokyo", "tokyo:7400", "asia", ReplicaId(1)),),
            (LedShard("s000", 4, (here, away), ("paris",), "osaka"),),
            (
                VoterView("paris", "does not answer", None, "no connection"),
                VoterView("tokyo", "votes", ReplicaId(9), ""),
            ),
        )

    async def move(
        self, shard: str, nodes: tuple[str, ...], *, is_forwarded: bool
    ) -> None:
        """Note it."""
        await self._do("move", shard, nodes, is_forwarded)

    async def found(self, shard: str) -> None:
        """Note it."""
        await self._do("found", shard)

    async def lead(self, shard: str, *, giver_leads: int = 0) -> None:
        """Note it."""
        await self._do("lead", shard, giver_leads)

    async def replace_voter(self, node: str, newcomer: str) -> tuple[str, ...]:
        """Note it."""
        await self._do("replace", node, newcomer)
        return (newcomer, "tokyo")

    async def _do(self, *asked: object) -> None:
        self.asked.append(asked)
        if self.hangs:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def fake() -> FakeAdministration:
    """What is behind the service."""
    return FakeAdministration()


@pytest.fixture
async def client(fake: FakeAdministration) -> AsyncIterator[Client]:
    """A client of a server with this service alone."""
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    objects_pb2_grpc.add_ObjectsAdminServicer_to_server(
        ObjectsAdminServicer(fake), server
    )
    await server.start()
    async with Client(f"127.0.0.1:{port}") as client:
        yield client
    await server.stop(None)


async def test_overview_comes_out_as_it_went_in(client: Client) -> None:
    """Identities in hex; who does not answer has none."""
    found = await client.shards()

    assert found.name == "tokyo"
    assert [(n.name, n.address, n.region) for n in found.nodes] == [
        ("tokyo", "tokyo:7400", "asia")
    ]
    (led,) = found.led
    assert (led.shard, led.epoch, led.moving_to) == ("s000", 4, ("paris",))
    assert led.heir == "osaka"
    assert led.replicas == (
        ShardReplica("tokyo", f"{1:016x}", 0, is_silent=False),
        ShardReplica("", f"{2:016x}", 7, is_silent=True),
    )
    assert found.voters == (
        Voter("paris", "does not answer", "", "no connection"),
        Voter("tokyo", "votes", f"{9:016x}", ""),
    )


async def test_changes_are_passed_on(client: Client, fake: FakeAdministration) -> None:
    """Of a client, none of them is forwarded."""
    await client.move_shard("s001", ["a", "b"])
    await client.lead_shard("s002")
    assert await client.replace_voter("lost", "new") == ("new", "tokyo")

    assert fake.asked == [
        ("move", "s001", ("a", "b"), False),
        ("lead", "s002", 0),
        ("replace", "lost", "new"),
    ]


@pytest.mark.parametrize("nodes", [[], ["a", "a"], list("abcdefgh")])
async def test_nodes_that_cannot_keep_a_shard_are_refused(
    client: Client, fake: FakeAdministration, nodes: list[str]
) -> None:
    """Before anything is asked for."""
    with pytest.raises(InvalidArgumentError, match="1 to 7 different nodes"):
        await client.move_shard("s001", nodes)
    assert not fake.asked


async def test_refusal_is_told_as_it_is(
    client: Client, fake: FakeAdministration
) -> None:
    """Asking again would not help."""
    fake.failure = RejectedError("this node does not keep shard s002")
    with pytest.raises(RejectedError, match="does not keep shard s002"):
        await client.lead_shard("s002")
    assert len(fake.asked) == 1


async def test_node_that_does_not_lead_is_asked_again(
    client: Client, fake: FakeAdministration
) -> None:
    """It may lead by then; nothing was done."""
    fake.failure = NotLeaderError("it does not lead", leader="paris")
    with pytest.raises(NotLeaderError) as caught:
        await client.move_shard("s001", ["a"], deadline=0.3)
    assert caught.value.leader == "paris"
    assert len(fake.asked) > 1


async def test_change_that_takes_long_may_have_happened(
    client: Client, fake: FakeAdministration
) -> None:
    """The caller is told so, and it is not begun twice."""
    fake.hangs = True
    with pytest.raises(DeadlineError):
        await client.move_shard("s001", ["a"], deadline=0.3)
    assert len(fake.asked) == 1


async def test_forwarded_moves_say_so(fake: FakeAdministration) -> None:
    """Else two nodes that take each other for the leader would send it to and fro."""
    servicer = ObjectsAdminServicer(fake)
    request = pb.MoveShardRequest(shard="s001", nodes=["a"], forwarded=True)
    await servicer.Move(request, cast("Context", None))  # it is for errors alone
    assert fake.asked == [("move", "s001", ("a",), True)]
