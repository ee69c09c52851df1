"""
Drawing operations: who asks which node, when, and for which key.

Workers have a home node, as clients have a nearest one, and ask another now and
then: only a session that moves can find that a node lacks what it has seen.
Every number comes from the generator that is given, so a plan is the same for
the same seed wherever it is drawn.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from random import Random
from typing import NamedTuple

from jepsen_like.history.operation import Key
from jepsen_like.plan import Invoke
from jepsen_like.workloads.workload import Extent

ROAMING = 0.25
"""Share of the operations that a worker asks of any node instead of its home."""


class Slot(NamedTuple):
    """
    Room for one operation.

    Attributes:
        at: When, in ms of the run.
        worker: Who asks.
        node: Whom.
        key: About what.
    """

    at: int
    worker: int
    node: str
    key: str


def slots(
    random: Random, nodes: Sequence[str], extent: Extent, *, roaming: float = ROAMING
) -> Iterator[Slot]:
    """
    Yield `extent.operations` slots in order of time, spread over the duration.

    Raises:
        ValueError: There are no nodes, or a number of *extent* is below 1
            (operations may be 0).
    """
    if not nodes:
        msg = "a workload needs at least one node to ask; none was given"
        raise ValueError(msg)
    if extent.operations < 0 or min(extent[1:]) < 1:
        msg = f"workers, keys and duration must be 1 or more, operations 0: {extent}"
        raise ValueError(msg)
    times = sorted(
        random.randrange(extent.duration_ms) for _ in range(extent.operations)
    )
    for at in times:
        worker = random.randrange(extent.workers)
        node = nodes[worker % len(nodes)]
        if random.random() < roaming:
            node = random.choice(nodes)
        yield Slot(at, worker, node, f"k{random.randrange(extent.keys)}")


def weighted(random: Random, weights: Mapping[str, int]) -> str:
    """Return one of the names of *weights*, each as often as its weight says."""
    return random.choices(list(weights), list(weights.values()))[0]


def fresh_values() -> Iterator[int]:
    """Yield 1, 2, 3, ...: values that a plan writes once each."""
    return count(1)


def keys_of(invocations: Sequence[Invoke]) -> tuple[Key, ...]:
    """Return the keys that *invocations* name, each once, in order of their names."""
    named = {invoke.key for invoke in invocations if invoke.key is not None}
    return tuple(sorted(named, key=str))
