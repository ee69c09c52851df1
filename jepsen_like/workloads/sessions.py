"""
Sessions that move: reads and writes of many keys, each at another node.

Every operation goes to a node drawn anew, so a session is always ahead of the
node that it asks.  Some reads ask for bounded staleness.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from jepsen_like.history.history import History
from jepsen_like.history.operation import Value
from jepsen_like.plan import Invoke
from jepsen_like.verdict import Judgement
from jepsen_like.workloads.drawing import fresh_values, keys_of, slots, weighted
from jepsen_like.workloads.promises import causal_register, finals_of
from jepsen_like.workloads.workload import Extent, Final

_WEIGHTS = {"read": 5, "bounded read": 1, "write": 4}

STALENESS_MS = 2_000
"""What bounded reads ask for: longer than a healthy cluster is ever behind."""


@dataclass(frozen=True, slots=True)
class SessionsWorkload:
    """Reads and writes across nodes, one session a worker."""

    name: str = "sessions"
    model: str = "eventual"

    def invocations(
        self, random: Random, nodes: Sequence[str], extent: Extent
    ) -> Iterator[Invoke]:
        """Yield what is asked for, in order of time."""
        values = fresh_values()
        for at, worker, node, key in slots(random, nodes, extent, roaming=1.0):
            f = weighted(random, _WEIGHTS)
            argument: Value = None
            if f == "write":
                argument = next(values)
            elif f == "bounded read":
                f, argument = "read", ("max_staleness_ms", STALENESS_MS)
            yield Invoke(at, worker, node, f, key, argument)

    def finals(self, invocations: Sequence[Invoke]) -> tuple[Final, ...]:
        """Return a read, and a look at the conflict log, of each key."""
        return finals_of(keys_of(invocations), ("read", "conflicts"))

    def judge(self, history: History) -> tuple[Judgement, ...]:
        """Judge as an eventually consistent store with sessions."""
        return causal_register(history)
