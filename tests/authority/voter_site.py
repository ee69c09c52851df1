"""Three voters in memory and a spare one, and the authorities that they make."""

import asyncio
from collections.abc import Callable
from random import Random

from kvnode.authority.embedded_authority import EmbeddedAuthority
from kvnode.authority.voter_host import VoterHost
from kvnode.core.objects.voters.message_codec import (
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)
from kvnode.core.objects.voters.messages import VoterAnswer, VoterRequest
from kvnode.errors import UnavailableError
from kvnode.storage.voters.memory_voter_store import MemoryVoterStore
from kvnode.types import ReplicaId

VOTERS = ("a", "b", "c")
ALL = (*VOTERS, "d")


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds of which nothing tells."""
    while not holds():  # noqa: ASYNC110 -- see above
        await asyncio.sleep(0.001)


class VoterSite:
    """
    Voters, and a network that loses nothing, for one event loop.

    Attributes:
        silent: Those whom nobody reaches.
    """

    def __init__(self) -> None:
        self.random = Random(1)
        self.identities = 0
        self.silent: set[str] = set()
        self.stores = {name: MemoryVoterStore(self.identity()) for name in ALL}
        self.hosts: dict[str, VoterHost] = {}
        self.running: dict[str, asyncio.Task[None]] = {}

    def identity(self) -> ReplicaId:
        """Return one that nobody has."""
        self.identities += 1
        return ReplicaId(self.identities)

    def start(self, name: str, *, names: tuple[str, ...] = VOTERS) -> VoterHost:
        """Start a voter with what is on its disk."""
        host = self.hosts[name] = VoterHost(
            name,
            tuple(sorted({*names, name})),
            self.stores[name],
            self,
            uniform=self.random.uniform,
        )
        self.running[name] = asyncio.ensure_future(host.run())
        return host

    async def end(self, name: str) -> None:
        """End a voter."""
        self.hosts.pop(name).stop()
        await self.running.pop(name)

    async def wipe(self, name: str) -> VoterHost:
        """Give a voter another disk, and start it."""
        await self.end(name)
        self.stores[name] = MemoryVoterStore(self.identity())
        return self.start(name)

    async def found(self) -> None:
        """Start the voters, and wait until all of them vote."""
        for name in VOTERS:
            self.start(name)
        for name in VOTERS:
            await self.until_votes(name)

    async def until_votes(self, name: str) -> None:
        """Wait until a voter votes."""
        await until(lambda: self.hosts[name].standing.electorate is not None)

    async def ask(
        self, voter: str, request: VoterRequest, _deadline_seconds: float
    ) -> VoterAnswer:
        """See kvnode.authority.voter_port.VoterTransport."""
        await asyncio.sleep(0)
        if voter in self.silent or voter not in self.hosts:
            msg = f"{voter} is down"
            raise UnavailableError(msg)
        answer = await self.hosts[voter].answer(decode_request(encode_request(request)))
        return decode_answer(encode_answer(answer))

    def authority(self) -> EmbeddedAuthority:
        """Return that of a process that has just started."""
        return EmbeddedAuthority(
            VOTERS, self, proposer=self.identity(), uniform=self.random.uniform
        )

    async def close(self) -> None:
        """End all voters."""
        for name in list(self.hosts):
            await self.end(name)
