"""The objects of a node: shards, instances, and the way of calls to them."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final

from kvnode.api.objects_port import Call, ShardStatus
from kvnode.core.objects.homes import SHARDS
from kvnode.core.objects.messages import PeerMessage
from kvnode.core.objects.settings import SETTINGS_DEFAULT, ShardSettings
from kvnode.core.objects.spreading import Step
from kvnode.core.objects.voters.messages import VoterAnswer, VoterRequest
from kvnode.errors import RejectedError, UnavailableError
from kvnode.object_values import Value
from kvnode.objects.durable_object import DurableObject
from kvnode.objects.object_id import ObjectId
from kvnode.objects.points.shard_history import HISTORY_DEFAULT, HistoryLimits
from kvnode.objects.running.environment import NodeEnvironment
from kvnode.objects.running.instance import Instance
from kvnode.objects.running.object_host import ObjectHost
from kvnode.objects.telling import Leave, Tell
from kvnode.runtime.clock import Clock, steady_millis
from kvnode.runtime.looking import looked_for
from kvnode.runtime.objects.administration import Administration
from kvnode.runtime.objects.founding import Founding
from kvnode.runtime.objects.handing_over import HandingOver
from kvnode.runtime.objects.homes import Homes
from kvnode.runtime.objects.ports import ObjectParts
from kvnode.runtime.objects.router import Router
from kvnode.runtime.objects.spreading import Spreading
from kvnode.runtime.shards.host import ShardHost
from kvnode.types import Millis, ReplicaId

logger = logging.getLogger(__name__)

CALLS_SECONDS_MAX: Final = 3.0
"""For calls under way when a node stops; longer ones are told that they may happen."""

LOOK_SECONDS: Final = 0.01

STOPPING: Final = "this node is stopping: ask another"


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
        spreads: bool = True,
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
            spreads: Whether leads go to nodes that lead fewer, while all is well.
            settings: Of the shards.
        """
        self._parts = parts
        self._host = ObjectHost(
            classes,
            env=self._env,
            now=clock,
            chance=rng.random,
            found=self._found_shard,
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
        self._homes = Homes(SHARDS, self._shards, parts.authority, parts.peers)
        self._router = Router(
            self._host, self._shards, parts.authority, parts.peers, self._homes
        )
        self._host.attach(self._shards, self._router.led)
        self._handing = HandingOver(
            self._host,
            self._shards,
            parts.peers,
            self._homes,
            self._router.leader,
        )
        self._spreading = Spreading(self._handing, self._shards, parts.peers)
        self._spreads = spreads
        self._is_stopping = False
        self.administration = Administration(
            parts,
            self._homes,
            self._shards,
            self._router,
            next_step=self._next_step,
        )

    def _env(self, instance: Instance) -> NodeEnvironment:
        return NodeEnvironment(instance, self._call_by_object)

    async def _call_by_object(  # kvnode.objects.running.environment.Caller
        self,
        target: ObjectId,
        method: str,
        arguments: Sequence[Value],
        named: Mapping[str, Value],
        location_hint: str,
    ) -> Value:
        call = Call(target, method, arguments, named, location_hint=location_hint)
        return await self._router.call(call)

    async def _found_shard(self, shard: str) -> None:
        await self._homes.ensure(shard)

    def _next_step(self) -> Step | None:
        return self._spreading.next_step() if self._spreads else None

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
        begun = [asyncio.create_task(self._found(), name="founding of shards")]
        if self._spreads:
            begun.append(asyncio.create_task(self._spreading.run(), name="spreading"))
        try:
            done, _ = await asyncio.wait(
                (*turns, *begun), return_when=asyncio.FIRST_EXCEPTION
            )
            for task in done:
                task.result()
            await asyncio.gather(*turns)
        finally:
            for task in begun:
                task.cancel()
            self._shards.stop()
            if parts.voter is not None:
                parts.voter.stop()
            await asyncio.wait((*turns, *begun))
            self._host.close()
            await self._router.close()
            await self._homes.close()

    async def _found(self) -> None:
        if self._parts.founders:
            homes = self._homes
            await Founding(
                self._parts, homes.placeless, homes.at_home, self._shards
            ).run()

    async def hand_over(self) -> None:
        """
        Get ready to stop: give all leads away, then take no more calls from outside.

        Calls go on meanwhile, and are sent on as leads go.  Returns when none is under
        way, or after some seconds.
        """
        self.administration.is_stopping = True
        await self._spreading.end()
        left = await self._handing.give_all()
        if left and self._parts.founders[1:]:
            logger.warning("nobody has taken the lead of %s", ", ".join(left))
        self._is_stopping = True
        await looked_for(
            lambda: not self._router.under_way,
            seconds_max=CALLS_SECONDS_MAX,
            look_seconds=LOOK_SECONDS,
        )

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

    def begin(self, call: Call, tell: Tell) -> Leave:
        """Begin a call; see the port."""
        if self._is_stopping:
            raise UnavailableError(STOPPING)
        return self._router.begin(call, tell)

    def leader_address(self, target: ObjectId) -> str:
        """Return where the node listens that leads *target*; empty for this one."""
        shard = self._homes.shard_of(target)
        if self._host.leads(shard):
            return ""
        return self._parts.peers.address_of(self._router.leader(shard))

    def leader_of(self, shard: str) -> str:
        """Return the name of the node that leads *shard*, as far as is known."""
        return self._router.leader(shard)

    def status(self) -> tuple[ShardStatus, ...]:
        """Return what is known of the shards, by name."""
        return tuple(map(self._status_of, self._homes.known))

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
