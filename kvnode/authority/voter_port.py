"""What is asked of the network and of a disk, on behalf of voters."""

from collections.abc import Callable
from typing import Protocol

from kvnode.core.objects.voters.memory import VoterMemory
from kvnode.core.objects.voters.messages import VoterAnswer, VoterRequest

Uniform = Callable[[float, float], float]
"""Draws from between two numbers."""


class VoterTransport(Protocol):
    """The way to every voter, this node's own among them."""

    async def ask(
        self, voter: str, request: VoterRequest, deadline_seconds: float
    ) -> VoterAnswer:
        """
        Return what the voter of the node named *voter* answers.

        A request may arrive late, more than once, or behind a later one.

        Raises:
            UnavailableError: It has not arrived and never will.
            IndeterminateError: No answer within *deadline_seconds*.
            PeerProtocolError: The answer is none.
        """


class VoterStore(Protocol):
    """The disk of one voter."""

    @property
    def memory(self) -> VoterMemory:
        """Return what is durable."""

    async def persist(self, memory: VoterMemory) -> None:
        """
        Make *memory* durable in place of what was; then return.

        Must not overlap.  The identity is what it was.

        Raises:
            StoreFullError: There is no room; nothing of it has happened.
            OSError: The disk failed; nobody knows what has happened.
        """

    def close(self) -> None:
        """Release the files."""
