"""Documents that many write at once: every insertion stays, once, everywhere."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from jepsen_like.checkers import convergence, document
from jepsen_like.history.history import History
from jepsen_like.plan import Invoke
from jepsen_like.verdict import Judgement
from jepsen_like.workloads.drawing import fresh_values, keys_of, slots, weighted
from jepsen_like.workloads.workload import Extent, Final

_WEIGHTS = {"text": 3, "append": 7}


@dataclass(frozen=True, slots=True)
class DocumentWorkload:
    """Markers added to texts, each a text of its own that ends like no other."""

    name: str = "document"
    model: str = "eventual document"

    def invocations(
        self, random: Random, nodes: Sequence[str], extent: Extent
    ) -> Iterator[Invoke]:
        """Yield what is asked for, in order of time."""
        markers = fresh_values()
        for at, worker, node, key in slots(random, nodes, extent):
            f = weighted(random, _WEIGHTS)
            argument = f"<{next(markers)}>" if f == "append" else None
            yield Invoke(at, worker, node, f, key, argument)

    def finals(self, invocations: Sequence[Invoke]) -> tuple[Final, ...]:
        """Return a read of each document."""
        return tuple(Final("text", key) for key in keys_of(invocations))

    def judge(self, history: History) -> tuple[Judgement, ...]:
        """Judge as documents that merge concurrent edits."""
        return convergence.check(history), document.check(history)
