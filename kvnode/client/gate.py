"""
The bound on what a client has under way: operations and bytes.

Whoever finds it full waits its turn, first come, first served.  Room is counted
when it is granted, so that a newcomer cannot take what a waiter was promised.
"""

import asyncio
from collections import deque

from kvnode.errors import OverloadedError
from kvnode.limits import BATCH_BYTES_MAX

IN_FLIGHT_OPERATIONS_MAX = 20_000  # two full frames: one being served, one collecting
IN_FLIGHT_BYTES_MAX = 2 * BATCH_BYTES_MAX  # room for two of the largest requests


class Gate:
    """Counts what is under way and lets callers in while there is room."""

    def __init__(
        self,
        *,
        operations_max: int = IN_FLIGHT_OPERATIONS_MAX,
        bytes_max: int = IN_FLIGHT_BYTES_MAX,
    ) -> None:
        self._operations_max = operations_max
        self._bytes_max = bytes_max
        self._operations = 0
        self._bytes = 0
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()

    @property
    def operations(self) -> int:
        """How many operations are inside."""
        return self._operations

    def try_enter(self, size_bytes: int) -> bool:
        """Enter if there is room and nobody waits; tell whether it worked."""
        if self._waiting or not self._has_room(size_bytes):
            return False
        self._operations += 1
        self._bytes += size_bytes
        return True

    async def enter(self, size_bytes: int, expires_at: float) -> None:
        """
        Enter when there is room.

        Raises:
            OverloadedError: There was none until loop time *expires_at*.
        """
        if self.try_enter(size_bytes):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, size_bytes))
        try:
            async with asyncio.timeout_at(expires_at):
                await turn
        except BaseException as error:
            if not turn.cancelled():  # let in, and called off, at the same moment
                self.leave(size_bytes)
            if not isinstance(error, TimeoutError):
                raise
            msg = (
                f"{self._operations} operations of {self._bytes} bytes are under way"
                f" (limits {self._operations_max} and {self._bytes_max}) and none ended"
                " before the deadline: call less at once, or allow more time"
            )
            raise OverloadedError(msg) from None

    def leave(self, size_bytes: int, *, operations: int = 1) -> None:
        """Give back the room of *operations* that had entered, together."""
        self._operations -= operations
        self._bytes -= size_bytes
        assert self._operations >= 0, "who leaves has entered"
        while self._waiting:
            turn, waiting_bytes = self._waiting[0]
            if not turn.done():
                if not self._has_room(waiting_bytes):
                    return
                self._operations += 1
                self._bytes += waiting_bytes
                turn.set_result(None)
            self._waiting.popleft()

    def _has_room(self, size_bytes: int) -> bool:
        # One operation may always go alone, however large its limit lets it be.
        return self._operations == 0 or (
            self._operations < self._operations_max
            and self._bytes + size_bytes <= self._bytes_max
        )
