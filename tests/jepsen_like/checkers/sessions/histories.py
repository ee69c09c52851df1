"""Small histories of sessions by chance, with and without ranks."""

from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import NamedTuple

from jepsen_like.history.history import Header, History
from jepsen_like.history.operation import Key, Operation, Outcome, Value


class Shown(NamedTuple):
    """A history, and the ranks that its store shows, by time of call."""

    history: History
    ranks: Mapping[int, int]

    @property
    def order_of(self) -> Callable[[Operation], int | None]:
        """What `check` asks."""
        return lambda operation: self.ranks.get(operation.called)


def operation(process: int, f: str, key: Key, value: Value, at: int) -> Operation:
    """Return a plain operation that was done, called at *at*."""
    asked = value if f == "write" else None
    got = value if f == "read" else None
    return Operation(process, f, key, asked, got, at, at + 1, Outcome.OK)


def of_operations(operations: Iterable[Operation]) -> History:
    """Return a history of *operations* as they are."""
    return History(tuple(operations), header=Header(timed=False))


def history(*told: tuple[int, str, Key, Value]) -> History:
    """Return a history of (process, f, key, value), all done."""
    return of_operations(
        operation(process, f, key, value, 2 * index)
        for index, (process, f, key, value) in enumerate(told)
    )


def by_chance(
    random: Random, *, deletes: bool, ranked: float, length_max: int = 8
) -> Shown:
    """
    Return a history of sessions, right or wrong.

    Args:
        random: Where chance comes from.
        deletes: Whether keys are deleted.
        ranked: The share of operations that show ranks.
        length_max: Operations at most.
    """
    asked = _asked(random, length_max, deletes=deletes)
    written: dict[Key, list[Value]] = {}
    for _, f, key, value in asked:
        of_key = written.setdefault(key, [None])
        if f == "write":
            of_key.append(value)
    places = {
        (key, value): place
        for key, values in written.items()
        for value, place in zip(
            values[1:], random.sample(range(1, 20), len(values) - 1), strict=True
        )
    }
    later = random.sample(range(20, 40), len(asked))
    ranks: dict[int, int] = {}
    operations = []
    for at, (process, f, key, value) in enumerate(asked):
        shown = random.choice(written[key]) if f == "read" else value
        outcome = Outcome.OK if f == "read" else _outcome(random)
        done = operation(process, f, key, shown, 2 * at)._replace(outcome=outcome)
        operations.append(done)
        place = later[at] if f == "delete" else places.get((key, shown))
        if place is not None and outcome is Outcome.OK and random.random() < ranked:
            ranks[done.called] = place
    return Shown(of_operations(operations), ranks)


def _asked(
    random: Random, length_max: int, *, deletes: bool
) -> list[tuple[int, str, Key, Value]]:
    processes, keys = random.randint(1, 3), random.randint(1, 2)
    asked: list[tuple[int, str, Key, Value]] = []
    for at in range(random.randint(2, length_max)):
        process, key = random.randrange(processes), random.randrange(keys)
        if random.random() < 0.6:
            asked.append((process, "read", key, None))
        elif deletes and random.random() < 0.3:
            asked.append((process, "delete", key, None))
        else:
            asked.append((process, "write", key, at))
    return asked


def _outcome(random: Random) -> Outcome:
    return random.choices((Outcome.OK, Outcome.INFO, Outcome.FAIL), (90, 7, 3))[0]
