"""
Exhaustive exploration of a shard: every state within bounds is looked at.

    python -m tests.simulation.exploring --takeovers 2 --moves 1

Simulation looks at some histories of much that can happen; this looks at all histories
of little.  What is explored is no model of a shard but its replicas themselves
(`tests.simulation.explored_replicas`), in all orders of what can happen to them
(`tests.simulation.shard_space`); what must be true is `tests.simulation.shard_rules`.

States are looked at in the order of their distance from the start, so a history that
breaks a rule is as short as any.

References:
    Newcombe et al., 2015.  How Amazon Web Services uses formal methods.
    Holzmann, 1997.  The model checker SPIN: state spaces in memory, and partial orders.
"""

import argparse
import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import process_time

from kvnode.types import ReplicaId
from tests.simulation.explored_replicas import ViolationError
from tests.simulation.shard_space import Bounds, ShardSpace, State, Step
from tests.simulation.widest import Widest

STATES_MAX = 30_000_000
"""About 500 bytes each: what a machine of 16 GiB has room for."""


@dataclass(frozen=True, slots=True)
class Explored:
    """
    What was looked at, and what was found.

    Attributes:
        states: Of the whole shard, each counted once, and none that another one
            stands for.
        steps: From them.
        depth: How many steps the farthest is away from the start.
        is_whole: Whether no state within the bounds is left.
        replica_states: Of single replicas.
        views: States of the shard, messages under way left out.
        served: Who has opened which epoch in one history or another.
        violation: What is wrong, empty if nothing is.
        history: How it came to the state whose next step is wrong.
    """

    states: int
    steps: int
    depth: int
    is_whole: bool
    replica_states: int
    views: int
    served: frozenset[tuple[ReplicaId, int]]
    violation: str = ""
    history: tuple[Step, ...] = ()


class _Search:
    """A search under way; a state is left alone where another one stands for it."""

    def __init__(self, space: ShardSpace) -> None:
        self._space = space
        self._reached_from: dict[State, State | None] = {}
        self._widest = Widest(space.authorities)
        self._steps = 0
        self._depth = 0
        self._expanded = 0
        self._layer: list[State] = []
        self._note(space.start, None, self._layer)

    def run(self, states_max: int) -> Explored:
        """Go on until nothing is left, or something is wrong, or there are too many."""
        while self._layer:
            following: list[State] = []
            for state in self._layer:
                if state not in self._widest:
                    continue
                try:
                    for _, after in self._space.following(state):
                        self._steps += 1
                        self._note(after, state, following)
                except ViolationError as error:
                    return self._explored(str(error), self._history(state))
                self._expanded += 1
                if self._expanded >= states_max:
                    return self._explored()
            self._layer = following
            self._depth += bool(following)
        return self._explored()

    def _note(self, state: State, before: State | None, following: list[State]) -> None:
        """Look at a state later on, unless another one stands for it."""
        if self._widest.add(state):
            self._reached_from[state] = before
            following.append(state)

    def _explored(
        self, violation: str = "", history: tuple[Step, ...] = ()
    ) -> Explored:
        return Explored(
            self._expanded,
            self._steps,
            self._depth,
            not self._layer,
            len(self._space.replicas.minds),
            self._space.views,
            self._space.replicas.served,
            violation,
            history,
        )

    def _history(self, state: State) -> tuple[Step, ...]:
        steps: list[Step] = []
        before = self._reached_from[state]
        while before is not None:
            following = self._space.following(before)
            steps.append(next(step for step, after in following if after == state))
            state, before = before, self._reached_from[before]
        return tuple(reversed(steps))


def explore(bounds: Bounds, *, states_max: int = STATES_MAX) -> Explored:
    """
    Look at all states within *bounds*, nearest first, until one breaks a rule.

    Args:
        bounds: How much may happen.
        states_max: Stop once there are so many.
    """
    with _no_collector():
        try:
            space = ShardSpace(bounds)
        except ViolationError as error:
            return Explored(
                states=0,
                steps=0,
                depth=0,
                is_whole=False,
                replica_states=0,
                views=0,
                served=frozenset(),
                violation=f"before it began: {error}",
            )
        return _Search(space).run(states_max)


@contextmanager
def _no_collector() -> Iterator[None]:
    """Look for no cycles: millions of values stay to the end, and have none."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def main(arguments: Sequence[str] | None = None) -> int:
    """Explore, and say what came of it; return 1 if something is wrong."""
    parser = argparse.ArgumentParser(description="Explore a shard within bounds.")
    for name in Bounds._fields:
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("--states-max", type=int, default=STATES_MAX)
    chosen = vars(parser.parse_args(arguments))
    states_max = chosen.pop("states_max")
    began = process_time()
    found = explore(Bounds(**chosen), states_max=states_max)
    seconds = process_time() - began
    counted = (
        f"{found.states} states, {found.steps} steps, depth {found.depth},"
        f" {found.replica_states} states of replicas, {found.views} views,"
        f" {seconds:.1f} s of a processor;"
        f" {'all' if found.is_whole else 'not all'} within the bounds"
    )
    history = (f"  {step}" for step in found.history)
    verdict = found.violation or "nothing is wrong"
    sys.stdout.write("\n".join((counted, *history, verdict, "")))
    return int(bool(found.violation))


if __name__ == "__main__":
    raise SystemExit(main())
