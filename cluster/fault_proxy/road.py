"""
One directed way between two nodes: when what is sent over it arrives.

All connections whose bytes go that way share it, as they would share a cable.
A proxy sees no packets, since TCP has put them in order before; a lost packet
therefore shows as what TCP makes of it: the stream stalls for the time of a
retransmission, which doubles each time the same packet is lost again, and is
given up after some.

Reference:
    RFC 6298, 2011.  Computing TCP's Retransmission Timer.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from cluster.fault_proxy.conditions import PERFECT, Conditions, Passage

PACKET_BYTES = 1_460
"""What of an Ethernet frame is left for TCP's payload."""

RETRANSMISSION_SECONDS = 0.2
"""Linux's smallest retransmission timer."""

RETRANSMISSIONS_MAX = 6
"""After 0.2 + 0.4 + ... + 6.4 s = 12.6 s, a connection is given up."""


class Flight(NamedTuple):
    """When a piece was sent and arrives, by the loop's clock; `lost` = given up."""

    arrives_at: float
    sent_at: float
    lost: bool


class Road:
    """The way from one node to another, and its conditions as they are now."""

    def __init__(self, random: Random) -> None:
        """Make a perfect road that draws from *random*."""
        self.conditions = PERFECT
        self.bytes_passed = 0
        self._random = random
        self._free_at = 0.0
        self._changed_at = -1.0  # never
        self._changed = asyncio.Event()
        self._resets: dict[object, Callable[[], object]] = {}

    def set(self, conditions: Conditions) -> None:
        """Have *conditions* from now on, also for what is on its way."""
        if conditions == self.conditions:
            return
        self.conditions = conditions
        self._changed_at = self._free_at = asyncio.get_running_loop().time()
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        if conditions.passage is Passage.RESET:
            for reset in list(self._resets.values()):
                reset()

    def on_reset(self, reset: Callable[[], object]) -> Callable[[], object]:
        """Call *reset* when the road tears connections; returns how to stop that."""
        handle = object()
        self._resets[handle] = reset
        return lambda: self._resets.pop(handle, None)

    async def opened(self) -> bool:
        """Wait while the road is held; tell whether it is open, not torn."""
        while self.conditions.passage is Passage.HELD:
            await self._changed.wait()
        return self.conditions.passage is Passage.OPEN

    def send(self, size_bytes: int) -> Flight:
        """Return the flight of a piece of *size_bytes* that is sent now."""
        now = asyncio.get_running_loop().time()
        conditions = self.conditions
        sent = now
        if conditions.bytes_per_second:
            # The cable is busy with what was sent before.
            begins = max(now, self._free_at)
            sent = self._free_at = begins + size_bytes / conditions.bytes_per_second
        flight = conditions.delay_ms / 1000
        if conditions.jitter_ms:
            flight += self._random.uniform(0, conditions.jitter_ms / 1000)
        stall, lost = self._stall(size_bytes) if conditions.loss else (0.0, False)
        return Flight(sent + flight + stall, now, lost)

    def _stall(self, size_bytes: int) -> tuple[float, bool]:
        """Return how long retransmissions take, and whether they are given up."""
        stall, pause = 0.0, RETRANSMISSION_SECONDS
        packets = -(-size_bytes // PACKET_BYTES)
        chance = 1 - (1 - self.conditions.loss) ** packets
        for _ in range(RETRANSMISSIONS_MAX):
            if self._random.random() >= chance:
                return stall, False
            stall += pause
            pause *= 2
            chance = self.conditions.loss  # one packet is sent again
        return stall, True

    def gives_up(self, flight: Flight) -> bool:
        """Tell whether *flight* was lost too often, on the road as it is now."""
        return flight.lost and not self._is_of_before(flight)

    def _is_of_before(self, flight: Flight) -> bool:
        return flight.sent_at <= self._changed_at

    async def arrival(self, flight: Flight) -> None:
        """Wait until what is on *flight* arrives, as things are by then."""
        loop = asyncio.get_running_loop()
        while True:
            due = flight.arrives_at
            if self._is_of_before(flight):
                latest = self.conditions.latest_ms / 1000
                due = min(due, self._changed_at + latest)
            wait = due - loop.time()
            if wait <= 0:
                return
            changed = self._changed
            try:
                async with asyncio.timeout(wait):
                    await changed.wait()
            except TimeoutError:
                return
