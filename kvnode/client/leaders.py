"""
Which of a client's nodes leads which object, as far as replies have told.

A node that sends a call on says where it went.  If that is among the nodes that the
client was given, the next call of the object goes there, which saves a node's work and
half of the way.  Nothing waits for it: until there is a connection, and whenever the
guess was wrong, calls go the way of all others.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic

from kvnode.client.batching import Result
from kvnode.client.connection import Connection
from kvnode.client.pool import Pool
from kvnode.errors import UnavailableError

OBJECTS_MAX: Final = 10_000
"""Whose leaders are remembered, a megabyte of them; the eldest is forgotten."""

CONNECT_SECONDS_MAX: Final = 5.0
"""For a connection beside the one in use; it is tried again with the next call."""


class Leaders(Generic[Result]):
    """What one client knows, and its connections beside the one in use."""

    def __init__(self, new_pools: dict[str, Callable[[], Pool[Result]]]) -> None:
        """Begin with nothing; *new_pools* make a pool of each address there may be."""
        self._new_pools = new_pools
        self._pools: dict[str, Pool[Result]] = {}
        self._places: OrderedDict[bytes, str] = OrderedDict()
        self._connecting: dict[str, asyncio.Task[None]] = {}

    def known(
        self, which: bytes, ready: Connection[Result] | None
    ) -> Connection[Result] | None:
        """Return a connection to who leads *which*; None if *ready* does as well."""
        address = self._places.get(which)
        if address is None or (ready is not None and ready.address == address):
            return None
        pool = self._pools.get(address)
        if pool is None:
            pool = self._pools[address] = self._new_pools[address]()
        if pool.ready is None and address not in self._connecting:
            self._connecting[address] = asyncio.create_task(
                self._connect(address, pool), name=f"kvnode client leader {address}"
            )
        return pool.ready

    def told(self, which: bytes, address: str) -> None:
        """Take note that *which* is led at *address*; empty if who was asked leads."""
        if address in self._new_pools:
            self._places[which] = address
            self._places.move_to_end(which)
            if len(self._places) > OBJECTS_MAX:
                self._places.popitem(last=False)

    def forget(self, which: bytes) -> None:
        """Take note that *which* is not led where it was."""
        self._places.pop(which, None)

    async def close(self) -> None:
        """Close all connections."""
        for task in self._connecting.values():
            task.cancel()
        await asyncio.gather(*self._connecting.values(), return_exceptions=True)
        for pool in self._pools.values():
            await pool.close()

    async def _connect(self, address: str, pool: Pool[Result]) -> None:
        try:
            await pool.connect(asyncio.get_running_loop().time() + CONNECT_SECONDS_MAX)
        except UnavailableError:
            pass  # calls go another way
        finally:
            del self._connecting[address]
