"""
CPU time of client and servers, by operation.

On a machine that is shared, or has fewer cores than there are processes, rates
say how things were that minute; CPU time an operation hardly changes, and says
who must become cheaper for the rate to rise.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from time import process_time_ns

import psutil


@dataclass(frozen=True, slots=True)
class ProcessorTime:
    """CPU time used, user and system together, in ns."""

    client: int  # this process
    servers: int  # all of them, to the operating system's 10 ms

    def since(self, earlier: "ProcessorTime") -> "ProcessorTime":
        """Return what was used after *earlier*."""
        return ProcessorTime(
            self.client - earlier.client, self.servers - earlier.servers
        )

    def for_each_of(self, operations: int) -> "ProcessorTime":
        """Return the share of one of *operations*, rounded down."""
        return ProcessorTime(self.client // operations, self.servers // operations)


def processor_time(server_pids: Iterable[int]) -> ProcessorTime:
    """Return what this process and those with *server_pids* have used so far."""
    seconds = 0.0
    for pid in server_pids:
        used = psutil.Process(pid).cpu_times()
        seconds += used.user + used.system
    return ProcessorTime(process_time_ns(), int(seconds * 1_000_000_000))
