"""Histories for the tests of transactional checkers, and how they are rewritten."""

import os
from random import Random

from jepsen_like.history.history import History
from jepsen_like.history.operation import FOREVER, Operation, Outcome, Value
from jepsen_like.verdict import Judgement

EXAMPLES = int(os.environ.get("HARNESS_EXAMPLES", "1"))
"""By how much the number of random histories is multiplied."""


def transaction(
    process: int,
    steps: tuple[tuple[str, Value, Value], ...],
    called: int,
    returned: int,
    outcome: Outcome = Outcome.OK,
) -> Operation:
    """One operation that did *steps*."""
    result = steps if outcome is Outcome.OK else None
    return Operation(process, "txn", None, steps, result, called, returned, outcome)


def history(*transactions: tuple[tuple[str, Value, Value], ...]) -> History:
    """A history of transactions all of which overlap, each by its own process."""
    return History.of(
        transaction(number, steps, number, 1000 + number)
        for number, steps in enumerate(transactions)
    )


def kinds(judgement: Judgement) -> set[str]:
    """The kinds of the witnesses."""
    return {witness.kind for witness in judgement.witnesses}


def renamed(past: History, rng: Random) -> History:
    """The same history with other keys, elements, processes and times."""
    keys = {f"k{number}": f"other{number * 7 % 11}" for number in range(8)}
    shift, scale = rng.randrange(1000), rng.randrange(1, 9)

    def value_of(value: Value) -> Value:
        if isinstance(value, tuple):
            return tuple(value_of(each) for each in value)
        return value if value is None else f"e{value}"

    def steps(value: Value) -> Value:
        if value is None:
            return None
        assert isinstance(value, tuple)
        return tuple((f, keys[str(key)], value_of(seen)) for f, key, seen in value)  # type: ignore[misc, str-unpack]  # only triples

    return History.of(
        operation._replace(
            process=operation.process * 3 + 5,
            argument=steps(operation.argument),
            result=steps(operation.result),
            called=operation.called * scale + shift,
            returned=operation.returned
            if operation.returned == FOREVER
            else operation.returned * scale + shift,
        )
        for operation in past.operations
    )
