"""A router on virtual time, among fakes that say who leads."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, cast

from cluster.simulated.running import run as run_simulated
from kvnode.api.objects_admin_port import ObjectsNode
from kvnode.api.objects_port import Call
from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.messages import PeerMessage
from kvnode.errors import (
    KvError,
    NotLeaderError,
)
from kvnode.object_values import Value
from kvnode.objects.object_id import ObjectId
from kvnode.objects.running.object_host import ObjectHost
from kvnode.objects.telling import Tell, told_value
from kvnode.runtime.objects.homes import Homes
from kvnode.runtime.objects.router import (
    Router,
)
from kvnode.runtime.shards.host import ShardHost
from kvnode.types import ReplicaId
from tests.told_later import told_later

SHARD = "s000"
HOME = "r.west.000"
TARGET = ObjectId.from_name("Counter", "x")
NAMES = {ReplicaId(n): name for n, name in enumerate("abc", start=1)}
A, B, C = NAMES
NOBODY = ReplicaId(0)

Answer = Value | KvError | None
"""What a node says: a result, or an error, or None = it does not answer."""


class Objects:
    """The objects of node a, of which some may live here."""

    def __init__(self) -> None:
        self.leads_here = False
        self.calls: list[tuple[object, ...]] = []
        self.answers: deque[Answer] = deque()

    def leads(self, shard: str) -> bool:
        """Tell whether it is led here."""
        return self.leads_here and shard in {SHARD, HOME}

    async def call(
        self,
        shard: str,
        id_: ObjectId,
        method: str,
        arguments: Sequence[Value] = (),
        named: Mapping[str, Value] | None = None,
        *,
        idempotency_key: str = "",
        location_hint: str = "",
    ) -> Value:
        """Do a call."""
        assert location_hint == ""
        self.calls.append((shard, id_, method, arguments, named, idempotency_key))
        return await said(self.answers.popleft() if self.answers else "here")

    def begin(self, shard: str, *called: object) -> bool:
        """Begin a call if it lives here."""
        *call, tell = called
        if self.leads(shard):
            id_, method, arguments, named, key = call
            doing = self.call(shard, id_, method, arguments, named, idempotency_key=key)  # type: ignore[arg-type]
            told_later(doing, cast("Tell", tell))
        return self.leads(shard)


class Shards:
    """The replicas of node a, of which it may have none."""

    def __init__(self) -> None:
        self.own = A
        self.shards: tuple[str, ...] = ()
        self.has = False
        self.heard_of = NOBODY

    def has_replica(self, shard: str) -> bool:
        """Tell whether there is a replica here."""
        return self.has and shard == SHARD

    def leader(self, shard: str) -> ReplicaId:
        """Return who leads, as far as the replica knows."""
        return self.heard_of if self.has_replica(shard) else NOBODY


class Peers:
    """The other nodes; each says what it is told to, and then what it said last."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Call]] = []
        self.answers: dict[str, deque[Answer]] = {"b": deque(), "c": deque()}
        self.unmet: set[str] = set()
        self.cancelled = 0
        self.before_answer: Callable[[], object] = lambda: None

    def send(self, peer: ReplicaId, shard: str, message: PeerMessage) -> None:
        """Lose a message."""

    def flush(self) -> None:
        """Do nothing."""

    def name_of(self, replica: ReplicaId) -> str:
        """Return the name of a node that was met."""
        name = NAMES.get(replica, "")
        return "" if name in self.unmet else name

    def replicas(self) -> Mapping[str, ReplicaId]:
        """Return who was met."""
        return {name: replica for replica, name in NAMES.items()}

    def address_of(self, node: str) -> str:
        """Return where a node that was met listens."""
        return "" if node in self.unmet else f"{node}:1"

    def nodes(self) -> tuple[ObjectsNode, ...]:
        """Return nobody: no call goes by it."""
        return ()

    def distances(self) -> Mapping[str, int]:
        """Return nothing."""
        return {}

    def regions(self) -> frozenset[str]:
        """Return none."""
        return frozenset()

    async def found(self, node: str, shard: str) -> None:
        """Found nothing."""

    async def move(self, node: str, shard: str, nodes: tuple[str, ...]) -> None:
        """Move nothing."""

    async def lead(self, node: str, shard: str, *, leads: int = 0) -> None:
        """Lead nothing."""

    async def call(self, node: str, call: Call) -> Value:
        """Let a node do a call."""
        assert node in self.answers, "nobody calls itself, or whom it does not know"
        self.calls.append((node, call))
        answers = self.answers[node]
        answer = answers.popleft() if len(answers) > 1 else answers[0]
        try:
            result = await said(answer)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.before_answer()
        return result

    @property
    def asked(self) -> list[str]:
        """Return who was asked, in order."""
        return [node for node, _ in self.calls]

    async def close(self) -> None:
        """Do nothing."""


class Authority:
    """What the authority holds, and how often it was asked."""

    def __init__(self) -> None:
        self.leader = NOBODY
        self.failure: KvError | None = None
        self.takes = 0.01
        self.times: list[float] = []

    async def read(self, shard: str) -> Configuration | None:
        """Return what is held."""
        self.times.append(now())
        assert shard == SHARD, "of others nothing is asked"
        await asyncio.sleep(self.takes)
        if self.failure is not None:
            raise self.failure
        if self.leader == NOBODY:
            return None
        others = {replica for replica in NAMES if replica != A}
        return Configuration(1, self.leader, tuple(sorted({*others, self.leader})))

    async def swap(
        self, shard: str, expected: Configuration | None, desired: Configuration
    ) -> Configuration:
        """Never happens."""
        raise AssertionError(shard, expected, desired)

    async def close(self) -> None:
        """Do nothing."""


class Site:
    """
    A router and what is around it.

    Attributes:
        tells: Whether calls are told their results, and do not wait for them.
    """

    def __init__(self, *, tells: bool = False) -> None:
        self.tells = tells
        self.objects = Objects()
        self.shards = Shards()
        self.peers = Peers()
        self.authority = Authority()
        shards = cast("ShardHost", self.shards)
        self.router = Router(
            cast("ObjectHost", self.objects),
            shards,
            self.authority,
            self.peers,
            Homes(1, shards, self.authority, self.peers),
        )

    def hears_of(self, leader: ReplicaId) -> None:
        """Let the replica here hear of a leader."""
        self.shards.has, self.shards.heard_of = True, leader
        self.router.led(SHARD, leader)

    def says(self, node: str, *answers: Answer) -> None:
        """Let a node give answers, and the last one from then on."""
        self.peers.answers[node] = deque(answers)

    def begin(
        self, *, key: str = "", forwarded: bool = False, home: str = ""
    ) -> "asyncio.Task[Value]":
        """Begin a call."""
        call = Call(TARGET, "add", (1,), {"by": 2}, key, forwarded, home=home)
        if self.tells:
            begin = partial(self.router.begin, call)
            return asyncio.create_task(told_value(begin))
        return asyncio.create_task(self.router.call(call))

    async def call(
        self, *, key: str = "", forwarded: bool = False, home: str = ""
    ) -> Value:
        """Call, and return the result."""
        return await self.begin(key=key, forwarded=forwarded, home=home)


def now() -> float:
    """Return virtual seconds."""
    return asyncio.get_running_loop().time()


async def said(answer: Answer) -> Value:
    """Return or raise *answer*, after a while."""
    await asyncio.sleep(0.001)
    if answer is None:
        await asyncio.Event().wait()
    if isinstance(answer, KvError):
        raise answer
    return answer


def on_a_site(main: Callable[[Site], Coroutine[Any, Any, None]]) -> None:
    """
    Run *main* on virtual time; nothing may be left running.

    Twice: with calls that wait for their results, and with such that are told them.
    """

    async def whole(tells: bool, _cluster: object) -> None:  # noqa: FBT001 -- see partial
        before = asyncio.all_tasks()
        site = Site(tells=tells)
        await main(site)
        await site.router.close()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() <= before

    for tells in (False, True):
        run_simulated(partial(whole, tells))


def not_leader(leader: str = "") -> NotLeaderError:
    """Return what a node says that does not lead."""
    return NotLeaderError("I do not lead", leader=leader)
