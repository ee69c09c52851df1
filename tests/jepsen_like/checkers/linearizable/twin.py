"""
The dumb twin: linearizability by trying every order, and objects by the book.

Nothing here is shared with what it judges: the objects are written anew, on plain
Python values, and no order is left out but those that time forbids.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jepsen_like.history import History, Operation, Outcome, Value

Step = Callable[[Any, Operation], "tuple[Any, ...]"]
"""Returns the state afterwards in a tuple of one, or an empty tuple if illegal."""


def inner(value: Value) -> list[tuple[Any, ...]]:
    """Return the pairs or triples in *value*."""
    items = value if isinstance(value, tuple) else ()
    return [item for item in items if isinstance(item, tuple)]


def _told(operation: Operation) -> bool:
    return operation.outcome is Outcome.OK


def _same(left: Any, right: Any) -> bool:  # noqa: ANN401 - states of all models
    return type(left) is type(right) and left == right


def _register(state: Any, operation: Operation) -> tuple[Any, ...]:  # noqa: ANN401 - as above
    if operation.f == "read":
        fits = not _told(operation) or _same(state, operation.result)
        return (state,) if fits else ()
    if operation.f == "write":
        return (operation.argument,)
    assert isinstance(operation.argument, tuple), "cas has two arguments"
    expected, new = operation.argument
    if _told(operation) and operation.result is False:
        return () if _same(state, expected) else (state,)
    if _same(state, expected):
        return (new,)
    return () if _told(operation) else (state,)


class Remembered(NamedTuple):
    """What a register holds, and what names stand for."""

    value: Any
    names: tuple[tuple[Value, Any], ...] = ()


def _restorable(state: Any, operation: Operation) -> tuple[Any, ...]:  # noqa: ANN401 - as above
    now = state if isinstance(state, Remembered) else Remembered(state)
    names = dict(now.names)
    if operation.f == "read":
        fits = not _told(operation) or _same(now.value, operation.result)
        return (now,) if fits else ()
    if operation.f == "write":
        return (now._replace(value=operation.argument),)
    if operation.f == "bookmark":
        names[operation.argument] = now.value
        return (Remembered(now.value, tuple(names.items())),)
    assert isinstance(operation.argument, tuple), "restore has two arguments"
    name, undo = operation.argument
    if name not in names:
        return ()
    value = names[name]
    if undo is not None:
        names[undo] = now.value
    return (Remembered(value, tuple(names.items())),)


def _mutex(state: Any, operation: Operation) -> tuple[Any, ...]:  # noqa: ANN401 - as above
    if bool(state) is (operation.f == "acquire"):
        return ()
    return (operation.f == "acquire",)


def _counter(state: Any, operation: Operation) -> tuple[Any, ...]:  # noqa: ANN401 - as above
    state = state or 0
    if operation.f == "add":
        return (state + operation.argument,)
    fits = not _told(operation) or state == operation.result
    return (state,) if fits else ()


def _key_value(state: Any, operation: Operation) -> tuple[Any, ...]:  # noqa: ANN401 - as above
    if operation.f == "get":
        fits = not _told(operation) or state == operation.result
        return (state,) if fits else ()
    if operation.f == "put":
        return (operation.argument,)
    return ((state or "") + str(operation.argument),)


def _set(state: Any, operation: Operation) -> tuple[Any, ...]:  # noqa: ANN401 - as above
    elements = set(state or ())
    answer: Any
    present = operation.argument in elements
    if operation.f == "read":
        answer = tuple(sorted(elements))
    elif operation.f == "contains":
        answer = present
    elif operation.f == "add":
        answer = not present
        elements.add(operation.argument)
    else:
        answer = present
        elements.discard(operation.argument)
    unsaid = operation.result is None or not _told(operation)
    fits = unsaid or answer == (
        tuple(sorted(operation.result))  # type: ignore[type-var] # all integers
        if isinstance(operation.result, tuple)
        else operation.result
    )
    return (tuple(sorted(elements)),) if fits else ()


def _queue(state: Any, operation: Operation) -> tuple[Any, ...]:  # noqa: ANN401 - as above
    items = tuple(state or ())
    if operation.f == "enqueue":
        return ((*items, operation.argument),)
    head = items[0] if items else None
    fits = not _told(operation) or head == operation.result
    return (items[1:],) if fits else ()


def _multi_register(state: Any, operation: Operation) -> tuple[Any, ...]:  # noqa: ANN401 - as above
    registers = dict(state or ())
    if operation.f == "txn":
        told = operation.result if _told(operation) else operation.argument
        accesses = [(f, key, value) for f, key, value in inner(told)]
    elif operation.f == "write":
        accesses = [("w", key, value) for key, value in inner(operation.argument)]
    else:
        accesses = [("r", key, value) for key, value in inner(operation.result)]
    for f, key, value in accesses:
        if f == "w":
            registers[key] = value
        elif _told(operation) and registers.get(key) != value:
            return ()
    return (tuple(sorted(registers.items())),)


STEPS: dict[str, Step] = {
    "register": _register,
    "cas-register": _register,
    "restorable-register": _restorable,
    "mutex": _mutex,
    "counter": _counter,
    "key-value": _key_value,
    "set": _set,
    "queue": _queue,
    "multi-register": _multi_register,
}


def is_linearizable(history: History, model: str) -> bool:
    """Try every order of the operations of each key, and every choice of pending."""
    return all(
        _some_order(
            [operation for operation in part if operation.outcome is not Outcome.FAIL],
            history.header.initial,
            STEPS[model],
        )
        for part in history.by_key().values()
    )


def _some_order(remaining: Sequence[Operation], state: Any, step: Step) -> bool:  # noqa: ANN401 - as above
    told = [operation for operation in remaining if _told(operation)]
    if not told:
        return True
    first_return = min(operation.returned for operation in told)
    for position, operation in enumerate(remaining):
        if operation.called > first_return:
            continue  # something returned before this one was called
        rest = [*remaining[:position], *remaining[position + 1 :]]
        if any(_some_order(rest, after, step) for after in step(state, operation)):
            return True
    return False
