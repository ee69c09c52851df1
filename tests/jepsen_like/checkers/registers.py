"""Short histories of registers, written by hand."""

from jepsen_like.history.operation import FOREVER, Key, Operation, Outcome, Value

MS = 1_000_000
"""Times of these histories are given in ms."""


def write(
    process: int, value: Value, at: int, node: str = "a", *, key: Key = "x"
) -> Operation:
    """Return an acknowledged write that took 1 ms."""
    called, returned = at * MS, (at + 1) * MS
    return Operation(
        process, "write", key, value, None, called, returned, Outcome.OK, node
    )


def delete(process: int, at: int, node: str = "a") -> Operation:
    """Return an acknowledged delete that took 1 ms."""
    return write(process, None, at, node)._replace(f="delete")


def read(
    process: int, value: Value, at: int, node: str = "a", *, key: Key = "x"
) -> Operation:
    """Return a read that took 1 ms."""
    return write(process, None, at, node, key=key)._replace(f="read", result=value)


def unanswered(operation: Operation) -> Operation:
    """Return *operation* as one that was never answered."""
    return operation._replace(outcome=Outcome.INFO, returned=FOREVER, version="")


def final(value: Value, node: str = "a", *, key: Key = "x") -> Operation:
    """Return a final read."""
    return read(99, value, 100_000, node, key=key)._replace(f="final-read")


def logged(losers: tuple[Value, ...], node: str = "a") -> Operation:
    """Return a final look at a conflict log."""
    return final(losers, node)._replace(f="final-conflicts")
