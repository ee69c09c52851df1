"""
Registers: keys that are read and written, each value written once.

A store that is eventually consistent must converge, lose nothing that it has
acknowledged, account for concurrent writes that lost, and keep its promises to
sessions.  The same operations, asked of a store that claims more, are judged as
linearizable.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from jepsen_like.history.history import History
from jepsen_like.plan import Invoke
from jepsen_like.verdict import Judgement
from jepsen_like.workloads.drawing import fresh_values, keys_of, slots, weighted
from jepsen_like.workloads.promises import Judge, causal_register, finals_of
from jepsen_like.workloads.workload import Extent, Final

_WEIGHTS = {"read": 5, "write": 5}


@dataclass(frozen=True, slots=True)
class RegisterWorkload:
    """
    Reads and writes.

    Attributes:
        name: How users select it.
        model: What the operations mean.
        promise: What must be true of the answers.
        asked: What is asked of each key at the quiet end.
    """

    name: str = "register"
    model: str = "eventual"
    promise: Judge = causal_register
    asked: tuple[str, ...] = ("read", "conflicts")

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
        """Return what is asked of each key."""
        return finals_of(keys_of(invocations), self.asked)

    def judge(self, history: History) -> tuple[Judgement, ...]:
        """Judge by what is promised."""
        return self.promise(history)
