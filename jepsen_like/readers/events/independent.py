"""
Jepsen's independent tests: many keys in one history, told as [key value].

A register can also hold pairs, so what looks like key and value may be a value.
Only reads tell: they are called with nil, and in an independent test with
[key nil].  Where one operation does not fit, none is taken apart.

Reference:
    Kingsbury, 2015-.  jepsen.independent.
"""

from typing import Final

from jepsen_like.history.operation import Operation, Outcome
from jepsen_like.readers.events.meaning import key_of

_PAIR: Final = 2


def with_keys(operations: list[Operation]) -> list[Operation]:
    """Return *operations* with their keys apart, if their values are [key value]."""
    if not operations or any(each.key is not None for each in operations):
        return operations
    reads = [each.argument for each in operations if each.f == "read"]
    if not reads or not all(
        isinstance(asked, tuple) and len(asked) == _PAIR and asked[1] is None
        for asked in reads
    ):
        return operations
    keyed: list[Operation] = []
    for operation in operations:
        argument, result = operation.argument, operation.result
        if not isinstance(argument, tuple) or len(argument) != _PAIR:
            return operations
        if isinstance(result, tuple) and len(result) == _PAIR:
            result = result[1]
        elif operation.outcome is Outcome.OK:
            return operations
        keyed.append(
            operation._replace(
                key=key_of(argument[0]), argument=argument[1], result=result
            )
        )
    return keyed
