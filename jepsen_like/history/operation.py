"""
Operations: what a client asked, what it was told, and when.

An operation that was never answered, or whose answer leaves open whether it took
effect, is `INFO`: it may take effect at any time after its call, or never.  It
returns `FOREVER`.  One that `FAIL`ed certainly did not take effect.

Reference:
    Kingsbury, 2013-.  Jepsen: histories of invoke, ok, fail and info.
"""

from enum import Enum
from typing import NamedTuple, TypeAlias

Scalar: TypeAlias = bool | int | float | str | None
Value: TypeAlias = "Scalar | tuple[Value, ...]"
"""What a JSON document can say, with tuples for lists: hashable, never changed."""

Key: TypeAlias = str | int | None
"""What an operation is about; None where there is one thing only."""

FOREVER = 2**63 - 1
"""The return of an operation that may still take effect."""


class Outcome(Enum):
    """How an operation ended for its client."""

    OK = "ok"
    FAIL = "fail"
    INFO = "info"


class Operation(NamedTuple):
    """
    One call and its return.

    Times come from one monotonic recorder, in nanoseconds, or are positions in
    a log that has no times; only their order means something to a checker, save
    the one of staleness.

    Attributes:
        process: Who called: does one operation at a time, is never used again
            after an operation that ended `INFO`.
        f: What was asked: `read`, `write`, `cas`, `add`, `txn`, ...
        key: Of what.
        argument: With what; for `cas` (expected, new); for `txn` the
            micro-operations (f, key, value) as asked.
        result: What came back; for `txn` the micro-operations with what was
            read filled in.
        called: When.
        returned: When, after `called`; FOREVER if `INFO`.
        outcome: How it ended.
        node: Which node answered, if known.
        version: The version that the store gave with the value, if it gives one.
        error: What went wrong, for people.
    """

    process: int
    f: str
    key: Key
    argument: Value
    result: Value
    called: int
    returned: int
    outcome: Outcome
    node: str = ""
    version: str = ""
    error: str = ""
