"""A voter's memory in memory: what a simulated machine has for a disk."""

from kvnode.core.objects.voters.memory import VoterMemory
from kvnode.types import ReplicaId


class MemoryVoterStore:
    """See kvnode.authority.voter_port.VoterStore."""

    def __init__(self, voter: ReplicaId, *, copied: bool = False) -> None:
        """Begin as a fresh voter, or as one whose disk was copied."""
        self._memory = VoterMemory(voter, barred=copied)

    @property
    def memory(self) -> VoterMemory:
        """Return what is durable."""
        return self._memory

    async def persist(self, memory: VoterMemory) -> None:
        """Make *memory* durable."""
        assert memory.voter == self._memory.voter, "an identity is for ever"
        self._memory = memory

    def close(self) -> None:
        """Do nothing: what is here stays."""
