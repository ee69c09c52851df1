"""
Watches: some workers watch while others write.

Each third worker watches all keys for a while, again and again, and reads now and
then; the last thing it does is to watch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from jepsen_like.checkers import convergence, durability, watch
from jepsen_like.history.history import History
from jepsen_like.plan import Invoke
from jepsen_like.verdict import Judgement
from jepsen_like.workloads.drawing import Slot, fresh_values, keys_of, slots, weighted
from jepsen_like.workloads.promises import rank
from jepsen_like.workloads.workload import Extent, Final

_WATCHER = {"watch": 6, "read": 2, "write": 1}
_WRITER = {"write": 5, "read": 3, "delete": 1}

WATCHER_EVERY = 3
"""One worker of so many is a watcher."""

PREFIX = "k"
"""What all keys begin with."""

WATCH_SHARE = 0.03
WATCH_MS_MIN, WATCH_MS_MAX = 100, 2_000
"""A watch lasts that share of the run, within these bounds."""


@dataclass(frozen=True, slots=True)
class WatchWorkload:
    """Writes, deletes and reads, and watchers of them."""

    name: str = "watch"
    model: str = "watch"

    def invocations(
        self, random: Random, nodes: Sequence[str], extent: Extent
    ) -> Iterator[Invoke]:
        """Yield what is asked for, in order of time."""
        values = fresh_values()
        drawn = list(slots(random, nodes, extent))
        last = {slot.worker: place for place, slot in enumerate(drawn)}
        lasting = round(WATCH_SHARE * extent.duration_ms)
        lasting = min(max(lasting, WATCH_MS_MIN), WATCH_MS_MAX)
        for place, slot in enumerate(drawn):
            f = _drawn_f(random, slot, is_last=last[slot.worker] == place)
            if f == "watch":
                argument = (PREFIX, lasting)
                yield Invoke(slot.at, slot.worker, slot.node, f, None, argument)
            else:
                value = next(values) if f == "write" else None
                yield Invoke(slot.at, slot.worker, slot.node, f, slot.key, value)

    def finals(self, invocations: Sequence[Invoke]) -> tuple[Final, ...]:
        """Return a read of each key."""
        return tuple(Final("read", key) for key in keys_of(invocations))

    def judge(self, history: History) -> tuple[Judgement, ...]:
        """Judge the watches."""
        return (
            watch.check(history, order_of=rank),
            convergence.check(history),
            durability.check(history, order_of=rank),
        )


def _drawn_f(random: Random, slot: Slot, *, is_last: bool) -> str:
    if slot.worker % WATCHER_EVERY:
        return weighted(random, _WRITER)
    return "watch" if is_last else weighted(random, _WATCHER)
