"""The ObjectsAdmin service: who keeps the objects, and changing that."""

from typing import Any

import grpc.aio

from kvnode._pb import objects_pb2 as pb
from kvnode._pb import objects_pb2_grpc
from kvnode.api.objects_admin_port import LedShard, ObjectsAdminPort, ObjectsOverview
from kvnode.api.status_map import unary
from kvnode.core.objects.configuration import REPLICAS_MAX
from kvnode.errors import InvalidArgumentError

Context = grpc.aio.ServicerContext[Any, Any]


class ObjectsAdminServicer(objects_pb2_grpc.ObjectsAdminServicer):
    """Serves those who run nodes."""

    def __init__(self, objects: ObjectsAdminPort) -> None:
        """Let them ask *objects*."""
        self._objects = objects

    async def Shards(  # noqa: N802 -- the name is the protocol's
        self, request: pb.ShardsRequest, context: Context
    ) -> pb.ShardsReply:
        """Tell who keeps what."""
        del request, context
        return _overview_message(await self._objects.overview())

    @unary
    async def Move(  # noqa: N802 -- the name is the protocol's
        self, request: pb.MoveShardRequest
    ) -> pb.MoveShardReply:
        """Let other nodes keep a shard."""
        nodes = _checked_nodes(tuple(request.nodes))
        await self._objects.move(request.shard, nodes, is_forwarded=request.forwarded)
        return pb.MoveShardReply()

    @unary
    async def Lead(  # noqa: N802 -- the name is the protocol's
        self, request: pb.LeadShardRequest
    ) -> pb.LeadShardReply:
        """Let this node lead a shard."""
        await self._objects.lead(request.shard, giver_leads=request.giver_leads)
        return pb.LeadShardReply()

    @unary
    async def Found(  # noqa: N802 -- the name is the protocol's
        self, request: pb.FoundShardRequest
    ) -> pb.FoundShardReply:
        """Let a shard of this node's region begin."""
        await self._objects.found(request.shard)
        return pb.FoundShardReply()

    @unary
    async def ReplaceVoter(  # noqa: N802 -- the name is the protocol's
        self, request: pb.ReplaceVoterRequest
    ) -> pb.ReplaceVoterReply:
        """Let one vote in place of another."""
        nodes = await self._objects.replace_voter(request.node, request.newcomer)
        return pb.ReplaceVoterReply(nodes=nodes)


def _checked_nodes(nodes: tuple[str, ...]) -> tuple[str, ...]:
    if not 1 <= len(nodes) <= REPLICAS_MAX or len(set(nodes)) < len(nodes):
        msg = f"a shard is kept by 1 to {REPLICAS_MAX} different nodes, not {nodes}"
        raise InvalidArgumentError(msg)
    return nodes


def _overview_message(overview: ObjectsOverview) -> pb.ShardsReply:
    return pb.ShardsReply(
        name=overview.name,
        nodes=[
            pb.ObjectsNode(
                name=each.name,
                address=each.address,
                region=each.region,
                replica=each.replica,
            )
            for each in overview.nodes
        ],
        led=map(_led_message, overview.led),
        voters=[
            pb.Voter(
                node=each.node,
                role=each.role,
                voter=each.voter or 0,
                trouble=each.trouble,
            )
            for each in overview.voters
        ],
    )


def _led_message(led: LedShard) -> pb.LedShard:
    return pb.LedShard(
        shard=led.shard,
        epoch=led.epoch,
        replicas=[
            pb.ShardReplica(
                node=each.node,
                replica=each.replica,
                behind=each.behind,
                silent=each.is_silent,
            )
            for each in led.replicas
        ],
        moving_to=led.moving_to,
        heir=led.heir,
    )
