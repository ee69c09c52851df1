"""
What operations told in events mean, by model.

A reader of events knows names and values; only the model says which of them are
asked and which are answers, and the names of the operations say what the model
may be.

    read/write(/cas)               register, cas-register
    acquire/release                mutex
    get/put/append                 key-value
    add, read of a number          counter
    add, read of a collection      set
    enqueue/dequeue(/drain)        queue (with drain: total-queue)
    [:read k v] [:write k v]       multi-register
    [:append k v] [:r k [...]]     list-append
    [:r k v] [:w k v]              rw-register; long-fork if they are told as
                                   reads and writes, not as transactions
"""

from collections.abc import Callable, Iterable
from typing import Final

from jepsen_like.history.operation import Key, Operation, Outcome, Value

TRANSACTION: Final = "txn"
"""What operations of micro-operations are called, whatever the file calls them."""

_MICRO: Final = {"r": "r", "read": "r", "w": "w", "write": "w", "append": "append"}
_IN_WORDS: Final = ("read", "write")

_BY_NAMES: Final = (
    (frozenset({"read", "write", "cas"}), "cas-register"),
    (frozenset({"acquire", "release"}), "mutex"),
    (frozenset({"get", "put", "append"}), "key-value"),
    (frozenset({"enqueue", "dequeue"}), "queue"),
    (frozenset({"enqueue", "dequeue", "drain"}), "total-queue"),
)


class MeaningError(ValueError):
    """An operation does not mean anything in the model; the message says why."""


def key_of(value: Value) -> Key:
    """Return *value* as a key: itself, or text if it is no text or whole number."""
    if isinstance(value, str) or type(value) is int:
        return value
    return text_of(value)


def text_of(value: Value) -> str:
    """Return *value* as people who write EDN would read it."""
    match value:
        case None:
            return "nil"
        case bool():
            return str(value).lower()
        case tuple():
            return f"[{' '.join(map(text_of, value))}]"
        case _:
            return str(value)


def micro_operations(value: Value) -> tuple[tuple[str, Value, Value], ...] | None:
    """Return *value* as (name as told, key, value) each; None if it is not so."""
    if not isinstance(value, tuple) or not value:
        return None
    found: list[tuple[str, Value, Value]] = []
    for each in value:
        match each:
            case (str(name), key, micro_value) if name in _MICRO:
                found.append((name, key, micro_value))
            case (str(name), key) if name in _MICRO:
                found.append((name, key, None))
            case _:
                return None
    return tuple(found)


def model_of(operations: Iterable[Operation]) -> str:
    """
    Return the model that *operations*, as told, are of; empty if there are none.

    Raises:
        MeaningError: No model that we know has such operations.
    """
    names: dict[str, None] = {}
    micro_names: dict[str, None] = {}
    reads_lists = collects = False
    for operation in operations:
        names[operation.f] = None
        micro = micro_operations(operation.argument or operation.result)
        if micro is not None:
            micro_names.update((name, None) for name, _, _ in micro)
        answered = micro_operations(operation.result) or ()
        reads_lists |= any(
            name in ("r", "read") and isinstance(value, tuple)
            for name, _, value in answered
        )
        collects |= operation.f == "read" and isinstance(operation.result, tuple)
        collects |= operation.f == "add" and not _is_number(operation.argument)
    if micro_names:
        return _model_of_micro(set(names), set(micro_names), reads_lists=reads_lists)
    return _model_of_names(list(names), collects=collects)


def _model_of_micro(names: set[str], micro: set[str], *, reads_lists: bool) -> str:
    if "append" in micro or ("w" not in micro and reads_lists):
        return "list-append"
    if micro <= set(_IN_WORDS):
        return "multi-register"
    return "long-fork" if names <= set(_IN_WORDS) else "rw-register"


def _model_of_names(names: list[str], *, collects: bool) -> str:
    if not names:
        return ""
    if "add" in names and set(names) <= {"add", "read"}:
        return "set" if collects else "counter"
    for known, model in _BY_NAMES:
        if set(names) <= known:
            return model
    if set(names) == {TRANSACTION}:
        return "list-append"  # nothing but empty transactions
    told = ", ".join(name or "(none)" for name in names[:8])
    msg = f"no model is known that has the operations {told}: give one with --model"
    raise MeaningError(msg)


def understood(operation: Operation, model: str) -> Operation:
    """
    Return *operation*, as told, with what *model* takes for asked and answered.

    Raises:
        MeaningError: The model has no such operation, or not with such a value.
    """
    try:
        understand = _MODELS[model]
    except KeyError:
        msg = f"no model {model!r} in this format: {', '.join(sorted(_MODELS))}"
        raise MeaningError(msg) from None
    return understand(operation)


def _asked(operation: Operation) -> Operation:
    """What was asked says all; what came back says it again, if anything."""
    told = operation.argument if operation.argument is not None else operation.result
    if operation.outcome is not Outcome.OK:
        told = operation.argument
    return operation._replace(argument=told, result=None)


def _answered(operation: Operation) -> Operation:
    """What came back says all; what is told of the call is a placeholder."""
    ok = operation.outcome is Outcome.OK
    return operation._replace(argument=None, result=operation.result if ok else None)


def _nothing(operation: Operation) -> Operation:
    return operation._replace(argument=None, result=None)


def _compare_and_set(operation: Operation) -> Operation:
    asked = _asked(operation)
    if not isinstance(asked.argument, tuple) or len(asked.argument) != 2:  # noqa: PLR2004 - a pair
        msg = f"`cas` takes [expected new], not {text_of(asked.argument)}"
        raise MeaningError(msg)
    done = operation.outcome is Outcome.OK
    return asked._replace(result=True if done else None)


def _number_added(operation: Operation) -> Operation:
    asked = _asked(operation)
    if not _is_number(asked.argument):
        msg = f"a counter adds numbers, not {text_of(asked.argument)}"
        raise MeaningError(msg)
    return asked


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _named(
    **meanings: Callable[[Operation], Operation],
) -> Callable[[Operation], Operation]:
    """Return the meaning of operations by their names."""

    def understand(operation: Operation) -> Operation:
        meaning = meanings.get(operation.f)
        if meaning is None:
            msg = (
                f"the model has no operation {operation.f or '(none)'!r}:"
                f" it has {', '.join(meanings)}"
            )
            raise MeaningError(msg)
        return meaning(operation)

    return understand


def _transaction(operation: Operation) -> Operation:
    ok = operation.outcome is Outcome.OK
    asked = _micro_named(operation, operation.argument or operation.result)
    answered = _micro_named(operation, operation.result or ()) if ok else None
    return operation._replace(f=TRANSACTION, argument=asked, result=answered)


def _transaction_on_lists(operation: Operation) -> Operation:
    transaction = _transaction(operation)
    if not isinstance(transaction.result, tuple):
        return transaction
    # A list that was never appended to is read as nil, and is empty.
    lists = [
        (*micro[:2], ()) if micro[0] == "r" and micro[2] is None else micro
        for micro in transaction.result
        if isinstance(micro, tuple)
    ]
    return transaction._replace(result=tuple(lists))


def _micro_named(operation: Operation, value: Value) -> Value:
    micro = micro_operations(value) if value else ()
    if micro is None:
        msg = (
            f"{operation.f or 'a transaction'!r} takes micro-operations such as"
            f" [:r key value], not {text_of(value)[:80]}"
        )
        raise MeaningError(msg)
    return tuple((_MICRO[name], key_of(key), told) for name, key, told in micro)


_REGISTER: Final = _named(read=_answered, write=_asked, cas=_compare_and_set)
_SET: Final = _named(add=_asked, read=_answered, remove=_asked)
_QUEUE: Final = _named(enqueue=_asked, dequeue=_answered, drain=_answered)

_MODELS: Final[dict[str, Callable[[Operation], Operation]]] = {
    "register": _REGISTER,
    "cas-register": _REGISTER,
    "mutex": _named(acquire=_nothing, release=_nothing),
    "multi-register": _transaction,
    "key-value": _named(get=_answered, put=_asked, append=_asked),
    "counter": _named(add=_number_added, read=_answered),
    "set": _SET,
    "set-linearizable": _SET,
    "queue": _QUEUE,
    "total-queue": _QUEUE,
    "list-append": _transaction_on_lists,
    "rw-register": _transaction,
    "long-fork": _transaction,
    "transactions": _transaction,
}
