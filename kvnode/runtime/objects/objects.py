"""The objects of a node: shards, instances, and the way of calls to them."""

import asyncio
from collections.abc import Callable, Mapping
from random import Random

from kvnode.api.objects_port import Call, ShardStatus
from kvnode.core.objects.messages import PeerMessage
from kvnode.core.objects.settings import SETTINGS_DEFAULT, ShardSettings
from kvnode.core.objects.voters.messages import VoterAnswer, VoterRequest
from kvnode.errors import RejectedError
from kvnode.object_values import Value
from kvnode.objects.durable_object import DurableObject
from kvnode.objects.object_id import ObjectId
from kvnode.objects.points.shard_history import HISTORY_DEFAULT, HistoryLimits
from kvnode.objects.running.environment import NodeEnvironment
from kvnode.objects.running.instance import Instance
from kvnode.objects.running.object_host import SHARDS, ObjectHost
from kvnode.runtime.clock import Clock, steady_millis
from kvnode.runtime.objects.administration import Administration
from kvnode.runtime.objects.founding import Founding
from kvnode.runtime.objects.ports import ObjectParts
from kvnode.runtime.objects.router import Router
from kvnode.runtime.shards.host import ShardHost
from kvnode.types import Millis, ReplicaId


class Objects:
    """
    The objects of one node; an `ObjectsPort`, and a `MeshEvents`.

    Attributes:
        administration: For those who run the node.

    If they end because a disk has failed, so does the node.
    """

    def __init__(  # noqa: PLR0913 -- each is named at the call
        self,
        parts: ObjectParts,
        classes: Mapping[str, type[DurableObject]],
        *,
        clock: Clock,
        rng: Random,
        steady: Callable[[], Millis] = steady_millis,
        history: HistoryLimits = HISTORY_DEFAULT,
        settings: ShardSettings = SETTINGS_DEFAULT,
    ) -> None:
        """
        Put the parts together; nothing runs yet.

        Args:
            parts: What the objects stand on.
            classes: What they are made of, by name.
            clock: The node's.
            rng: Draws patience and jitter.
            steady: Returns ms by a clock that is never set.
            history: How much is kept of what objects were.
            settings: Of the shards.
        """
        self._parts = parts
        self._host = ObjectHost(
            classes,
            shards=SHARDS,
            env=self._env,
            now=clock,
            chance=rng.random,
            history=history,
        )
        self._shards = ShardHost(
            parts.store,
            parts.states,
            parts.authority,
            parts.peers,
            self._host,
            settings=settings,
            uniform=rng.randint,
            steady=steady,
        )
        self._router = Router(self._host, self._shards, parts.authority, parts.peers)
        self._host.attach(self._shards, self._router.led)
        self.administration = Administration(
            parts, lambda: self._host.shards, self._shards, self._router
        )

    def _env(self, instance: Instance) -> NodeEnvironment:
        return NodeEnvironment(
            instance, lambda *passed: self._router.call(Call(*passed))
        )

    # -- running -------------------------------------------------------------------

    async def run(self) -> None:
        """
        Serve until cancelled; what is being written then comes to its end.

        Raises:
            KvError: A record is damaged, or the authority cannot be written.
            OSError: The disk failed.
        """
        parts = self._parts
        turns = [asyncio.create_task(self._shards.run(), name="shard turns")]
        if parts.voter is not None:
            turns.append(asyncio.create_task(parts.voter.run(), name="voter"))
        founding = asyncio.create_task(self._found(), name="founding of shards")
        try:
            done, _ = await asyncio.wait(
                (*turns, founding), return_when=asyncio.FIRST_EXCEPTION
            )
            for task in done:
                task.result()
            await asyncio.gather(*turns)
        finally:
            founding.cancel()
            self._shards.stop()
            if parts.voter is not None:
                parts.voter.stop()
            await asyncio.wait((*turns, founding))
            self._host.close()
            await self._router.close()

    async def _found(self) -> None:
        if self._parts.founders:
            await Founding(self._parts, self._host.shards, self._shards).run()

    async def close(self) -> None:
        """Release the files; `run` has ended."""
        await self._parts.peers.close()
        await self._parts.authority.close()
        self._parts.states.close()
        self._parts.store.close()
        if self._parts.voter is not None:
            self._parts.voter.close()

    # -- what peers say (kvnode.transport.shards.mesh.MeshEvents) --------------------

    def receive(self, sender: ReplicaId, shard: str, message: PeerMessage) -> None:
        """Take in a message of a peer."""
        self._shards.receive(sender, shard, message)

    async def answer(self, request: VoterRequest) -> VoterAnswer:
        """Answer as this node's voter; RejectedError if it has none."""
        if self._parts.voter is None:
            msg = "this node does not vote: is it among objects_voters here, too?"
            raise RejectedError(msg)
        return await self._parts.voter.answer(request)

    # -- what the API asks for (kvnode.api.objects_port.ObjectsPort) -----------------

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes that are served, ascending."""
        return self._host.classes

    async def call(self, call: Call) -> Value:
        """Call a method; see the port."""
        return await self._router.call(call)

    def leader_address(self, target: ObjectId) -> str:
        """Return where the node listens that leads *target*; empty for this one."""
        shard = self._host.shard_of(target)
        if self._host.leads(shard):
            return ""
        return self._parts.peers.address_of(self._router.leader(shard))

    def status(self) -> tuple[ShardStatus, ...]:
        """Return what is known of the shards, by name."""
        return tuple(map(self._status_of, self._host.shards))

    def _status_of(self, shard: str) -> ShardStatus:
        leader = self._router.leader(shard)
        if not self._shards.has_replica(shard):
            return ShardStatus(
                shard,
                epoch=0,
                is_led_here=False,
                committed=0,
                applied=0,
                instances=0,
                leader=leader,
            )
        replica = self._shards.replica(shard)
        return ShardStatus(
            shard,
            replica.promised,
            self._shards.leads(shard),
            replica.committed,
            self._shards.applied(shard).number,
            self._host.instances(shard),
            leader,
            self._shards.fault(shard),
        )
