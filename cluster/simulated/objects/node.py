"""
A simulated node that hosts objects: a disk and clocks that last, and incarnations.

What runs is what a node runs, from the voter to the routing of calls
(kvnode.runtime.objects); only the wire between nodes is the simulation's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from cluster.simulated.chance import Chance
from cluster.simulated.loop import VirtualLoop
from cluster.simulated.objects.disk import ObjectDisk
from cluster.simulated.objects.peers import PostedPeers
from cluster.simulated.objects.post import Post
from cluster.simulated.objects.steady_clock import RATE_ERROR_PPM_MAX, SteadyClock
from cluster.simulated.owner import Life, Owner
from cluster.simulated.true_time import true_time
from kvnode.api.objects_port import Call, ShardStatus
from kvnode.authority.embedded_authority import EmbeddedAuthority
from kvnode.authority.voter_host import VoterHost
from kvnode.core.objects.messages import PeerMessage
from kvnode.core.objects.settings import SETTINGS_DEFAULT
from kvnode.core.objects.voters.messages import VoterAnswer, VoterRequest
from kvnode.errors import UnavailableError
from kvnode.object_values import Value
from kvnode.objects.durable_object import DurableObject
from kvnode.objects.telling import told_value
from kvnode.runtime.clock import NodeClock
from kvnode.runtime.objects.objects import Objects
from kvnode.runtime.objects.ports import ObjectParts
from kvnode.types import ReplicaId

WORD_BITS = 64

SHARD_SETTINGS = SETTINGS_DEFAULT
"""Of all shards; a run may choose others (cluster.simulated.objects.knobs)."""


@dataclass(frozen=True, slots=True)
class Common:
    """
    What all nodes of a cluster have in common.

    Attributes:
        voters: The names of those that vote, and found the shards.
        classes: What objects are made of.
        nodes: All of them, by name; filled when they are made.
        regions: Where each is, by name.
    """

    voters: tuple[str, ...]
    classes: Mapping[str, type[DurableObject]]
    nodes: "dict[str, ObjectNode]"
    regions: Mapping[str, str]


class Incarnation:
    """
    One process of a node, from its start to its end.

    Attributes:
        node: Whose it is.
        owner: It, as the loop sees it.
        objects: What it serves.
    """

    def __init__(self, node: "ObjectNode", owner: Owner) -> None:
        """Put the parts together on what *node* has stored; nothing runs yet."""
        voters, disk = node.common.voters, node.disk
        stream = node.chance.stream(f"objects {node.name}")
        peers = PostedPeers(node.name, disk.replica, node.post, node.common.nodes)
        voter: VoterHost | None = None
        if node.name in voters:
            voter = VoterHost(
                node.name, voters, disk.voter, peers, uniform=stream.uniform
            )
        self.node = node
        self.owner = owner
        authority = EmbeddedAuthority(
            voters,
            voter if voter is not None else peers,
            proposer=ReplicaId(stream.identity()),
            uniform=stream.uniform,
        )
        parts = ObjectParts(
            disk.logs,
            disk.states,
            authority,
            peers,
            founders=voters if voter is not None else (),
            voter=voter,
        )
        self.objects = Objects(
            parts,
            node.common.classes,
            clock=node.clock,
            rng=Random(stream.word(WORD_BITS)),  # noqa: S311 -- to be repeatable
            steady=node.steady,
            settings=SHARD_SETTINGS,
        )


class ObjectNode:
    """
    One node, whether it runs or not.

    Attributes:
        name: Its name, and its host's.
        common: What it shares with others.
        chance: What it draws from.
        post: Its way to others.
        disk: What it has stored.
        clock: Its wall clock.
        steady: Its steady clock.
        crashes: How its processes ended by themselves.
        now: What runs of it; None if nothing does.
    """

    def __init__(
        self, name: str, common: Common, loop: VirtualLoop, post: Post, chance: Chance
    ) -> None:
        """Make a node that has never run."""
        self.name = name
        self.common = common
        self.chance = chance
        self.post = post
        self.disk = ObjectDisk(name, chance)
        self.clock = NodeClock(true_time(loop.time), true_time(loop.time))
        bound = RATE_ERROR_PPM_MAX
        rate = chance.stream(f"steady rate {name}").between(-bound, bound + 1, 0)
        self.steady = SteadyClock(loop.time, int(rate))
        self.crashes: list[str] = []
        self.now: Incarnation | None = None
        self._loop = loop
        self._starts = 0

    @property
    def owner(self) -> Owner | None:
        """Return what runs of it, frozen or not; None if nothing does."""
        return self.now.owner if self.now is not None else None

    @property
    def replica(self) -> ReplicaId:
        """Return who it is, as long as it has its disk."""
        return self.disk.replica

    @property
    def region(self) -> str:
        """Return where it is."""
        return self.common.regions[self.name]

    @property
    def is_frozen(self) -> bool:
        """Tell whether its process is stopped in the middle."""
        return self.now is not None and self.now.owner.life is Life.PAUSED

    # -- its life ----------------------------------------------------------------

    def start(self) -> None:
        """Start a process on the disk as it is; nothing if there is one."""
        if self.now is not None:
            return
        self._starts += 1
        owner = self._loop.owner(f"{self.name}#{self._starts}", may_stall=True)
        self.now = owner.context.copy().run(Incarnation, self, owner)
        self._loop.spawn(owner, self._run(self.now), f"{self.name} runs")

    def kill(self) -> None:
        """End the process at once, as SIGKILL or a power cut would."""
        if self.now is not None:
            now, self.now = self.now, None
            self._loop.kill(now.owner)
            self.disk.crash()
            self.post.ended(now.owner)

    def pause(self) -> None:
        """Freeze the process; its clocks go on."""
        if self.now is not None:
            self._loop.pause(self.now.owner)

    def resume(self) -> None:
        """Let a frozen process go on."""
        if self.now is not None:
            self._loop.resume(self.now.owner)

    async def _run(self, now: Incarnation) -> None:
        try:
            await now.objects.run()
        except Exception as error:  # noqa: BLE001 -- the process ends with it, whatever it is
            self.crashes.append(f"{type(error).__name__}: {error}")
            self._loop.call_soon(self.kill, context=self._loop.world.context)

    # -- what it is asked ----------------------------------------------------------

    def status(self) -> tuple[ShardStatus, ...]:
        """Return what its process, frozen or not, knows of its shards."""
        return self.now.objects.status() if self.now is not None else ()

    def receive(self, peer: ReplicaId, shard: str, message: PeerMessage) -> None:
        """Take in a message of a peer."""
        if self.now is not None:
            self.now.objects.receive(peer, shard, message)

    async def answer(self, request: VoterRequest) -> VoterAnswer:
        """Answer as a voter."""
        return await self._running().objects.answer(request)

    async def serve(self, call: Call) -> Value:
        """Do a call, as those are done that come by streams."""
        begin = self._running().objects.begin
        return await told_value(lambda tell: begin(call, tell))

    async def move(self, shard: str, nodes: tuple[str, ...]) -> None:
        """Move a shard that it leads."""
        administration = self._running().objects.administration
        await administration.move(shard, nodes, is_forwarded=True)

    async def found(self, shard: str) -> None:
        """Found a shard of its region."""
        await self._running().objects.administration.found(shard)

    async def lead(self, shard: str, *, leads: int = 0) -> None:
        """Lead a shard; refuse it where whoever gives it has only *leads*."""
        administration = self._running().objects.administration
        await administration.lead(shard, giver_leads=leads)

    def _running(self) -> Incarnation:
        if self.now is None:
            msg = f"{self.name} has ended"
            raise UnavailableError(msg)
        return self.now
