"""
A shard's log among two nodes, by chance: late, refused, lost, and led by another.

The log itself is one list, which never forgets: what is committed stays.  Behind it is
a tail that only the leader has.  When the lead changes, some of the tail is committed
after all and the rest is lost, and nobody who waits is told which.  The former leader
learns of it later, and answers meanwhile what it likes; it can neither commit nor
confirm, and its lease has run out before.
"""

import asyncio
from typing import NamedTuple

from cluster.simulated.chance import Stream
from kvnode.completion import failed
from kvnode.errors import (
    IndeterminateError,
    KvError,
    OverloadedError,
    StoreFullError,
    UnavailableError,
)
from kvnode.objects.running.object_host import ObjectHost
from tests.objects.running.fake_log import DictState

SHARD = "s000"
LEASE_SECONDS = 0.01


class Waiting(NamedTuple):
    """An entry that is not committed, and who waits for that."""

    data: bytes
    future: asyncio.Future[int]


class Node:
    """
    One node: a `ShardLog`, and who listens to it.

    Attributes:
        host: Its objects.
        epoch: In which it was told to lead, 0 if it was not.
    """

    def __init__(self, log: "ReplicatedLog", host: ObjectHost) -> None:
        self.host = host
        self.epoch = 0
        self.rows = DictState()
        self.forsaken: list[Waiting] = []  # of what became of these it is not told
        self.leased_until = 0.0
        self._log = log
        self._applied = 0

    @property
    def leads(self) -> bool:
        """Tell whether it does, whatever it was told."""
        return self.epoch == self._log.epoch

    def hurry(self, shard: str) -> None:
        """Do nothing: what is committed shows soon anyway."""

    def propose(self, shard: str, data: bytes) -> "asyncio.Future[int]":
        """Append an entry, if there is room, or believe to have done so."""
        if not self.epoch:
            return failed(UnavailableError(f"this node does not lead {shard}"))
        if self._log.chance.happens(self._log.refusals):
            return failed(OverloadedError("too many wait"))
        entry = Waiting(data, asyncio.get_running_loop().create_future())
        if self.leads:
            self._log.append(entry)
        else:
            self.forsaken.append(entry)
        return entry.future

    async def confirm(self, shard: str) -> None:
        """Ask a majority, some time after the call."""
        epoch = self.epoch
        await asyncio.sleep(self._log.chance.uniform(0, 0.004))
        confirmed = self.epoch == epoch and self.leads
        await asyncio.sleep(self._log.chance.uniform(0, 0.004))
        if not confirmed or self.epoch != epoch:
            msg = f"this node does not lead {shard}"
            raise UnavailableError(msg)

    def has_lease(self, shard: str) -> bool:
        """Tell whether nobody else can lead yet."""
        assert shard == SHARD, "there is one"
        if self.leads and self._log.renews:
            self.leased_until = self._log.now() + self._log.lease_seconds
        return bool(self.epoch) and self._log.now() < self.leased_until

    def state(self, shard: str) -> DictState:
        """Return what was applied here."""
        assert shard == SHARD, "there is one"
        return self.rows

    def apply(self, number: int) -> None:
        """Apply entries up to *number*."""
        for data in self._log.committed[self._applied : number]:
            self.rows.apply(data)
        self._applied = max(self._applied, number)
        self.host.applied(SHARD, self._applied)

    def open(self, epoch: int) -> None:
        """Tell the host that this node leads."""
        assert not self.epoch, "it does not already"
        self.apply(len(self._log.committed))
        self.epoch = epoch
        self.host.opened(SHARD, epoch, self._applied)

    def close(self, error: KvError) -> None:
        """Tell who waits that the lead is lost, and the host."""
        epoch, self.epoch = self.epoch, 0
        for entry in self.forsaken:
            if not entry.future.done():
                entry.future.set_exception(error)
        self.forsaken = []
        self.host.closed(SHARD, epoch)


class ReplicatedLog:
    """
    The log of the only shard.

    Attributes:
        committed: All entries that will ever be.
        epoch: Of whoever leads.
        renews: Whether majorities still promise to let nobody else lead.
        lease_seconds: For how long they do, 0 if they do not.
        refusals: How probable it is that a proposal is refused.
        chance: What is drawn from.
        nodes: Who may lead.
    """

    def __init__(self, chance: Stream) -> None:
        self.committed: list[bytes] = []
        self.epoch = 1
        self.refusals = chance.pick((0.0, 0.03, 0.08))
        self.chance = chance
        self.nodes: list[Node] = []
        self._tail: list[Waiting] = []
        self.lease_seconds = chance.pick((0.0, LEASE_SECONDS))
        self.renews = True
        self._appended = asyncio.Event()
        self._apply_seconds = chance.pick((0.0, 0.03, 0.1))

    def now(self) -> float:
        """Return the time in seconds."""
        return asyncio.get_running_loop().time()

    def append(self, entry: Waiting) -> None:
        """Take the leader's entry."""
        self._tail.append(entry)
        self._appended.set()

    async def commit_forever(self) -> None:
        """Commit what the leader has appended, some at a time."""
        while True:
            await self._appended.wait()
            await asyncio.sleep(self.chance.uniform(0.0005, 0.006))
            for node in self.nodes:
                if node.leads:
                    self._commit(node, self.chance.below(len(self._tail) + 1))
            if not self._tail:
                self._appended.clear()

    def _commit(self, node: Node, count: int) -> None:
        some, self._tail = self._tail[:count], self._tail[count:]
        for entry in some:
            self.committed.append(entry.data)
            if not entry.future.done():
                entry.future.set_result(len(self.committed))
        if some:
            seconds = self.chance.uniform(0, self._apply_seconds)
            loop = asyncio.get_running_loop()
            number = len(self.committed)
            loop.call_later(seconds, self._apply, node, node.epoch, number)

    def _apply(self, node: Node, epoch: int, number: int) -> None:
        if node.epoch == epoch:
            node.apply(number)

    async def change_leader(self) -> None:
        """Let another node lead, or the same one in another epoch."""
        former = next((node for node in self.nodes if node.leads), None)
        if former is not None:
            if self.chance.happens(0.2):
                self._out_of_room(former)
            else:
                await self._depose(former)
        await asyncio.sleep(self.chance.uniform(0, 0.01))
        node = self.chance.pick(self.nodes)
        if node.epoch:
            node.close(IndeterminateError("the lead was lost"))
        node.open(self.epoch)

    def _out_of_room(self, former: Node) -> None:
        """The disk is full: nothing of the tail has left this node."""
        self.epoch += 1
        former.forsaken, self._tail = self._tail, []
        former.close(StoreFullError("the disk has no room"))

    async def _depose(self, former: Node) -> None:
        """Wait until the lease is over; some of the tail is committed, some lost."""
        self.renews = False
        await asyncio.sleep(max(0, former.leased_until - self.now()) + 1e-9)
        self.renews = True
        self.epoch += 1
        survivors = self.chance.below(len(self._tail) + 1)
        self.committed += [entry.data for entry in self._tail[:survivors]]
        former.forsaken, self._tail = self._tail, []
        seconds = self.chance.uniform(0, 0.1)
        loop = asyncio.get_running_loop()
        loop.call_later(seconds, self._tell_late, former, former.epoch)

    def _tell_late(self, former: Node, epoch: int) -> None:
        if former.epoch == epoch:
            former.close(IndeterminateError("the lead was lost"))
