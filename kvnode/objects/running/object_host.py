"""
The objects of a node: which class, which shard, and whether it is led here.

It listens to the host of shards, which says when a shard opens and closes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from kvnode.core.objects.homes import region_of
from kvnode.errors import InvalidArgumentError, NotLeaderError
from kvnode.object_values import Value
from kvnode.objects.alarming import ALARM_METHODS
from kvnode.objects.durable_object import DurableObject, Environment
from kvnode.objects.locating import LOCATE
from kvnode.objects.object_id import ObjectId
from kvnode.objects.points.point_calls import POINT_METHODS
from kvnode.objects.points.shard_history import HISTORY_DEFAULT, HistoryLimits
from kvnode.objects.running.claims import Found
from kvnode.objects.running.instance import Instance
from kvnode.objects.running.log_port import ShardLog
from kvnode.objects.running.shard_objects import ShardObjects
from kvnode.objects.telling import Tell
from kvnode.types import Millis, ReplicaId

ASKED_BY_NODES: Final = POINT_METHODS | ALARM_METHODS | {LOCATE}
"""Names by which nodes ask each other for what is no method."""


class ObjectHost:
    """Calls objects that live in shards led here."""

    def __init__(  # noqa: PLR0913 -- each is named at the call
        self,
        classes: Mapping[str, type[DurableObject]],
        *,
        env: Callable[[Instance], Environment],
        now: Callable[[], Millis],
        chance: Callable[[], float],
        found: Found,
        history: HistoryLimits = HISTORY_DEFAULT,
    ) -> None:
        """
        Serve *classes* by their names.

        Args:
            classes: What objects are made of.
            env: What is around an object.
            now: Returns ms since 1970.
            chance: Draws a number in [0, 1).
            found: Lets a shard begin in which an object is placed.
            history: How much is kept of what objects were.
        """
        self._classes = dict(classes)
        self._env = env
        self._now = now
        self._chance = chance
        self._found = found
        self._history = history
        self._log: ShardLog | None = None
        self._on_lead: Callable[[str, ReplicaId], None] = lambda _shard, _leader: None
        self._led: dict[str, ShardObjects] = {}
        self._held: set[str] = set()

    def attach(
        self,
        log: ShardLog,
        on_lead: Callable[[str, ReplicaId], None] = lambda _shard, _leader: None,
    ) -> None:
        """Use the shards of *log*, which tells this host of them, and pass on leads."""
        self._log = log
        self._on_lead = on_lead

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes that are served, ascending."""
        return tuple(sorted(self._classes))

    def leads(self, shard: str) -> bool:
        """Tell whether objects of *shard* live here, just now."""
        return shard in self._led

    def instances(self, shard: str) -> int:
        """Return how many objects of a shard are in memory here."""
        return len(self._led.get(shard, ()))

    def is_busy(self, shard: str) -> bool:
        """Tell whether anything of the objects of *shard* is under way here."""
        led = self._led.get(shard)
        return led is not None and led.is_busy

    @contextmanager
    def held(self, shard: str) -> Iterator[None]:
        """Begin no calls of *shard* while entered; once at a time for each."""
        assert shard not in self._held, "a lead is given to one"
        self._held.add(shard)
        try:
            yield
        finally:
            self._held.remove(shard)

    async def call(  # noqa: PLR0913 -- all of a call
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
        """
        Call an object in *shard*; see kvnode.api.objects_port.ObjectsPort.begin.

        Raises:
            InvalidArgumentError: There is no such class or method.
            MovedError: It lives in a region.
            NotLeaderError: It does not live here, just now.
            KvError: See the port.
        """
        if id_.class_name not in self._classes:
            known = ", ".join(self.classes)
            msg = f"no class {id_.class_name!r} is served here; there are {known}"
            raise InvalidArgumentError(msg)
        led = self._led.get(shard)
        if led is None:
            msg = f"this node does not lead shard {shard}"
            raise NotLeaderError(msg)
        if shard in self._held:
            msg = f"the lead of shard {shard} goes to another node just now"
            raise NotLeaderError(msg)
        if method in POINT_METHODS:
            return await led.point(id_, method, tuple(arguments))
        if method == LOCATE:
            return [*await led.locate(id_)]
        hint = "" if region_of(shard) else location_hint
        if method in ALARM_METHODS:
            return await led.alarm(id_, method, tuple(arguments), hint)
        instance = await led.instance(id_, hint)
        return await instance.call(
            method, tuple(arguments), named or {}, idempotency_key
        )

    def begin(  # noqa: PLR0913, PLR0917 -- all of a call, once for each
        self,
        shard: str,
        id_: ObjectId,
        method: str,
        arguments: Sequence[Value],
        named: Mapping[str, Value],
        idempotency_key: str,
        tell: Tell,
    ) -> bool:
        """
        Call an object if it is in memory here, and tell what came of that, later on.

        Returns:
            Whether it was done; if not, `call` does it, or says why not.

        Raises:
            InvalidArgumentError: There is no such method; nothing is told.
            KvError: See the port; nothing is told.
        """
        led = self._led.get(shard)
        if led is None or shard in self._held or method in ASKED_BY_NODES:
            return False
        instance = led.present(id_)
        if instance is None:
            return False
        instance.begin(method, tuple(arguments), named, idempotency_key, tell)
        return True

    def close(self) -> None:
        """End all objects: the host of shards has ended, and tells nothing more."""
        for led in self._led.values():
            led.close()
        self._led.clear()

    # -- what the host of shards tells (kvnode.runtime.shards.ports.ShardListener) ----

    def opened(self, shard: str, epoch: int, number: int) -> None:
        """This node leads *shard*, and its state is all there ever was."""
        del epoch
        assert self._log is not None, "the host of shards is attached"
        self._led[shard] = ShardObjects(
            shard,
            self._log,
            self._classes,
            env=self._env,
            now=self._now,
            chance=self._chance,
            found=self._found,
            history=self._history,
            opened=number,
        )

    def closed(self, shard: str, epoch: int) -> None:
        """This node does not lead *shard* any more."""
        del epoch
        led = self._led.pop(shard, None)
        if led is not None:
            led.close()

    def led(self, shard: str, leader: ReplicaId) -> None:
        """Pass it on: `opened` tells if it is this node."""
        self._on_lead(shard, leader)

    def committed(self, shard: str, number: int) -> None:
        """Do nothing: whoever proposed has been told."""

    def applied(self, shard: str, number: int) -> None:
        """The state of *shard* shows entries up to *number* from now on."""
        led = self._led.get(shard)
        if led is not None:
            led.applied(number)
