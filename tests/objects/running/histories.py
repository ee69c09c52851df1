"""
Callers of objects on two nodes, a lead that changes, and what must be true of it all.

    sums        who was told a sum finds it in every later one, and nobody is told the
                same; nothing is added that nobody has asked for
    registers   linearizable (jepsen_like)
    maps        no version is given twice
    keys        a call with an idempotency key happens once, however often it is sent
    calls       what an object has another do is no more durable than its own part
    reminders   an alarm has seen everything it was set for
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from cluster.simulated.chance import Chance
from cluster.simulated.loop import VirtualLoop
from jepsen_like.checkers.linearizable import check
from jepsen_like.history import FOREVER, History, Operation, Outcome
from jepsen_like.verdict import Verdict
from kvnode.errors import KvError, ObjectRaisedError
from kvnode.errors import Outcome as Told
from kvnode.object_values import Value
from kvnode.objects.durable_object import DurableObject
from kvnode.objects.object_id import ObjectId
from kvnode.objects.private_map import Storage
from kvnode.objects.running.environment import NodeEnvironment
from kvnode.objects.running.instance import Instance
from kvnode.objects.running.object_host import ObjectHost
from kvnode.types import Millis
from tests.objects.running.modelled_objects import Register, Reminder, Sum
from tests.objects.running.objects import SHARD, call_at
from tests.objects.running.replicated_log import Node, ReplicatedLog

CALLERS: Final = 5
CALLS_EACH: Final = 7
STEP_SECONDS: Final = 0.003
"""Callers come at multiples of it, so that many come at once."""

NOW: Final = 1_700_000_000_000
CLASSES: Final[dict[str, type[DurableObject]]] = {
    "Register": Register,
    "Reminder": Reminder,
    "Storage": Storage,
}


class World:
    """One run of a seed."""

    def __init__(self, seed: int, sum_of: type[Sum] = Sum) -> None:
        self.classes = CLASSES | {"Sum": sum_of}
        self.chance = Chance(seed)
        self.loop = VirtualLoop(self.chance, 1000.0)  # type: ignore[abstract]  # it refuses the rest
        self.calls = self.chance.stream("calls")
        self.log = ReplicatedLog(self.chance.stream("log"))
        self.operations: list[Operation] = []
        self.troubles: list[str] = []
        self._instant = 0

    def run(self) -> list[str]:
        """Return what was wrong."""
        self.loop.run_until_complete(self._main())
        return [*self.troubles, *self.loop.complaints, *judged(self.operations)]

    async def _main(self) -> None:
        for _ in range(2):
            self.log.nodes.append(self._node())
        self.log.nodes[0].open(1)
        committing = asyncio.create_task(self.log.commit_forever())
        trouble = asyncio.create_task(self._change_leaders())
        await asyncio.gather(*map(self._caller, range(CALLERS)))
        trouble.cancel()
        await asyncio.wait([trouble])
        self.log.refusals = 0.0
        await self.log.change_leader()
        await self._quiet_end()
        committing.cancel()

    def _node(self) -> Node:
        def env(instance: Instance) -> NodeEnvironment:
            return NodeEnvironment(instance, call_at(host))

        host = ObjectHost(
            self.classes,
            env=env,
            now=self._now,
            chance=lambda: self.calls.uniform(0, 1),
            found=_found_nothing,
        )
        node = Node(self.log, host)
        host.attach(node)
        return node

    def _now(self) -> Millis:
        return Millis(NOW + int(self.loop.now * 1000))

    async def _change_leaders(self) -> None:
        while True:
            await asyncio.sleep(self.calls.uniform(0.005, 0.08))
            await self.log.change_leader()

    # -- callers ------------------------------------------------------------------

    async def _caller(self, number: int) -> None:
        for turn in range(CALLS_EACH):
            await asyncio.sleep(self.calls.below(6) * STEP_SECONDS)
            unique = number * 100 + turn
            await self.calls.pick(_KINDS)(self, unique)

    async def call(
        self, target: str, method: str, *arguments: Value, key: str = ""
    ) -> Value:
        """Call `Class name` at the node that leads, or at one that may believe so."""
        class_name, name = target.split()
        id_ = ObjectId.from_name(class_name, name)
        believing = [node for node in self.log.nodes if node.epoch]
        node = self.calls.pick(believing or self.log.nodes)
        return await node.host.call(SHARD, id_, method, arguments, idempotency_key=key)

    async def note(
        self, f: str, key: str, argument: int | None, call: Awaitable[Value]
    ) -> None:
        """Note a call and what came of it; some callers have little patience."""
        self._instant += 1
        called, outcome = self._instant, Outcome.OK
        result: Value = None
        patience = 0.01 if self.calls.happens(0.05) else None
        try:
            result = await asyncio.wait_for(call, patience)
        except ObjectRaisedError as error:
            if error.type_name == "LookupError":
                result = int(str(error))
            else:  # the code has met a fault of ours, or has none to meet
                outcome = Outcome.INFO
                if error.type_name not in _FAULTS:
                    self.troubles.append(f"{f} {key}: {error!r}")
        except KvError as error:
            failed = error.outcome is Told.FAILED
            outcome = Outcome.FAIL if failed else Outcome.INFO
        except TimeoutError:
            outcome = Outcome.INFO
        self._instant += 1
        returned = FOREVER if outcome is Outcome.INFO else self._instant
        self.operations.append(
            Operation(
                len(self.operations),
                *(f, key, argument, _plain(result)),
                *(called, returned, outcome),
            )
        )

    async def add(self, unique: int) -> None:
        """Add to a sum, in some way."""
        method = self.calls.pick(("add", "add", "add_alone", "add_and_raise"))
        name = self.calls.pick("ab")
        call = self.call(f"Sum {name}", method)
        await self.note("add", name, unique, call)

    async def add_twice(self, unique: int) -> None:
        """Add to a sum twice at once."""
        name = self.calls.pick("ab")
        calls = [self.call(f"Sum {name}", method) for method in ("add_alone", "add")]
        await asyncio.gather(*(self.note("add", name, unique, each) for each in calls))

    async def read_sum(self, _: int) -> None:
        """Read a sum."""
        name = self.calls.pick("ab")
        method = self.calls.pick(("read", "read_and_raise"))
        await self.note("sum", name, None, self.call(f"Sum {name}", method))

    async def add_both(self, unique: int) -> None:
        """Let one object add, and then another."""
        await self.note("both", "c", unique, self.call("Sum c", "add_both", "d"))

    async def add_once(self, unique: int) -> None:
        """Add with a key, twice or until it is known to have happened."""
        for turn in range(12):
            call = self.call("Sum once", "add", key=f"k{unique}")
            await self.note("once", "once", unique, call)
            if turn and self.operations[-1].outcome is Outcome.OK:
                return
            await asyncio.sleep(self.calls.uniform(0, 0.02))

    async def write(self, unique: int) -> None:
        """Write a register."""
        call = self.call("Register r", "write", unique)
        await self.note("write", "r", unique, call)

    async def read(self, _: int) -> None:
        """Read a register."""
        method = self.calls.pick(("read", "read_slowly"))
        await self.note("read", "r", None, self.call("Register r", method))

    async def put(self, unique: int) -> None:
        """Put into a map."""
        key = self.calls.pick("xyz")
        if self.calls.happens(0.5):
            call = self.call("Storage m", "put_many", {key: unique, "w": unique})
        else:
            call = self.call("Storage m", "put", key, unique)
        await self.note("put", "m", unique, call)

    async def remind(self, unique: int) -> None:
        """Set an alarm."""
        when = self._now() + self.calls.below(60)
        call = self.call("Reminder m", "remind", unique, when)
        await self.note("remind", "m", unique, call)

    # -- the end ------------------------------------------------------------------

    async def _quiet_end(self) -> None:
        """Read everything once nothing happens any more."""
        await asyncio.sleep(30)
        for name in ("a", "b"):
            await self.note("sum", name, None, self.call(f"Sum {name}", "read"))
        for name in ("c", "d", "once"):
            call = self.call(f"Sum {name}", "read")
            await self.note("last", name, None, call)
        await self.note("read", "r", None, self.call("Register r", "read"))
        await self.note("seen", "m", None, self.call("Reminder m", "seen"))


_FAULTS: Final = frozenset(
    {
        *("IndeterminateError", "UnavailableError", "OverloadedError"),
        *("NotLeaderError", "ObjectEndedError"),
    }
)
_KINDS: Final[tuple[Callable[[World, int], Awaitable[None]], ...]] = (
    *(World.add, World.add_twice, World.read_sum, World.add_both, World.add_once),
    *(World.write, World.read, World.read, World.put, World.remind),
)


def _plain(result: Value) -> int | tuple[str, ...] | None:
    """Return a result as histories have it."""
    match result:
        case list():
            return tuple(map(str, result))
        case int() | None:
            return result
        case _:
            raise AssertionError(result)


# -- the judge ------------------------------------------------------------------


def judged(operations: list[Operation]) -> list[str]:
    """Return what is wrong with a history."""
    of: dict[str, list[Operation]] = {}
    for operation in operations:
        of.setdefault(operation.f, []).append(operation)
    troubles: list[str] = []
    for name in "ab":
        adds = [each for each in of.get("add", ()) if each.key == name]
        reads = [each for each in of["sum"] if each.key == name]
        troubles += _sum_troubles(adds, reads)
    registers = History.of([*of.get("write", ()), *of["read"]])
    judgement = check(registers, "register")
    if judgement.verdict is not Verdict.VALID:
        troubles.append(f"register: {judgement.reason}")
    versions = [each.result for each in of.get("put", ()) if each.result is not None]
    if len(set(versions)) < len(versions):
        troubles.append(f"versions were given twice: {sorted(map(str, versions))}")
    last = {each.key: each.result for each in of["last"]}
    troubles += _once_troubles(of.get("once", []), last["once"])
    if not _number(last["d"]) <= _number(last["c"]):
        troubles.append(f"the cause was lost: {last}")
    seen = of["seen"][-1].result
    assert isinstance(seen, tuple), "all that was seen"
    for each in of.get("remind", ()):
        if each.outcome is Outcome.OK and f"seen/{each.argument}" not in seen:
            troubles.append(f"no alarm has seen {each.argument}: {seen}")
    return troubles


def _number(value: object) -> int:
    assert isinstance(value, int), f"{value!r} was read at the end"
    return value


def _sum_troubles(adds: list[Operation], reads: list[Operation]) -> list[str]:
    """Each add that is known gives a sum of its own; sums grow with time."""
    known = [each for each in adds if each.outcome is Outcome.OK]
    troubles = []
    if len({each.result for each in known}) < len(known):
        troubles.append(f"a sum was told twice: {known}")
    for each in (*known, *(read for read in reads if read.outcome is Outcome.OK)):
        began = [add for add in adds if add.called < each.returned]
        begun = sum(add.outcome is not Outcome.FAIL for add in began)
        before = [
            _number(other.result) + (each in known)
            for other in (*known, *reads)
            if other.outcome is Outcome.OK and other.returned < each.called
        ]
        ended = sum(other.returned < each.called for other in known) + (each in known)
        least = max([ended, *before])
        if not least <= _number(each.result) <= begun:
            troubles.append(f"{each} is not in {least} to {begun}")
    return troubles


def _once_troubles(calls: list[Operation], last: object) -> list[str]:
    """Each key has one result, and counts once."""
    results: dict[object, set[object]] = {}
    for each in calls:
        if each.outcome is not Outcome.FAIL:
            found = results.setdefault(each.argument, set())
            if each.outcome is Outcome.OK:
                found.add(each.result)
    known = [result for found in results.values() for result in found]
    troubles = [f"{key}: {found}" for key, found in results.items() if len(found) > 1]
    if len(set(known)) < len(known):
        troubles.append(f"a result belongs to two keys: {results}")
    if not len(known) <= _number(last) <= len(results):
        troubles.append(f"{last} calls with keys have happened: {results}")
    return troubles


async def _found_nothing(shard: str) -> None:
    """Nobody gives a hint."""
    raise AssertionError(shard)
