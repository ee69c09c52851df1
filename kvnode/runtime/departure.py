"""
Who is to be a member no more: removing others, and leaving oneself.

A removal is one event.  Leaving takes a while: the node takes no writes any more, and
asks to leave again and again until the others have all it has (kvnode.core.node.
departure says when).  Then it says so to everyone who is connected, and stops.

If that does not come about in time it goes on as if nothing had been asked.  An
attempt that was queued before may still succeed: then the node has left, and stops all
the same.
"""

import asyncio
from collections.abc import Iterable

from kvnode.core.node.departure import has_left
from kvnode.core.node.events import LeaveCluster, RemoveMember
from kvnode.core.versions.roster import Member
from kvnode.errors import IndeterminateError, RejectedError, UnavailableError
from kvnode.runtime.driver import Driver
from kvnode.types import ReplicaId

REMOVE_SECONDS_MAX = 10.0
"""A removal is one transaction; only a disk that hangs takes so long."""

ASK_SECONDS = 0.2
"""Between two attempts to leave: the others report every second, or sooner."""

TELL_SECONDS_MAX = 3.0
"""Those that are connected hear of a departure in one trip; then they hang up."""

LOOK_SECONDS = 0.05

LEAVING = "this node is leaving the cluster for good; ask another node"


class Departures:
    """Ends the membership of others, and of this node."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._told: int | None = None

    async def remove(self, replicas: Iterable[ReplicaId]) -> None:
        """
        Declare members gone for good (G3); durable here when this returns.

        Raises:
            IndeterminateError: It is not known whether it happened.
        """
        wanted = tuple(replicas)
        for replica in wanted:
            self._driver.tell(RemoveMember(replica))

        def done() -> bool:
            return all(map(self._driver.roster().gone, wanted))

        if not await self._driver.until(done, REMOVE_SECONDS_MAX):
            msg = "the removal is queued, and not durable after 10 s: look again"
            raise IndeterminateError(msg)

    async def leave(self, patience_s: float) -> tuple[int, int]:
        """
        Leave for good; the node should be stopped when this returns.

        Returns:
            How many members have heard it, of how many there are left.

        Raises:
            RejectedError: There is nobody who could have what this node has.
            UnavailableError: *patience_s* was not enough; the node goes on.
        """
        driver = self._driver
        if not self._others():
            msg = (
                f"this node knows no other member: what it holds would be"
                f" nowhere (data directory of {driver.replica():016x}); just stop it"
            )
            raise RejectedError(msg)
        driver.refuse_writes(LEAVING)
        try:
            async with asyncio.timeout(patience_s):
                while not self._left():
                    driver.tell(LeaveCluster())
                    await driver.until(self._left, ASK_SECONDS)
        except TimeoutError:
            if not self._left():
                raise UnavailableError(self._why_not()) from None
        finally:
            if not self._left():
                driver.refuse_writes("")
        return await self.departed(), len(self._others())

    async def departed(self) -> int:
        """
        Wait until this node has left, and those connected have heard it.

        Returns:
            How many members have; 3 s are enough, or it is told by others.
        """
        await self._driver.until(self._left)
        if self._told is None:
            members = {m.replica for m in self._others()}
            waiting = members & set(self._driver.peers())
            count = len(waiting)
            try:
                async with asyncio.timeout(TELL_SECONDS_MAX):
                    while waiting:  # a peer that has heard it ends the connection
                        await asyncio.sleep(LOOK_SECONDS)
                        waiting &= set(self._driver.peers())
            except TimeoutError:
                pass
            self._told = count - len(waiting)
        return self._told

    def _left(self) -> bool:
        return has_left(self._driver.replica(), self._driver.roster())

    def _others(self) -> list[Member]:
        own = self._driver.replica()
        return [m for m in self._driver.roster().members() if m.replica != own]

    def _why_not(self) -> str:
        """Say what kept this node from leaving."""
        connected = self._driver.peers()
        absent = [m.name for m in self._others() if m.replica not in connected]
        away = f"; not connected: {', '.join(absent)}" if absent else ""
        alone = self._driver.node.only_here()
        writes = alone.count_missing_from(type(alone)())
        return (
            f"this node has not left, and takes writes again: {writes} writes are here"
            f" and, as far as is known, at no other connected member{away}"
        )
