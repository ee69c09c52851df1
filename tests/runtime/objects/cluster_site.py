"""
Objects of three nodes in one process, on virtual time.

Everything is real but the disks and the wire: meshes, codecs, voters, the router.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from random import Random
from types import MappingProxyType
from typing import Any

import pytest

from cluster.simulated.running import run as run_simulated
from kvnode._pb import kv_pb2
from kvnode._pb import objects_pb2 as pb
from kvnode.api.object_calls import call_of, request_of, result_message
from kvnode.api.objects_port import Call
from kvnode.api.status_map import to_message
from kvnode.authority.embedded_authority import EmbeddedAuthority
from kvnode.authority.voter_host import VoterHost
from kvnode.client.error_map import error_of
from kvnode.core.objects.homes import shard_name
from kvnode.core.versions.store_view import PeerAddress
from kvnode.errors import ConnectionLostError, DeadlineError, KvError, UnavailableError
from kvnode.object_values import Value, decode_value
from kvnode.objects import ObjectId
from kvnode.objects.private_map import Storage
from kvnode.objects.telling import told_value
from kvnode.runtime.clock import NodeClock
from kvnode.runtime.objects import objects as objects_module
from kvnode.runtime.objects.objects import Objects
from kvnode.runtime.objects.ports import ObjectParts
from kvnode.runtime.objects.remote import FOUND_SECONDS_MAX, RemotePeers
from kvnode.runtime.objects.serving import ServedObjects
from kvnode.storage.shards.memory_shard_state import MemoryShardStates
from kvnode.storage.voters.memory_voter_store import MemoryVoterStore
from kvnode.transport.link import Conditions
from kvnode.transport.shards.approach import Approach
from kvnode.transport.shards.introduction import Introduction
from kvnode.transport.shards.mesh import ShardMesh
from kvnode.types import Millis, ReplicaId
from tests.objects.running.objects import DOORS, NOW, Bell, Counter
from tests.runtime.objects.memory_road import LATENCY_SECONDS, MemoryRoads
from tests.runtime.shards.site import Store

VOTERS = ("a", "b", "c")
SHARDS = 3
"""One to lead for each node: as many as are needed to see that they are spread."""

REGIONS = MappingProxyType({"a": "west", "b": "west", "c": "east"})
TARGET = "Counter x"

CALL_SECONDS_MAX = 60.0


class Peers(RemotePeers):
    """Other nodes; calls go to them as bytes, but not over gRPC."""

    def __init__(self, site: "ClusterSite", mesh: ShardMesh) -> None:
        super().__init__(mesh, regions=lambda: frozenset(site.regions.values()))
        self._site = site
        self._here = mesh.own.name
        self._nodes = mesh

    async def call(self, node: str, call: Call) -> Value:
        """Let *node* do a call; see kvnode.runtime.objects.remote."""
        if node not in self._nodes.nodes:
            msg = f"there is no connection to {node}"
            raise UnavailableError(msg)
        request = request_of(call).SerializeToString()
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                reply = await self._site.carried(self._here, node, request)
        except TimeoutError as error:
            msg = f"no reply from {node} before the deadline"
            raise DeadlineError(msg) from error
        if isinstance(reply, kv_pb2.Error):
            raise error_of(reply, namespace="")
        return decode_value(reply.cbor)

    async def found(self, node: str, shard: str) -> None:
        """Let *node* found a shard of its region."""
        try:
            async with asyncio.timeout(FOUND_SECONDS_MAX):
                await self._site.asked_to_found(self._here, node, shard)
        except TimeoutError as error:
            msg = f"no reply from {node} before the deadline"
            raise DeadlineError(msg) from error

    async def lead(self, node: str, shard: str, *, leads: int = 0) -> None:
        """Let *node* lead a shard."""
        await self._site.asked_to_lead(self._here, node, shard, leads)


class Node:
    """One node that runs."""

    def __init__(self, site: "ClusterSite", name: str) -> None:
        self.address = f"{name}:1"
        own = site.stores[name].replica
        self.mesh = ShardMesh(
            Approach(
                Introduction(
                    "test", name, own, self.address, site.regions.get(name, "")
                ),
                site.roads,
                conditions=lambda other: site.conditions[name, other],
            ),
            known=lambda: [
                PeerAddress("", f"{each}:1") for each in site.names - {name}
            ],
            uniform=site.random.uniform,
        )
        peers = Peers(site, self.mesh)
        voter: VoterHost | None = None
        if name in VOTERS:
            voter = VoterHost(
                name, VOTERS, site.voters[name], peers, uniform=site.random.uniform
            )
        parts = ObjectParts(
            site.stores[name],
            site.states[name],
            EmbeddedAuthority(
                VOTERS,
                voter or peers,
                proposer=site.identity(),
                uniform=Random(1).uniform,
            ),
            peers,
            founders=VOTERS if voter is not None else (),
            voter=voter,
        )
        loop = asyncio.get_running_loop()

        def steady() -> Millis:
            return Millis(int(loop.time() * 1000))

        self.objects = Objects(
            parts,
            {"Counter": Counter, "Bell": Bell, "Storage": Storage},
            clock=NodeClock(lambda: Millis(NOW + steady()), steady),
            rng=site.random,
            steady=steady,
        )
        self.mesh.attach(self.objects)
        served = ServedObjects(self.objects, self.mesh)
        self.running = asyncio.create_task(served.run(), name=f"node {name}")
        self.calls: set[asyncio.Task[pb.ObjectValue | kv_pb2.Error]] = set()

    async def serve(self, data: bytes) -> pb.ObjectValue | kv_pb2.Error:
        """Do a call that came as bytes."""
        request = pb.CallRequest.FromString(data)
        try:
            result = await told_value(partial(self.objects.begin, call_of(request)))
            return result_message(result, request.result_form)
        except KvError as error:
            return to_message(error)


class ClusterSite:
    """
    Nodes, and what they have on disk.

    Attributes:
        conditions: Of the road from one node to another.
        regions: Where nodes are, by name.
    """

    def __init__(self, regions: Mapping[str, str]) -> None:
        self.random = Random(3)
        self.regions = regions
        self.roads = MemoryRoads()
        self.conditions: defaultdict[tuple[str, str], Conditions]
        self.conditions = defaultdict(Conditions)
        self.names: set[str] = set()
        self.nodes: dict[str, Node] = {}
        self.stores: dict[str, Store] = {}
        self.states: dict[str, MemoryShardStates] = {}
        self.voters: dict[str, MemoryVoterStore] = {}
        self._identities = 0

    def identity(self) -> ReplicaId:
        """Return one that nobody has."""
        self._identities += 1
        return ReplicaId(self._identities)

    def start(self, *names: str) -> None:
        """Start nodes with what is on their disks."""
        for name in names:
            if name not in self.stores:
                self.stores[name] = Store(self.identity())
                self.states[name] = MemoryShardStates()
                self.voters[name] = MemoryVoterStore(self.identity())
            self.names.add(name)
            node = self.nodes[name] = Node(self, name)
            self.roads.listen(node.address, node.mesh.accept)

    async def stop(self, name: str) -> None:
        """Stop a node: nobody can reach it, and calls that it does are lost."""
        node = self.nodes.pop(name)
        await self.roads.hang_up(node.address)
        for task in (*node.calls, node.running):
            task.cancel()
        await asyncio.gather(*node.calls, node.running, return_exceptions=True)
        await node.objects.close()

    async def stop_in_order(self, name: str) -> None:
        """Stop a node as SIGTERM does."""
        node = self.nodes[name]
        await node.objects.hand_over()
        await node.mesh.close()
        await self.stop(name)

    def cut(self, name: str, *, blocked: bool = True) -> None:
        """Cut all roads of a node, both ways, or mend them."""
        for other in self.names - {name}:
            self.conditions[name, other].blocked = blocked
            self.conditions[other, name].blocked = blocked

    async def carried(
        self, sender: str, receiver: str, data: bytes
    ) -> pb.ObjectValue | kv_pb2.Error:
        """Carry a call to a node, and what comes of it back."""
        await self._way(sender, receiver)
        node = self.nodes.get(receiver)
        if node is None:
            msg = f"{receiver} cannot be reached"
            raise UnavailableError(msg)
        doing = asyncio.create_task(node.serve(data))
        node.calls.add(doing)
        doing.add_done_callback(node.calls.discard)
        await asyncio.wait([doing])
        if doing.cancelled():
            msg = f"the connection to {receiver} was lost"
            raise ConnectionLostError(msg)
        await self._way(receiver, sender)
        return doing.result()

    async def asked_to_lead(
        self, sender: str, receiver: str, shard: str, leads: int
    ) -> None:
        """Ask a node to lead a shard, and wait until it does."""
        await self._way(sender, receiver)
        node = self.nodes.get(receiver)
        if node is None:
            msg = f"{receiver} cannot be reached"
            raise UnavailableError(msg)
        await node.objects.administration.lead(shard, giver_leads=leads)
        await self._way(receiver, sender)

    async def asked_to_found(self, sender: str, receiver: str, shard: str) -> None:
        """Ask a node to found a shard, and wait until it has."""
        await self._way(sender, receiver)
        node = self.nodes.get(receiver)
        if node is None:
            msg = f"{receiver} cannot be reached"
            raise UnavailableError(msg)
        await node.objects.administration.found(shard)
        await self._way(receiver, sender)

    async def _way(self, sender: str, receiver: str) -> None:
        await asyncio.sleep(LATENCY_SECONDS)
        if self.conditions[sender, receiver].blocked:
            await asyncio.Event().wait()

    # -- for tests -------------------------------------------------------------------

    async def call(
        self,
        node: str,
        target: str,
        method: str,
        *arguments: Value,
        key: str = "",
        hint: str = "",
    ) -> Any:  # noqa: ANN401 -- whatever the method returns
        """Call `Class name` through a node."""
        id_ = ObjectId.from_name(*target.split())
        call = Call(id_, method, arguments, idempotency_key=key, location_hint=hint)
        return await told_value(partial(self.nodes[node].objects.begin, call))

    def leader(self, shard: str, *, but: str = "") -> str:
        """Return the node that leads a shard, by its own word; may be empty."""
        for name, node in self.nodes.items():
            for each in node.objects.status():
                if each.shard == shard and each.is_led_here and name != but:
                    return name
        return ""

    async def until(self, holds: Callable[[], bool], *, seconds: float) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(seconds):
            while not holds():  # noqa: ASYNC110 -- in virtual time
                await asyncio.sleep(0.005)

    async def settled(self, *, but: str = "", seconds: float = 10.0) -> None:
        """Wait until all shards are led by nodes other than *but*."""
        shards = [f"s{number:03}" for number in range(SHARDS)]
        await self.until(
            lambda: all(self.leader(shard, but=but) for shard in shards),
            seconds=seconds,
        )

    def led_by(self, name: str, count: int = 1) -> list[str]:
        """Return targets that live at a node now, in different shards if there are."""
        found = [
            f"Counter n{number}"
            for number in range(60)
            if self.leader(shard_of(f"Counter n{number}")) == name
        ]
        return found[:count]


def shard_of(target: str) -> str:
    """Return the shard in which `Class name` lives."""
    return f"s{ObjectId.from_name(*target.split()).shard(SHARDS):03}"


def home(region: str, target: str = TARGET) -> str:
    """Return the shard of a region in which a target lives that was placed there."""
    return shard_name(ObjectId.from_name(*target.split()).shard(SHARDS), region)


def on_three_nodes(
    monkeypatch: pytest.MonkeyPatch,
    main: Callable[[ClusterSite], Coroutine[Any, Any, None]],
    regions: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Run *main* once all shards are led; nothing may be left running after it."""
    monkeypatch.setattr(objects_module, "SHARDS", SHARDS)
    DOORS.clear()
    Bell.failures = 0

    async def whole(_cluster: object) -> None:
        before = asyncio.all_tasks()
        for door in "ab":
            DOORS[door] = asyncio.Event()
        site = ClusterSite(regions)
        site.start(*VOTERS)
        await site.settled()
        await main(site)
        for name in list(site.nodes):
            await site.stop(name)
        await asyncio.sleep(0.1)
        left = asyncio.all_tasks() - before
        assert not left, f"{left} are still running"

    run_simulated(whole)
