"""
Registers of objects that are made again what they were (docs/objects.md).

    read, write
    bookmark name           asks what the object calls the present: *name* stands for it
    restore (name, undo)    to what *name* stands for; *undo* stands for what was before

A plan is drawn beforehand, and what a store calls a point is known when it has said so:
so a plan has names, and whoever asks knows what they stand for.  A name whose bookmark
was refused, or has not been answered yet, stands for nothing, and nobody is asked.

A restore takes the name of one of the last few points, restores among them, so that
points before a restore and undone restores are asked for as well.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final as Constant

from jepsen_like.history.history import History
from jepsen_like.plan import Invoke
from jepsen_like.verdict import Judgement
from jepsen_like.workloads.drawing import fresh_values, keys_of, slots, weighted
from jepsen_like.workloads.promises import finals_of, linearizable_restores
from jepsen_like.workloads.workload import Extent, Final

_WEIGHTS: Constant = {"read": 4, "write": 4, "bookmark": 2, "restore": 2}

_RECENT: Constant = 4
"""Of the last so many names one is drawn: older ones would undo most of the run."""


@dataclass(frozen=True, slots=True)
class ObjectRestoreWorkload:
    """Reads and writes, bookmarks, and restores to them and before them."""

    name: str = "object-restore"
    model: str = "restorable-register"

    def invocations(
        self, random: Random, nodes: Sequence[str], extent: Extent
    ) -> Iterator[Invoke]:
        """Yield what is asked for, in order of time; each name is given once."""
        values = fresh_values()
        named: defaultdict[str, list[str]] = defaultdict(list)
        for at, worker, node, key in slots(random, nodes, extent):
            names = named[key]
            match weighted(random, _WEIGHTS):
                case "read":
                    yield Invoke(at, worker, node, "read", key)
                case "write":
                    yield Invoke(at, worker, node, "write", key, next(values))
                case "restore" if names:
                    chosen, undo = random.choice(names[-_RECENT:]), _next(names)
                    names.append(undo)
                    yield Invoke(at, worker, node, "restore", key, (chosen, undo))
                case _:
                    name = _next(names)
                    names.append(name)
                    yield Invoke(at, worker, node, "bookmark", key, name)

    def finals(self, invocations: Sequence[Invoke]) -> tuple[Final, ...]:
        """Return a read of each register."""
        return finals_of(keys_of(invocations), ("read",))

    def judge(self, history: History) -> tuple[Judgement, ...]:
        """Judge as linearizable."""
        return linearizable_restores(history)


def _next(names: Sequence[str]) -> str:
    return f"point {len(names) + 1}"
