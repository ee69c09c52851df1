"""Counters: additions and subtractions, none lost and none counted twice."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from jepsen_like.checkers import convergence, counter
from jepsen_like.history.history import History
from jepsen_like.plan import Invoke
from jepsen_like.verdict import Judgement
from jepsen_like.workloads.drawing import keys_of, slots, weighted
from jepsen_like.workloads.promises import Judge
from jepsen_like.workloads.workload import Extent, Final

_WEIGHTS = {"value": 4, "add": 6}

_AMOUNTS = (-3, -2, -1, 1, 2, 3, 5, 8, 13)


def eventual_counter(history: History) -> tuple[Judgement, ...]:
    """Judge a counter that merges concurrent additions."""
    return convergence.check(history), counter.check_final(history)


def strong_counter(history: History) -> tuple[Judgement, ...]:
    """Judge a counter of which each read shows what was added before."""
    return (counter.check(history),)


@dataclass(frozen=True, slots=True)
class CounterWorkload:
    """
    Additions and reads.

    Attributes:
        name: How users select it.
        model: What the operations mean.
        promise: What must be true of the answers.
    """

    name: str = "counter"
    model: str = "eventual counter"
    promise: Judge = eventual_counter

    def invocations(
        self, random: Random, nodes: Sequence[str], extent: Extent
    ) -> Iterator[Invoke]:
        """Yield what is asked for, in order of time."""
        for at, worker, node, key in slots(random, nodes, extent):
            f = weighted(random, _WEIGHTS)
            argument = random.choice(_AMOUNTS) if f == "add" else None
            yield Invoke(at, worker, node, f, key, argument)

    def finals(self, invocations: Sequence[Invoke]) -> tuple[Final, ...]:
        """Return a read of each counter."""
        return tuple(Final("value", key) for key in keys_of(invocations))

    def judge(self, history: History) -> tuple[Judgement, ...]:
        """Judge by what is promised."""
        return self.promise(history)
