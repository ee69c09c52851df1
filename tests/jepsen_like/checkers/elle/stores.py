"""
Databases small enough to be trusted, or to be wrong in one known way.

Clients run transactions step by step, interleaved by chance; every event takes one
tick.  What a store does with a step, and what it keeps at the end, is all that
distinguishes a serializable one from a broken one.
"""

from dataclasses import dataclass, field
from random import Random

from jepsen_like.history.history import History
from jepsen_like.history.operation import FOREVER, Operation, Outcome, Value

Step = tuple[str, Value, Value]
State = dict[Value, Value]


def applied(state: State, step: Step) -> Step:
    """Do *step* on *state* and return it with what it read filled in."""
    f, key, value = step
    if f == "r":
        return (f, key, state.get(key))
    if f == "append":
        earlier = state.get(key) or ()
        assert isinstance(earlier, tuple)
        state[key] = (*earlier, value)
    else:
        state[key] = value
    return step


@dataclass
class Running:
    """A transaction under way."""

    process: int
    script: tuple[Step, ...]
    called: int
    view: State
    began: State
    done: list[Step] = field(default_factory=list)

    def writes(self) -> list[Step]:
        """Return what it wrote so far."""
        return [step for step in self.done if step[0] != "r"]


class Store:
    """Serializable and in real time: all of a transaction happens at its end."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.state: State = {}

    def begin(self, running: Running) -> None:
        """Take note of a transaction that begins."""

    def step(self, running: Running, step: Step) -> None:
        """Do *step* of a transaction."""
        running.done.append(step)

    def finish(self, running: Running) -> bool:
        """Try to commit; return whether it did."""
        running.done = [applied(self.state, step) for step in running.done]
        return True

    def abort(self, running: Running) -> None:
        """Undo a transaction."""


class SnapshotStore(Store):
    """Snapshot isolation: reads as of the beginning, first committer wins."""

    first_committer_wins = True

    def begin(self, running: Running) -> None:
        """Take the snapshot."""
        running.view = dict(self.state)
        running.began = dict(self.state)

    def step(self, running: Running, step: Step) -> None:
        """Work on the snapshot."""
        running.done.append(applied(running.view, step))

    def conflicts(self, running: Running) -> bool:
        """Return whether another committed upon what this one wrote."""
        return self.first_committer_wins and any(
            self.state.get(key) != running.began.get(key)
            for _, key, _ in running.writes()
        )

    def finish(self, running: Running) -> bool:
        """Apply the writes unless there is a conflict."""
        if self.conflicts(running):
            return False
        for step in running.writes():
            applied(self.state, step)
        return True


class LosingStore(SnapshotStore):
    """Snapshots without the rule that the first committer wins."""

    first_committer_wins = False


class OverwritingStore(SnapshotStore):
    """Last committer wins: it puts back whole values as it had seen them."""

    def finish(self, running: Running) -> bool:
        """Overwrite each written key by the private copy."""
        for _, key, _ in running.writes():
            self.state[key] = running.view[key]
        return True


class CommittedStore(SnapshotStore):
    """Read committed: every step sees what is committed by then, and its own."""

    def step(self, running: Running, step: Step) -> None:
        """Work on what is committed now."""
        view = dict(self.state)
        own = running.writes()
        for write in own:
            applied(view, write)
        if any(write[1] == step[1] for write in own):
            # It depends on what is there below its own write, until it commits.
            running.view.setdefault(step[1], self.state.get(step[1]))
        running.done.append(applied(view, step))

    def begin(self, running: Running) -> None:
        """Take no snapshot."""

    def conflicts(self, running: Running) -> bool:
        """Return whether others committed below what it saw upon its own write."""
        return any(self.state.get(key) != value for key, value in running.view.items())


class DirtyStore(Store):
    """No isolation: every step is done in place, and nothing is ever undone."""

    def step(self, running: Running, step: Step) -> None:
        """Work in place."""
        running.done.append(applied(self.state, step))

    def finish(self, running: Running) -> bool:
        """Call it committed, if anything was asked at all."""
        return bool(running.script)


class StaleStore(Store):
    """Serializable, but pure readers may see an old state."""

    def __init__(self, rng: Random) -> None:
        super().__init__(rng)
        self.past: list[State] = [{}]

    def finish(self, running: Running) -> bool:
        """Let readers read the past."""
        if all(step[0] == "r" for step in running.done):
            view = dict(self.rng.choice(self.past))
            running.done = [applied(view, step) for step in running.done]
            return True
        super().finish(running)
        self.past.append(dict(self.state))
        return True


STORES = (
    Store,
    SnapshotStore,
    LosingStore,
    OverwritingStore,
    CommittedStore,
    DirtyStore,
    StaleStore,
)


@dataclass(frozen=True)
class Shape:
    """What a run is like; `write` is `append` or `w`."""

    write: str = "append"
    transactions: int = 4
    clients: int = 3
    keys: int = 2
    steps_max: int = 3
    aborts: float = 0.0
    crashes: float = 0.0


def run(store: Store, shape: Shape) -> History:
    """Return the history of random transactions on *store*, in ticks."""
    rng = store.rng
    written = 0
    left, tick = shape.transactions, 0
    active: dict[int, Running] = {}
    names = list(range(shape.clients))
    operations: list[Operation] = []
    while left or active:
        tick += 1
        place = rng.randrange(shape.clients)
        process = names[place]
        running = active.get(process)
        if running is None:
            if not left:
                continue
            left -= 1
            script: list[Step] = []
            for _ in range(rng.randint(1, shape.steps_max)):
                key = f"k{rng.randrange(shape.keys)}"
                if rng.random() < 0.5:
                    script.append(("r", key, None))
                else:
                    written += 1
                    script.append((shape.write, key, written))
            running = Running(process, tuple(script), tick, {}, {})
            active[process] = running
            store.begin(running)
        elif len(running.done) < len(running.script):
            store.step(running, running.script[len(running.done)])
        else:
            del active[process]
            operation = _ended(store, shape, running, tick)
            operations.append(operation)
            if operation.outcome is Outcome.INFO:
                names[place] = process + shape.clients
    return History.of(operations)


def _ended(store: Store, shape: Shape, running: Running, tick: int) -> Operation:
    result: tuple[Step, ...] | None = None
    outcome, returned = Outcome.FAIL, tick
    if store.rng.random() < shape.aborts:
        store.abort(running)
    elif store.rng.random() < shape.crashes:
        # Half of those that crash commit first.
        if store.rng.random() < 0.5:
            store.finish(running)
        outcome, returned = Outcome.INFO, FOREVER
    elif store.finish(running):
        outcome, result = Outcome.OK, tuple(running.done)
    return Operation(
        process=running.process,
        f="txn",
        key=None,
        argument=running.script,
        result=result,
        called=running.called,
        returned=returned,
        outcome=outcome,
    )
