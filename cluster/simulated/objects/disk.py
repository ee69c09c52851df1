"""
The disk of a simulated node that hosts objects: logs, applied states, a voter.

Writes take their time, and a node that ends in the middle of one has written all of it
or nothing: a turn is one transaction.  Applied states are not synced, so a power cut
takes back what was applied since their last checkpoint, which the log then does again.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from cluster.simulated.chance import Chance, Stream
from kvnode.core.objects.events import Persist
from kvnode.core.objects.quorum_log import LogEntry
from kvnode.core.objects.voters.memory import VoterMemory
from kvnode.errors import StoreFullError
from kvnode.storage.shards.memory_log_store import MemoryLogStore
from kvnode.storage.shards.memory_shard_state import (
    MemoryShardState,
    MemoryShardStates,
)
from kvnode.storage.shards.port import written
from kvnode.storage.shards.state_port import check_shard_name
from kvnode.storage.voters.memory_voter_store import MemoryVoterStore
from kvnode.types import ReplicaId

SYNC_SECONDS: Final = (0.0005, 0.01)
"""Of a write with its sync: from a good solid-state disk to a bad one."""

APPLY_SECONDS_MAX: Final = 0.004
POWER_CUT_SHARE: Final = 0.5
"""Of the ends: the others leave to the system what it had been given to write."""


class _Condition:
    """How the disk is doing."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.is_full = False
        self.slow_seconds = 0.0

    async def write(self) -> None:
        """
        Let the time of a write pass.

        Raises:
            StoreFullError: There is no room.
        """
        least, most = SYNC_SECONDS
        seconds = self.stream.between(least, most, least) + self.slow_seconds
        await asyncio.sleep(seconds)
        if self.is_full:
            msg = "the simulated disk is full"
            raise StoreFullError(msg)


class _Logs(MemoryLogStore):
    """Logs that take their time."""

    def __init__(self, replica: ReplicaId, condition: _Condition) -> None:
        super().__init__(replica)
        self._condition = condition
        self._writing: Mapping[str, Persist] = {}

    async def persist(self, turns: Mapping[str, Persist]) -> None:
        """Make turns durable, in a while."""
        self._writing = turns
        try:
            await self._condition.write()
        except StoreFullError:
            self._writing = {}
            raise
        self._write()

    def crash(self) -> None:
        """Have what was being written, or not."""
        if self._condition.stream.happens(0.5):
            self._write()
        self._writing = {}

    def _write(self) -> None:
        for name, turn in self._writing.items():
            self._shards[name] = written(self._shards.get(name), turn)
        self._writing = {}


class _State(MemoryShardState):
    """An applied state that is behind its log for a while."""

    def __init__(self, condition: _Condition) -> None:
        super().__init__()
        self._condition = condition

    async def apply(self, entries: Sequence[LogEntry]) -> None:
        """Do what *entries* say, in a while."""
        await asyncio.sleep(self._condition.stream.between(0, APPLY_SECONDS_MAX, 0))
        if self._condition.is_full:
            msg = "the simulated disk is full"
            raise StoreFullError(msg)
        await super().apply(entries)


class _States(MemoryShardStates):
    """The applied states of a node."""

    def __init__(self, condition: _Condition) -> None:
        super().__init__()
        self._condition = condition

    def open(self, shard: str) -> _State:
        """Return the state of *shard*."""
        check_shard_name(shard)
        state = self._states.setdefault(shard, _State(self._condition))
        assert isinstance(state, _State), "no other is made here"
        return state


class _Voter(MemoryVoterStore):
    """The memory of a voter that takes its time."""

    def __init__(self, voter: ReplicaId, condition: _Condition) -> None:
        super().__init__(voter)
        self._condition = condition
        self._writing: VoterMemory | None = None

    async def persist(self, memory: VoterMemory) -> None:
        """Make *memory* durable, in a while."""
        self._writing = memory
        try:
            await self._condition.write()
        except StoreFullError:
            self._writing = None
            raise
        self._memory, self._writing = memory, None

    def crash(self) -> None:
        """Have what was being written, or not."""
        if self._writing is not None and self._condition.stream.happens(0.5):
            self._memory = self._writing
        self._writing = None


class ObjectDisk:
    """
    All that one node has stored of objects.

    Attributes:
        logs: Of its shards; its identity is made with them.
        states: What the logs have done.
        voter: What its voter remembers; that has an identity of its own.
        times_wiped: How often all of it was lost.
    """

    def __init__(self, name: str, chance: Chance) -> None:
        """Begin empty."""
        self._identities = chance.stream(f"object identities {name}")
        self._condition = _Condition(chance.stream(f"object disk {name}"))
        self.times_wiped = 0
        self.logs = _Logs(self._identity(), self._condition)
        self.states = _States(self._condition)
        self.voter = _Voter(self._identity(), self._condition)

    @property
    def replica(self) -> ReplicaId:
        """Return who the node is to its shards, as long as it has this disk."""
        return self.logs.replica

    def crash(self) -> None:
        """End with the node: what was being written is there, or is not."""
        self.logs.crash()
        self.voter.crash()
        if self._condition.stream.happens(POWER_CUT_SHARE):
            self.states.lose_power()

    def wipe(self) -> None:
        """Lose everything; whoever begins on it is somebody else."""
        self.times_wiped += 1
        self.logs = _Logs(self._identity(), self._condition)
        self.states = _States(self._condition)
        self.voter = _Voter(self._identity(), self._condition)

    def fill(self) -> None:
        """Have no room for more."""
        self._condition.is_full = True

    def free(self) -> None:
        """Have room again."""
        self._condition.is_full = False

    def slow(self, seconds: float) -> None:
        """Let each write take so much longer; 0 = as it was."""
        self._condition.slow_seconds = seconds

    def _identity(self) -> ReplicaId:
        return ReplicaId(self._identities.identity())
