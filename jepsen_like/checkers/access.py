"""
What an operation on registers wrote and read, whatever it is called.

    read, final-read     reads its key
    write, write-expiring, delete     leaves a value, or nothing (None)
    cas                  reads the expected value and writes the new one, if it
                         was or may have been applied; nothing if it was refused
    txn                  micro-operations (r | w, key, value)

Where a store tells versions, a version is the identity of a write; elsewhere the
value is, which must then be written once.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from jepsen_like.history.operation import Key, Operation, Outcome, Value

OrderOf = Callable[[str], str]
"""
Returns a text for each version of a key: in the order of these texts the store
ranks them, and the largest wins.
"""

FINAL = "final-"
"""Begins the name of an operation that was asked of every node at the quiet end."""


class Access(NamedTuple):
    """
    One key that an operation wrote or read.

    Attributes:
        key: Which.
        value: What was left there or found there; None = nothing.
        version: The store's name for that write; empty if not told.
    """

    key: Key
    value: Value
    version: str = ""


def writes_of(operation: Operation) -> Iterator[Access]:
    """
    Yield what *operation* left, or may have left if its outcome is INFO.

    An operation that failed is taken as if it had not: what it would have left.
    """
    version = operation.version if operation.outcome is Outcome.OK else ""
    argument = operation.argument
    match operation.f:
        case "write":
            yield Access(operation.key, argument, version)
        case "delete":
            yield Access(operation.key, None, version)
        case "write-expiring":
            assert isinstance(argument, tuple), "the argument is (value, ttl)"
            yield Access(operation.key, argument[0], version)
        case "cas":
            if operation.result is not False:
                assert isinstance(argument, tuple), "the argument is (expected, new)"
                yield Access(operation.key, argument[1], version)
        case "txn":
            yield from _micro_operations(argument, "w")
        case _:
            pass  # what is read, and what is no register


def reads_of(operation: Operation) -> Iterator[Access]:
    """Yield what *operation* has certainly found; nothing if it was not OK."""
    if operation.outcome is not Outcome.OK:
        return
    match operation.f.removeprefix(FINAL):
        case "read":
            yield Access(operation.key, operation.result, operation.version)
        case "cas":
            if operation.result is not False:
                assert isinstance(operation.argument, tuple), "(expected, new)"
                yield Access(operation.key, operation.argument[0])
        case "txn":
            yield from _micro_operations(operation.result, "r")
        case _:
            pass  # what is written, and what is no register


def _micro_operations(micro: Value, kind: str) -> Iterator[Access]:
    if not isinstance(micro, tuple):
        return
    for each in micro:
        assert isinstance(each, tuple), "a micro-operation is (f, key, value)"
        f, key, value = each
        assert isinstance(key, str | int), "a transaction names its keys"
        if f == kind:
            yield Access(key, value)


def is_final(operation: Operation) -> bool:
    """Tell whether *operation* was asked at the quiet end."""
    return operation.f.startswith(FINAL)
