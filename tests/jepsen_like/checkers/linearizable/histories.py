"""
Random small histories, half of them made by a real object.

A history by construction lets each operation take effect at an instant between its
call and its return, on an object that is right; so it is linearizable.  The others
differ from such a one in a few answers.
"""

from collections.abc import Callable
from random import Random
from typing import Any

from jepsen_like.history import (
    FOREVER,
    Header,
    History,
    Key,
    Operation,
    Outcome,
    Value,
)
from tests.jepsen_like.checkers.linearizable.twin import STEPS, Remembered, inner

Draw = Callable[[Random], "tuple[str, Value]"]
"""Returns f and argument."""


def _pairs(random: Random, names: str, values: int) -> tuple[Value, ...]:
    chosen = random.sample(names, random.randint(1, len(names)))
    return tuple((name, random.randint(1, values)) for name in chosen)


def _draw_cas(random: Random) -> tuple[str, Value]:
    f = random.choice(["read", "write", "cas"])
    if f == "cas":
        return f, (random.randint(0, 3), random.randint(1, 3))
    return f, random.randint(1, 3) if f == "write" else None


def _draw_restorable(random: Random) -> tuple[str, Value]:
    f = random.choice(["read", "read", "write", "bookmark", "restore", "restore"])
    if f == "restore":
        return f, (random.choice("ab"), random.choice(["a", "b", None]))
    if f == "bookmark":
        return f, random.choice("ab")
    return f, random.randint(1, 3) if f == "write" else None


def _draw_set(random: Random) -> tuple[str, Value]:
    f = random.choice(["add", "add", "remove", "contains", "read"])
    return f, None if f == "read" else random.randint(1, 3)


def _draw_multi(random: Random) -> tuple[str, Value]:
    f = random.choice(["read", "write", "txn"])
    pairs = _pairs(random, "xyz", 2)
    if f == "txn":
        return f, tuple((random.choice("rw"), *pair) for pair in inner(pairs))
    return f, pairs


DRAWS: dict[str, Draw] = {
    "register": lambda random: random.choice(
        [("read", None), ("write", random.randint(1, 3))]
    ),
    "cas-register": _draw_cas,
    "restorable-register": _draw_restorable,
    "mutex": lambda random: (random.choice(["acquire", "release"]), None),
    "counter": lambda random: random.choice(
        [("read", None), ("add", random.randint(-1, 2))]
    ),
    "key-value": lambda random: random.choice(
        [
            ("get", None),
            ("append", random.choice("abc")),
            ("append", random.choice("abc")),
            ("put", random.choice(["", "a", "d"])),
        ]
    ),
    "set": _draw_set,
    "queue": lambda random: random.choice(
        [("enqueue", random.randint(1, 3)), ("dequeue", None)]
    ),
    "multi-register": _draw_multi,
}


def _answer(state: Any, f: str, argument: Value) -> Value:  # noqa: ANN401 - states of all models
    """Return what the object in *state* says to an operation."""
    answer: Value = None
    if f == "read" and isinstance(argument, tuple):
        registers = dict(state or ())
        answer = tuple((name, registers.get(name)) for name, _ in inner(argument))
    elif f == "txn" and isinstance(argument, tuple):
        registers, told = dict(state or ()), []
        for kind, name, value in inner(argument):
            if kind == "w":
                registers[name] = value
            told.append((kind, name, registers.get(name)))
        answer = tuple(told)
    elif f == "cas" and isinstance(argument, tuple):
        answer = bool(state == argument[0])
    elif f == "dequeue":
        answer = state[0] if state else None
    elif f in {"add", "remove", "contains"} and isinstance(state, tuple):
        answer = (argument in state) is not (f == "add")
    elif f in {"read", "get"}:
        answer = state.value if isinstance(state, Remembered) else state
    return answer


_INITIAL: dict[str, Value] = {"cas-register": 0, "counter": 0, "set": (), "queue": ()}


def initial_of(random: Random, model: str) -> Value:
    """Return what is there in the beginning, sometimes something unusual."""
    if model == "key-value":
        return random.choice([None, "", "a"])
    if model == "queue":
        return random.choice([(), (), (1,)])
    if model == "mutex":
        return random.choice([None, True])
    return _INITIAL.get(model)


def real_history(
    random: Random,
    model: str,
    *,
    count: int,
    workers: int = 4,
    keys: tuple[Key, ...] = (None,),
    draw: Draw | None = None,
    pending: float = 0.1,
) -> History:
    """
    Return a history of an object that is right, so it is linearizable.

    Args:
        random: Decides everything.
        model: Whose operations.
        count: How many operations.
        workers: How many at once.
        keys: Each operation is of one of them.
        draw: Makes an operation; that of the model if None.
        pending: The share of operations whose answer gets lost.
    """
    draw = draw or DRAWS[model]
    initial = initial_of(random, model)
    states: dict[Key, Any] = dict.fromkeys(keys, initial)
    operations: list[Operation] = []
    now = 0
    process = workers
    # What each worker is at: [process, f, argument, key, called, done, result].
    at: list[list[Any] | None] = [None] * workers
    ids = list(range(workers))
    begun = 0
    while begun < count or any(at):
        now += 1
        worker = random.randrange(workers)
        job = at[worker]
        if job is None:
            if begun < count:
                f, argument = draw(random)
                begun += 1
                at[worker] = [f, argument, random.choice(keys), now, False, None]
            continue
        f, argument, key, called, done, result = job
        lost = random.random() < pending
        if not done and not (lost and random.random() < 0.5):
            result = _answer(states[key], f, argument)
            unanswered = Operation(
                0, f, key, argument, result, 0, FOREVER, Outcome.INFO
            )
            after = STEPS[model](states[key], unanswered)
            if not after and not lost:
                # The object refuses: it did not happen, and that is said.
                operations.append(
                    Operation(
                        ids[worker], f, key, argument, None, called, now, Outcome.FAIL
                    )
                )
                at[worker] = None
                continue
            states[key] = after[0] if after else states[key]
            job[4], job[5] = True, result
            if not lost and random.random() < 0.6:
                continue
        if lost:
            operations.append(
                Operation(
                    ids[worker], f, key, argument, None, called, FOREVER, Outcome.INFO
                )
            )
            ids[worker] = process
            process += 1
        else:
            operations.append(
                Operation(
                    ids[worker], f, key, argument, result, called, now, Outcome.OK
                )
            )
        at[worker] = None
    return History.of(operations, header=Header(model=model, initial=initial))


def _other_answer(random: Random, operation: Operation) -> Value:
    """Return an answer of the same type, drawn from the values in use."""
    result = operation.result
    if isinstance(result, bool):
        return not result
    if operation.f == "get":
        return random.choice([None, "", "a", "b", "ab", "ba", "d", "da"])
    if inner(result):
        changed = random.randrange(len(inner(result)))
        return tuple(
            (*item[:-1], random.choice([None, 1, 2]))
            if place == changed and item[0] != "w"
            else item
            for place, item in enumerate(inner(result))
        )
    if isinstance(result, tuple):
        return tuple(sorted(random.sample([1, 2, 3], random.randint(0, 3))))
    if operation.f == "dequeue":
        return random.choice([None, 1, 2, 3])
    return random.randint(0, 3) if operation.f == "read" else result


def broken(random: Random, history: History) -> History:
    """Return *history* with one answer changed, or one refusal taken for a yes."""
    operations = list(history.operations)
    position = random.randrange(len(operations))
    operation = operations[position]
    if operation.outcome is Outcome.FAIL:
        operations[position] = operation._replace(outcome=Outcome.OK)
    elif operation.outcome is Outcome.OK:
        answer = _other_answer(random, operation)
        operations[position] = operation._replace(result=answer)
    return History(tuple(operations), history.faults, history.header)


def random_history(random: Random, model: str) -> History:
    """Return a history small enough for the twin, right or not."""
    history = real_history(
        random,
        model,
        count=random.randint(1, 9),
        workers=random.randint(1, 5),
        pending=random.choice([0.0, 0.1, 0.3]),
    )
    for _ in range(random.choice([0, 1, 1, 2, 3])):
        history = broken(random, history)
    return history
