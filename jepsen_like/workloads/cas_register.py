"""
Registers with compare-and-set, each value written once.

Whoever swaps expects what the plan has written there last, so that most swaps
hit unless something else came in between.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from jepsen_like.history.history import History
from jepsen_like.history.operation import Value
from jepsen_like.plan import Invoke
from jepsen_like.verdict import Judgement
from jepsen_like.workloads.drawing import fresh_values, keys_of, slots, weighted
from jepsen_like.workloads.promises import Judge, eventual_register, finals_of
from jepsen_like.workloads.workload import Extent, Final

_WEIGHTS = {"read": 4, "write": 3, "cas": 3}


@dataclass(frozen=True, slots=True)
class CasRegisterWorkload:
    """
    Reads, writes and swaps.

    Attributes:
        name: How users select it.
        model: What the operations mean.
        promise: What must be true of the answers.
        asked: What is asked of each key at the quiet end.
    """

    name: str = "cas-register"
    model: str = "eventual"
    promise: Judge = eventual_register
    asked: tuple[str, ...] = ("read", "conflicts")

    def invocations(
        self, random: Random, nodes: Sequence[str], extent: Extent
    ) -> Iterator[Invoke]:
        """Yield what is asked for, in order of time."""
        values = fresh_values()
        last: dict[str, int] = {}
        for at, worker, node, key in slots(random, nodes, extent):
            f = weighted(random, _WEIGHTS)
            argument: Value = None
            if f != "read":
                new = next(values)
                argument = new if f == "write" else (last.get(key), new)
                last[key] = new
            yield Invoke(at, worker, node, f, key, argument)

    def finals(self, invocations: Sequence[Invoke]) -> tuple[Final, ...]:
        """Return what is asked of each key."""
        return finals_of(keys_of(invocations), self.asked)

    def judge(self, history: History) -> tuple[Judgement, ...]:
        """Judge by what is promised."""
        return self.promise(history)
