"""Small histories of transactions: by hand, by chance, and from a toy store."""

from collections.abc import Iterable, Sequence
from itertools import count
from random import Random

from jepsen_like.history.history import Header, History
from jepsen_like.history.operation import Key, Operation, Outcome, Value

Micro = tuple[str, Key, Value]


def transaction(
    process: int,
    micro: Sequence[Micro],
    at: int,
    outcome: Outcome = Outcome.OK,
) -> Operation:
    """Return a transaction called at *at* and returned at *at* + 1."""
    steps = tuple(micro)
    result = steps if outcome is Outcome.OK else None
    return Operation(process, "txn", None, steps, result, at, at + 1, outcome)


def history(*transactions: tuple[int, Sequence[Micro]]) -> History:
    """Return a history of (process, micro-operations) in this order, all committed."""
    return of_operations(
        transaction(process, micro, 2 * index)
        for index, (process, micro) in enumerate(transactions)
    )


def of_operations(operations: Iterable[Operation], initial: Value = None) -> History:
    """Return a history of *operations* as they are."""
    return History(tuple(operations), header=Header(timed=False, initial=initial))


def by_chance(random: Random) -> History:
    """
    Return a history of two to five transactions, right or wrong.

    Some fail or are left open, and in some histories values are written twice.
    """
    asked = _asked(random)
    written: dict[Key, list[Value]] = {}
    for steps in asked:
        for f, key, value in steps:
            of_key = written.setdefault(key, [None])
            if f == "w":
                of_key.append(value)
    processes = random.randint(1, 3)
    operations = []
    for index, steps in enumerate(asked):
        done = _done(random, steps, written)
        chance = random.random()
        outcome = Outcome.OK if chance < 0.9 else Outcome.INFO
        if chance > 0.97:
            outcome = Outcome.FAIL
        process = random.randrange(processes)
        operations.append(transaction(process, done, 2 * index, outcome))
    return of_operations(operations)


def _asked(random: Random) -> list[list[Micro]]:
    """Return transactions before they are run: what is read is not known yet."""
    keys = random.randint(1, 2)
    repeated = random.random() < 0.3
    fresh = count(1)
    asked: list[list[Micro]] = []
    for _ in range(random.randint(2, 5)):
        steps: list[Micro] = []
        for _ in range(random.choice((1, 1, 2, 2, 3))):
            key = random.randrange(keys)
            if random.random() < 0.5:
                value = random.randint(1, 2) if repeated else next(fresh)
                steps.append(("w", key, value))
            else:
                steps.append(("r", key, None))
        asked.append(steps)
    return asked


def _done(
    random: Random, asked: Sequence[Micro], written: dict[Key, list[Value]]
) -> list[Micro]:
    """Return *asked* with values read: own writes mostly, else anything."""
    own: dict[Key, Value] = {}
    done: list[Micro] = []
    for f, key, value in asked:
        read = value
        if f == "w":
            own[key] = value
        elif key in own and random.random() < 0.95:
            read = own[key]
        elif random.random() < 0.98:
            read = random.choice(written[key])
        else:
            read = 99
        done.append((f, key, read))
    return done
