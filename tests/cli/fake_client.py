"""A client without a node: dictionaries, and failures when asked for."""

from bisect import bisect_right
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, cast

from kvnode._pb import kv_pb2
from kvnode.cli.invocation import Setup, Target
from kvnode.client import (
    BatchResults,
    Change,
    Changes,
    Client,
    ClockEntry,
    Conflict,
    ConflictPage,
    Departure,
    Digest,
    FillingStatus,
    FloorStatus,
    ForgettingStatus,
    Item,
    JsonValue,
    Kind,
    Lag,
    MemberStatus,
    NodeStatus,
    ObjectsStatus,
    OriginLag,
    Page,
    PeerStatus,
    Put,
    RepairResult,
    RescueFile,
    Standing,
    Value,
    WriteResult,
)
from kvnode.client.shards import ShardsOverview
from kvnode.errors import InvalidArgumentError, KvError, UnavailableError
from kvnode.types import HlcTimestamp, ReplicaId
from tests.cli.fake_objects import FakeObject, FakeObjects, FakeStorage

REPLICA = ReplicaId(0xFFFF_FFFF_FFFF_FFFF)


@dataclass
class FakeNode:
    """What all clients of a test share."""

    values: dict[bytes, Value] = field(default_factory=dict)
    counters: dict[bytes, int] = field(default_factory=dict)
    sets: dict[bytes, set[bytes]] = field(default_factory=dict)
    namespaces: list[str] = field(default_factory=lambda: ["default"])
    conflicts: list[Conflict] = field(default_factory=list)
    changes: list[Changes] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=lambda: [b"one", b"two"])
    batches: list[list[Put]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    writes: list[dict[str, Any]] = field(default_factory=list)
    failure: KvError | None = None
    failure_after: int = 0  # calls that still succeed
    page_max: int = 1000
    statuses: dict[str, NodeStatus] = field(default_factory=dict)  # by endpoint
    repairs: list[tuple[str, str, float | None]] = field(default_factory=list)
    members: list[MemberStatus] = field(default_factory=list)
    origins: list[OriginLag] = field(default_factory=list)
    told: int = 2
    objects: FakeObjects = field(default_factory=FakeObjects)

    def setup(self) -> Setup:
        """Return what the command line needs to use this node."""
        return Setup(open_client=self.client)

    def client(self, target: Target) -> Client:
        """Return a client for *target*."""
        self.targets.append(target)
        return cast("Client", FakeClient(self, target))

    def called(self) -> None:
        """Fail if it is time to."""
        if self.failure is not None and self.failure_after == 0:
            raise self.failure
        self.failure_after = max(0, self.failure_after - 1)

    def store(self, put: Put) -> WriteResult:
        """Store as a node would, conditions included."""
        assert isinstance(put.key, bytes)
        assert isinstance(put.value, bytes)
        found = self.values.get(put.key)
        current = found.version if found else ""
        if (put.if_absent and found) or put.if_version not in {None, current}:
            return WriteResult(
                applied=False, version="", current_version=current, replicas=1
            )
        self.values[put.key] = a_value(
            put.value, metadata=put.metadata, expires_at=put.expires_at
        )
        return WriteResult(applied=True, version="v1", current_version="v1", replicas=1)


class FakeClient:
    """The methods of `Client` that commands use."""

    def __init__(self, node: FakeNode, target: Target) -> None:
        self._node = node
        self._target = target

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None

    async def get(self, key: bytes, **options: object) -> Value | None:
        """Read a key."""
        self._node.called()
        self._node.writes.append(options)
        return self._node.values.get(key)

    async def put(
        self,
        key: bytes,
        value: bytes,
        *,
        metadata: JsonValue,
        ttl: float | None,
        if_absent: bool,
        if_version: str | None,
        **options: object,
    ) -> WriteResult:
        """Store a value, and note the options."""
        self._node.called()
        self._node.writes.append({"ttl": ttl, **options})
        return self._node.store(
            Put(key, value, metadata, None, None, if_absent, if_version)
        )

    async def delete(
        self, key: bytes, *, if_version: str | None = None, **options: object
    ) -> WriteResult:
        """Remove a key."""
        del options
        self._node.called()
        found = self._node.values.get(key)
        applied = if_version in {None, found.version if found else ""}
        if applied:
            self._node.values.pop(key, None)
        current = found.version if found else ""
        return WriteResult(applied, "v2" if applied else "", current, 1)

    async def list(
        self,
        prefix: bytes = b"",
        *,
        limit: int = 1000,
        cursor: bytes = b"",
        values: bool = False,
        **options: object,
    ) -> Page:
        """Return a page, of `page_max` keys at most."""
        del options
        self._node.called()
        keys = sorted(key for key in self._node.values if key.startswith(prefix))
        start = bisect_right(keys, cursor) if cursor else 0
        end = start + min(limit, self._node.page_max)
        items = tuple(
            _item(key, self._node.values[key], values=values) for key in keys[start:end]
        )
        last = items[-1].key if items else b""
        return Page(items, complete=end >= len(keys), cursor=last)

    async def batch(self, steps: Sequence[Put]) -> BatchResults:
        """Store all, or fail before storing any."""
        self._node.called()
        self._node.batches.append(list(steps))
        return [self._node.store(step) for step in steps]

    async def conflicts(
        self, key: bytes | None = None, *, cursor: bytes = b""
    ) -> ConflictPage:
        """Return the conflicts one by one."""
        self._node.called()
        found = [each for each in self._node.conflicts if key in {None, each.key}]
        position = int(cursor or b"0")
        return ConflictPage(
            tuple(found[position : position + 1]),
            complete=position + 1 >= len(found),
            cursor=str(position + 1).encode(),
            total_ever=len(found),
        )

    async def watch(
        self, prefix: bytes, **options: object
    ) -> AsyncGenerator[Changes, None]:
        """Yield the changes that the test wrote down."""
        self._node.writes.append({"prefix": prefix, **options})
        for step in self._node.changes:
            yield step

    def counter(self, key: bytes) -> "FakeCounter":
        """Return a counter."""
        return FakeCounter(self._node, key)

    def set(self, key: bytes) -> "FakeSet":
        """Return a set."""
        return FakeSet(self._node, key)

    async def status(self) -> NodeStatus:
        """Return a status; an endpoint called `down:1` does not answer."""
        if self._target.endpoints[0] == "down:1":
            msg = "nobody listens"
            raise UnavailableError(msg)
        self._node.called()
        return self._node.statuses.get(
            self._target.endpoints[0], a_status(*self._node.members)
        )

    async def repair(self, peer: str, *, deadline: float | None = None) -> RepairResult:
        """Note who is to be repaired with whom."""
        self._node.called()
        self._node.repairs.append((self._target.endpoints[0], peer, deadline))
        return RepairResult(peer, 3, 2, 2, 1, 2, 0, 0, 1, 9, 1536, 0.25)

    async def digest(self, namespace: str | None = None) -> Digest:
        """Return a digest that depends on what is stored and who is asked."""
        self._node.called()
        self._node.writes.append({"namespace": namespace})
        number = 1 if self._target.endpoints[0].startswith("odd") else 0
        return Digest(bytes([number]) * 32, 3, 2, (ClockEntry(REPLICA, 5, 5),))

    async def remove_member(
        self, member: str, *, former: bool, force: bool
    ) -> tuple[MemberStatus, ...]:
        """Note who is to go; `gone` is gone already."""
        self._node.called()
        self._node.writes.append({"member": member, "former": former, "force": force})
        return () if member == "gone" else (a_member(member, Standing.REMOVED),)

    async def leave(self, *, patience: float) -> Departure:
        """Note for how long; as many hear it as the test says."""
        self._node.called()
        self._node.writes.append({"patience": patience})
        return Departure(self._node.told, 2)

    async def lag(self) -> Lag:
        """Return how far the node is behind."""
        if self._target.endpoints[0] == "down:1":
            msg = "nobody listens"
            raise UnavailableError(msg)
        self._node.called()
        return Lag("tokyo", tuple(self._node.origins))

    def document(self, key: bytes) -> "FakeDocument":
        """Return a document."""
        return FakeDocument(self._node, key)

    def object(
        self,
        class_name: str,
        name: str = "",
        *,
        id: str = "",  # noqa: A002 -- as in Client
        location_hint: str = "",
    ) -> FakeObject:
        """Return an object."""
        self._node.objects.hints.append(location_hint)
        return FakeObject(self._node.objects, (class_name, name, id))

    def storage(self, name: str, *, location_hint: str = "") -> FakeStorage:
        """Return a map."""
        self._node.objects.hints.append(location_hint)
        return FakeStorage(self._node.objects, name)

    async def shards(self) -> ShardsOverview:
        """Return what there is; an endpoint called `down:1` does not answer."""
        endpoint = self._target.endpoints[0]
        if endpoint == "down:1":
            msg = "nobody listens"
            raise UnavailableError(msg)
        return self._node.objects.overview(endpoint)

    async def move_shard(
        self, shard: str, nodes: Sequence[str], *, deadline: float
    ) -> None:
        """Note it."""
        self._node.objects.changes.append(("move", shard, tuple(nodes), deadline))
        self._node.objects.called()

    async def lead_shard(self, shard: str, *, deadline: float) -> None:
        """Note it, and who was asked."""
        asked = self._target.endpoints[0]
        self._node.objects.changes.append(("lead", asked, shard, deadline))

    async def replace_voter(
        self, node: str, newcomer: str, *, deadline: float
    ) -> tuple[str, ...]:
        """Note it."""
        self._node.objects.changes.append(("replace", node, newcomer, deadline))
        return ("a", "b", newcomer)

    async def objects_status(self) -> ObjectsStatus:
        """Return what there is; an endpoint called `down:1` does not answer."""
        if self._target.endpoints[0] == "down:1":
            msg = "nobody listens"
            raise UnavailableError(msg)
        return self._node.objects.status()

    async def namespaces(self) -> tuple[str, ...]:
        """Return the names."""
        return tuple(self._node.namespaces)

    async def create_namespace(self, name: str) -> bool:
        """Add a name."""
        self._node.called()
        new = name not in self._node.namespaces
        self._node.namespaces += [name] if new else []
        return new

    async def delete_namespace(self, name: str) -> bool:
        """Remove a name."""
        there = name in self._node.namespaces
        if there:
            self._node.namespaces.remove(name)
        return there

    async def backup(self) -> AsyncGenerator[bytes, None]:
        """Yield the chunks, failing after `failure_after` of them."""
        for chunk in self._node.chunks:
            self._node.called()
            yield chunk


class FakeCounter:
    """A counter of the node."""

    def __init__(self, node: FakeNode, key: bytes) -> None:
        self._node = node
        self._key = key

    async def value(self) -> int:
        """Return the sum."""
        return self._node.counters.get(self._key, 0)

    async def increment(self, delta: int, **options: object) -> int:
        """Add."""
        del options
        self._node.called()
        self._node.counters[self._key] = await self.value() + delta
        return await self.value()


class FakeDocument:
    """A document of the node, which refuses an update that says so."""

    def __init__(self, node: FakeNode, key: bytes) -> None:
        self._node = node
        self._key = key

    async def send(self, request: kv_pb2.DocumentRequest) -> None:
        """Note the update."""
        if request.update == b"bad":
            msg = "this is no update"
            raise InvalidArgumentError(msg)
        self._node.writes.append({"key": self._key, "update": request.update})


class FakeSet:
    """A set of the node."""

    def __init__(self, node: FakeNode, key: bytes) -> None:
        self._members = node.sets.setdefault(key, set())

    async def members(self) -> set[bytes]:
        """Return all members."""
        return self._members

    async def add(self, *members: bytes, **options: object) -> int:
        """Add members."""
        del options
        self._members.update(members)
        return len(self._members)

    async def remove(self, *members: bytes, **options: object) -> int:
        """Remove members."""
        del options
        self._members.difference_update(members)
        return len(self._members)


def a_value(
    value: bytes = b"on",
    *,
    metadata: JsonValue = None,
    expires_at: float | None = None,
    kind: Kind = Kind.REGISTER,
) -> Value:
    """Return what a read finds."""
    hlc = HlcTimestamp(7)
    return Value(value, metadata, "v1", expires_at, hlc, stale=False, kind=kind)


def a_conflict(key: bytes, kind: Kind = Kind.REGISTER) -> Conflict:
    """Return a write of *key* that lost."""
    hlc = HlcTimestamp(7)
    return Conflict("default", key, kind, b"lost", None, "v0", hlc, REPLICA, "v1", 9.0)


def a_change(key: bytes, value: Value | None) -> Changes:
    """Return a step of a watch with one change."""
    return Changes((Change(key, value),), b"token-" + key)


def a_member(
    name: str,
    standing: Standing = Standing.MEMBER,
    *,
    replica: ReplicaId = REPLICA,
    connected: bool = False,
    former: bool = False,
    is_self: bool = False,
    health: str = "",
) -> MemberStatus:
    """Return a member as a node sees it."""
    return MemberStatus(
        name=name,
        replica=replica,
        address="b:2",
        region="eu",
        standing=standing,
        incarnation=0,
        is_self=is_self,
        connected=connected,
        heard_seconds_ago=None,
        missing_there=3,
        missing_here=0,
        former=former,
        health=health,
    )


def an_origin(
    name: str, behind: float | None, standing: Standing = Standing.MEMBER
) -> OriginLag:
    """Return how far a node is behind another one."""
    return OriginLag(
        name,
        REPLICA,
        "eu",
        standing,
        connected=True,
        missing=3,
        behind_seconds=behind,
        holders=("paris",),
    )


def a_status(*members: MemberStatus) -> NodeStatus:
    """Return the status of a node with one peer that is down."""
    peer = PeerStatus(
        name="paris",
        address="b:2",
        replica=REPLICA,
        region="eu",
        connected=False,
        missing_there=3,
        missing_here=0,
        outbox_bytes=0,
        delay_ms=80,
        blocked=False,
        heard_seconds_ago=None,
    )
    return NodeStatus(
        name="tokyo",
        region="ap",
        replica=REPLICA,
        version="0.1.0",
        cluster="kvnode",
        uptime_seconds=200.0,
        entry_count=3,
        disk_bytes=2048,
        disk_free_bytes=1 << 40,
        resident_bytes=1 << 20,
        durability="fsync",
        accepting_writes=False,
        refusing_because="the clock is off [by 2 s]",
        clock=(ClockEntry(REPLICA, 5, 5),),
        peers=(peer,),
        conflicts_ever=1,
        uncovered_batches=0,
        namespaces=("default",),
        data_directory="/data",
        hlc=HlcTimestamp(7),
        members=members,
        floor=FloorStatus(HlcTimestamp(7), 7200.0),
        forgetting=ForgettingStatus(
            settled=True, dropped=5, hindrances=("paris [eu] is not connected",)
        ),
        filling=FillingStatus(3, 12, 25, "rome"),
        rescued=(RescueFile("a.jsonl", 2048, 9.0),),
    )


def _item(key: bytes, value: Value, *, values: bool) -> Item:
    return Item(
        key,
        value.value if values else None,
        value.metadata,
        value.version,
        value.expires_at,
        value.kind,
    )
