"""Sets: elements inserted once each, some of them removed, none lost or back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from jepsen_like.checkers import convergence, set_full
from jepsen_like.history.history import History
from jepsen_like.history.operation import Value
from jepsen_like.plan import Invoke
from jepsen_like.verdict import Judgement
from jepsen_like.workloads.drawing import fresh_values, keys_of, slots, weighted
from jepsen_like.workloads.promises import Judge
from jepsen_like.workloads.workload import Extent, Final

_WEIGHTS = {"members": 3, "insert": 5, "remove": 2}


def eventual_set(history: History) -> tuple[Judgement, ...]:
    """Judge a set that merges concurrent changes."""
    return convergence.check(history), set_full.check(history)


def strong_set(history: History) -> tuple[Judgement, ...]:
    """Judge a set of which each read shows what was inserted before."""
    return (set_full.check(history, linearizable=True),)


@dataclass(frozen=True, slots=True)
class SetWorkload:
    """
    Insertions, removals and reads of all.

    Attributes:
        name: How users select it.
        model: What the operations mean.
        promise: What must be true of the answers.
    """

    name: str = "set"
    model: str = "eventual set"
    promise: Judge = eventual_set

    def invocations(
        self, random: Random, nodes: Sequence[str], extent: Extent
    ) -> Iterator[Invoke]:
        """Yield what is asked for, in order of time; each element is removed once."""
        elements = fresh_values()
        inserted: dict[str, list[int]] = {}
        for at, worker, node, key in slots(random, nodes, extent):
            f = weighted(random, _WEIGHTS)
            held = inserted.setdefault(key, [])
            argument: Value = None
            if f == "remove" and held:
                argument = held.pop(random.randrange(len(held)))
            elif f != "members":
                f, argument = "insert", next(elements)
                held.append(argument)
            yield Invoke(at, worker, node, f, key, argument)

    def finals(self, invocations: Sequence[Invoke]) -> tuple[Final, ...]:
        """Return a read of each set."""
        return tuple(Final("members", key) for key in keys_of(invocations))

    def judge(self, history: History) -> tuple[Judgement, ...]:
        """Judge by what is promised."""
        return self.promise(history)
