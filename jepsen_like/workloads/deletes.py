"""
Writes and deletes under churn: nothing that was deleted comes back.

Half of what changes a key deletes it, so that tombstones and writes meet in
every order.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from jepsen_like.history.history import History
from jepsen_like.plan import Invoke
from jepsen_like.verdict import Judgement
from jepsen_like.workloads.drawing import fresh_values, keys_of, slots, weighted
from jepsen_like.workloads.promises import eventual_register, finals_of
from jepsen_like.workloads.workload import Extent, Final

_WEIGHTS = {"read": 4, "write": 3, "delete": 3}


@dataclass(frozen=True, slots=True)
class DeletesWorkload:
    """Reads, writes and deletes."""

    name: str = "deletes"
    model: str = "eventual"

    def invocations(
        self, random: Random, nodes: Sequence[str], extent: Extent
    ) -> Iterator[Invoke]:
        """Yield what is asked for, in order of time."""
        values = fresh_values()
        for at, worker, node, key in slots(random, nodes, extent):
            f = weighted(random, _WEIGHTS)
            argument = next(values) if f == "write" else None
            yield Invoke(at, worker, node, f, key, argument)

    def finals(self, invocations: Sequence[Invoke]) -> tuple[Final, ...]:
        """Return a read, and a look at the conflict log, of each key."""
        return finals_of(keys_of(invocations), ("read", "conflicts"))

    def judge(self, history: History) -> tuple[Judgement, ...]:
        """Judge as an eventually consistent store."""
        return eventual_register(history)
