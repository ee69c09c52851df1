"""Values that expire: none is read after its deadline, none missed before it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from jepsen_like.checkers import convergence, durability, expiry
from jepsen_like.history.history import History
from jepsen_like.history.operation import Value
from jepsen_like.plan import Invoke
from jepsen_like.verdict import Judgement
from jepsen_like.workloads.drawing import fresh_values, keys_of, slots, weighted
from jepsen_like.workloads.promises import rank
from jepsen_like.workloads.workload import Extent, Final

_WEIGHTS = {"read": 6, "write-expiring": 3, "write": 1, "delete": 1}

CLOCK_ERROR_MS = 100
"""More than clocks differ on one machine, or in a site that keeps time."""

TTL_SHARES = (0.02, 0.3)
"""Times to live lie between these shares of the run, to be seen to pass."""


@dataclass(frozen=True, slots=True)
class ExpiryWorkload:
    """
    Values with times to live, besides lasting ones and deletes.

    Attributes:
        name: How users select it.
        model: What the operations mean.
        clock_error_ms: By so much two nodes' clocks differ at most, while no
            fault is at them.
    """

    name: str = "expiry"
    model: str = "expiry"
    clock_error_ms: int = CLOCK_ERROR_MS

    def invocations(
        self, random: Random, nodes: Sequence[str], extent: Extent
    ) -> Iterator[Invoke]:
        """Yield what is asked for, in order of time."""
        values = fresh_values()
        shortest, longest = (
            max(1, round(share * extent.duration_ms)) for share in TTL_SHARES
        )
        for at, worker, node, key in slots(random, nodes, extent):
            f = weighted(random, _WEIGHTS)
            argument: Value = None
            if f == "write":
                argument = next(values)
            elif f == "write-expiring":
                argument = (next(values), random.randint(shortest, longest))
            yield Invoke(at, worker, node, f, key, argument)

    def finals(self, invocations: Sequence[Invoke]) -> tuple[Final, ...]:
        """Return a read of each key."""
        return tuple(Final("read", key) for key in keys_of(invocations))

    def judge(self, history: History) -> tuple[Judgement, ...]:
        """Judge deadlines, and what does not expire as ever."""
        return (
            expiry.check(history, clock_error_ms=self.clock_error_ms),
            convergence.check(history),
            durability.check(history, order_of=rank),
        )
