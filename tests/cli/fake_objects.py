"""Objects without a node: one dictionary a map, and one answer for all methods."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from kvnode.client import (
    Location,
    ObjectsStatus,
    Restored,
    ShardStatus,
    StoredItem,
    StoredValue,
    Transacted,
)
from kvnode.client.shards import (
    LedShard,
    ObjectsNode,
    ShardReplica,
    ShardsOverview,
    Voter,
)
from kvnode.errors import KvError
from kvnode.object_values import Value


@dataclass
class FakeObjects:
    """What all clients of a test share."""

    result: Value = None
    failure: KvError | None = None
    restored: Restored = field(
        default_factory=lambda: Restored("undo", 3, 1, alarm=True, is_more=False)
    )
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    options: list[dict[str, Any]] = field(default_factory=list)
    maps: dict[str, dict[str, StoredValue]] = field(default_factory=dict)
    ranges: list[dict[str, Any]] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    location: Location = field(
        default_factory=lambda: Location("s003", "", "", is_settled=False)
    )
    changes: list[tuple[Any, ...]] = field(default_factory=list)
    alarm: datetime | None = None
    regional: dict[str, str] = field(default_factory=dict)  # shards, and who leads each

    def overview(self, endpoint: str) -> ShardsOverview:
        """Two nodes at `a:1` and `b:1`: each leads a shard, and a third is away."""
        nodes = tuple(
            ObjectsNode(name, f"{name}:1", "", f"{number:016x}")
            for number, name in enumerate("ab", start=1)
        )
        name = endpoint[0]
        replicas = (
            ShardReplica("b", f"{2:016x}", 0, is_silent=False),
            ShardReplica("a", f"{1:016x}", 1200, is_silent=False),
            ShardReplica("", f"{7:016x}", 5, is_silent=True),
        )
        heir = "c" if name == "b" else ""
        led = LedShard(f"s00{'ab'.index(name)}", 1400, replicas, ("b",), heir)
        more = (
            LedShard(shard, 3, replicas, ())
            for shard, leader in self.regional.items()
            if leader == name
        )
        voters = (
            Voter("a", "votes", f"{9:016x}", ""),
            Voter("c", "does not answer", "", "no connection to c"),
        )
        return ShardsOverview(name, nodes, (led, *more), voters)

    def called(self) -> None:
        """Fail if the test says so."""
        if self.failure is not None:
            raise self.failure

    def status(self) -> ObjectsStatus:
        """One shard that is led here, one that is not, and those of regions."""
        return ObjectsStatus(
            ("Counter", "Storage"),
            (
                *(
                    ShardStatus(shard, 3, False, 1, 1, 0, leader, "")  # noqa: FBT003
                    for shard, leader in self.regional.items()
                ),
                ShardStatus("s000", 7, True, 1400, 1399, 2, "tokyo", ""),  # noqa: FBT003
                ShardStatus("s001", 0, False, 0, 0, 0, "", "its file is gone"),  # noqa: FBT003
            ),
        )


class FakeObject:
    """A handle that notes what it is called with."""

    def __init__(self, objects: FakeObjects, target: tuple[str, str, str]) -> None:
        self._objects = objects
        self._target = target

    def options(self, **options: object) -> "FakeObject":
        """Note them."""
        self._objects.options.append(options)
        return self

    async def call(self, method: str, *arguments: Value, **named: Value) -> Value:
        """Note it, and answer."""
        self._objects.calls.append((*self._target, method, arguments, named))
        self._objects.called()
        return self._objects.result

    async def locate(self) -> Location:
        """Return where the test says."""
        self._objects.called()
        return self._objects.location

    async def alarm(self) -> datetime | None:
        """Return when the test says."""
        self._objects.calls.append((*self._target, "alarm"))
        self._objects.called()
        return self._objects.alarm

    async def set_alarm(
        self, when: datetime | timedelta | int | None
    ) -> datetime | None:
        """Note it; what is no datetime is from now on."""
        self._objects.calls.append((*self._target, "set_alarm", when))
        self._objects.called()
        match when:
            case None:
                self._objects.alarm = None
            case datetime():
                self._objects.alarm = when.astimezone(UTC)
            case timedelta():
                self._objects.alarm = datetime.now(UTC) + when
            case _:
                self._objects.alarm = datetime.now(UTC)
        return self._objects.alarm

    async def bookmark(self) -> str:
        """Note it, and answer."""
        return await self.bookmark_at(None)

    async def bookmark_at(self, when: datetime | None) -> str:
        """Note it, and answer."""
        self._objects.calls.append((*self._target, "bookmark", when))
        self._objects.called()
        return "mark"

    async def restore(self, bookmark: str) -> Restored:
        """Note it, and answer."""
        self._objects.calls.append((*self._target, "restore", bookmark))
        self._objects.called()
        return self._objects.restored


class FakeStorage:
    """A map with versions."""

    def __init__(self, objects: FakeObjects, name: str) -> None:
        self._objects = objects
        self._rows = objects.maps.setdefault(name, {})

    def options(self, **options: object) -> "FakeStorage":
        """Note them."""
        self._objects.options.append(options)
        return self

    async def get(self, key: str) -> StoredValue | None:
        """Return what is there."""
        self._objects.called()
        return self._rows.get(key)

    async def list(self, prefix: str, **bounds: object) -> list[StoredItem]:
        """Note the bounds, and return what has the prefix."""
        self._objects.called()
        self._objects.ranges.append(bounds)
        return [
            StoredItem(key, *self._rows[key])
            for key in sorted(self._rows)
            if key.startswith(prefix)
        ]

    async def transaction(self, steps: Sequence[Mapping[str, Value]]) -> Transacted:
        """Do a condition on a version, a put, a delete."""
        self._objects.called()
        newest = max((row.version for row in self._rows.values()), default=0)
        version, seen = newest + 1, dict[str, StoredValue | None]()
        for step in steps:
            match step:
                case {"if": str(key), "version": wanted}:
                    seen[key] = row = self._rows.get(key)
                    if wanted != (row.version if row else 0):
                        return Transacted(False, 0, seen, {})  # noqa: FBT003
                case {"put": str(key), "value": value}:
                    self._rows[key] = StoredValue(value, version)
                case {"delete": str(key)}:
                    self._rows.pop(key, None)
                case _:
                    raise AssertionError(step)
        return Transacted(True, version, seen, {})  # noqa: FBT003
