"""
What a workload is: operations to ask for, and what must be true of the answers.

Operations are drawn beforehand, so that a plan is data; what a client must decide
by what it has read (the expected value of a `cas`) is said symbolically and
decided by the adapter.
"""

from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple, Protocol

from jepsen_like.history.history import History
from jepsen_like.history.operation import Key, Value
from jepsen_like.plan import Invoke
from jepsen_like.verdict import Judgement


class Extent(NamedTuple):
    """
    How much is asked for.

    Attributes:
        operations: How many, over all workers.
        workers: How many at once.
        keys: How many keys.
        duration_ms: Spread over that time.
    """

    operations: int = 200
    workers: int = 6
    keys: int = 4
    duration_ms: int = 10_000


class Final(NamedTuple):
    """
    A question asked of every node at the quiet end.

    Attributes:
        f: What is asked.
        key: Of what.
        argument: With what.
        alike: All nodes must come to give the same answer; False for what a node
            answers from what it has gone through itself.
    """

    f: str
    key: Key
    argument: Value = None
    alike: bool = True


class Workload(Protocol):
    """One kind of test."""

    @property
    def name(self) -> str:
        """How users select it."""

    @property
    def model(self) -> str:
        """What the operations mean, as `History.header.model` says it."""

    def invocations(
        self, random: Random, nodes: Sequence[str], extent: Extent
    ) -> Iterator[Invoke]:
        """Yield what is asked for, in order of time."""

    def finals(self, invocations: Sequence[Invoke]) -> tuple[Final, ...]:
        """Return what every node is asked at the end, after *invocations*."""

    def judge(self, history: History) -> tuple[Judgement, ...]:
        """Judge a finished run."""
