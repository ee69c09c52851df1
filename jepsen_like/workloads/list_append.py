"""
Lists that transactions append to, each element once; for transactional systems.

A read shows the whole list, hence the order of the appends before it, which makes
a transaction history's dependencies plain.

Reference:
    Kingsbury & Alvaro, 2020.  Elle: inferring isolation anomalies from
        experimental observations.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from jepsen_like.checkers.elle import check_list_append
from jepsen_like.checkers.finals import with_finals
from jepsen_like.history.history import History
from jepsen_like.history.operation import Key, Value
from jepsen_like.plan import Invoke
from jepsen_like.verdict import Judgement
from jepsen_like.workloads.drawing import fresh_values, slots
from jepsen_like.workloads.workload import Extent, Final

STEPS_MAX = 4
"""Micro-operations of one transaction, at most."""


APPENDS = 0.5
"""Share of the micro-operations that append."""


@dataclass(frozen=True, slots=True)
class ListAppendWorkload:
    """
    Transactions of appends and reads.

    Attributes:
        name: How users select it.
        model: What the operations mean.
        level: The isolation that is promised.
    """

    name: str = "list-append"
    model: str = "list-append"
    level: str = "strict-serializable"

    def invocations(
        self, random: Random, nodes: Sequence[str], extent: Extent
    ) -> Iterator[Invoke]:
        """Yield what is asked for, in order of time."""
        elements = fresh_values()
        for at, worker, node, key in slots(random, nodes, extent):
            steps: list[Value] = []
            touched = key
            for _ in range(random.randint(1, STEPS_MAX)):
                if random.random() < APPENDS:
                    steps.append(("append", touched, next(elements)))
                else:
                    steps.append(("r", touched, None))
                touched = f"k{random.randrange(extent.keys)}"
            yield Invoke(at, worker, node, "txn", None, tuple(steps))

    def finals(self, invocations: Sequence[Invoke]) -> tuple[Final, ...]:
        """Return a read of all lists in one transaction."""
        keys: dict[Key, None] = {}
        for invocation in invocations:
            keys.update(dict.fromkeys(_keys(invocation.argument)))
        reads = tuple(("r", key, None) for key in sorted(keys, key=str))
        return (Final("txn", None, reads),) if reads else ()

    def judge(self, history: History) -> tuple[Judgement, ...]:
        """Judge by the isolation that is promised."""
        return (check_list_append(with_finals(history), self.level),)


def _keys(steps: Value) -> Iterator[Key]:
    for step in steps if isinstance(steps, tuple) else ():
        match step:
            case (_, str() | int() as key, _):
                yield key
            case _:
                msg = f"a micro-operation is (f, key, value), not {step!r}"
                raise ValueError(msg)
