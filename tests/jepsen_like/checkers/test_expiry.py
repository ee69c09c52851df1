"""Values with times to live: neither too long nor too short."""

from random import Random

import pytest

from jepsen_like.checkers import expiry
from jepsen_like.history.history import FaultSpan, Header, History
from jepsen_like.history.operation import Operation
from jepsen_like.verdict import Verdict
from tests.jepsen_like.checkers.registers import MS, delete, read, unanswered, write
from tests.jepsen_like.examples import examples


def expiring(
    process: int, value: int, at: int, ttl_ms: int, node: str = "a"
) -> Operation:
    """Return a write that expires."""
    argument = (value, ttl_ms)
    return write(process, argument, at, node)._replace(f="write-expiring")


def kinds(*operations: Operation, clock_error_ms: int = 0) -> list[str]:
    """Return what is found in a history of these operations."""
    judgement = expiry.check(History.of(operations), clock_error_ms=clock_error_ms)
    return [witness.kind for witness in judgement.witnesses]


def test_value_is_not_read_after_its_latest_deadline() -> None:
    """Which is the time to live after its write returned, plus the clocks' error."""
    wrote = expiring(0, 1, 0, 50)

    assert kinds(wrote, read(1, 1, 51, "b")) == []
    assert kinds(wrote, read(1, 1, 52, "b")) == ["expired value read"]
    assert kinds(wrote, read(1, 1, 52, "b"), clock_error_ms=5) == []
    assert kinds(unanswered(wrote), read(1, 1, 500, "b")) == []


@pytest.mark.parametrize("reader", [read(0, None, 30, "b"), read(1, None, 30, "a")])
def test_value_is_not_missed_before_its_deadline_by_who_knew_it(
    reader: Operation,
) -> None:
    """Its own session, or anyone at its own place."""
    assert kinds(expiring(0, 1, 0, 50), reader) == ["expired early"]
    assert kinds(expiring(0, 1, 0, 31), reader) == []
    assert kinds(expiring(0, 1, 0, 50), reader, clock_error_ms=20) == []
    assert kinds(expiring(0, 1, 0, 50), read(1, None, 30, "b")) == []


def test_lasting_value_is_not_missed_where_others_expire() -> None:
    """An older value's deadline does not take it away, a newer one's may."""
    older, lasting = expiring(0, 1, 0, 10), write(0, 2, 5)

    assert kinds(older, lasting, read(0, None, 30)) == ["expired early"]
    assert kinds(lasting, expiring(1, 1, 7, 10, "b"), read(0, None, 30)) == []


@pytest.mark.parametrize(
    "delete_at_b", [delete(1, 20, "b"), unanswered(delete(1, 0, "b"))]
)
def test_delete_that_may_have_won_explains_absence(delete_at_b: Operation) -> None:
    """Even one never answered; not one that was overwritten for certain."""
    wrote, missing = expiring(0, 1, 10, 50), read(0, None, 30)

    assert kinds(wrote, delete_at_b, missing) == []
    assert kinds(delete(0, 5), wrote, missing) == ["expired early"]


def test_wrong_clock_makes_its_nodes_operations_unjudged() -> None:
    """Of who wrote and of who read, while the fault was there."""
    operations = [expiring(0, 1, 0, 50), read(1, 1, 90, "b")]
    for node, began in (("a", 0), ("b", 80)):
        jump = FaultSpan("clock jump", began * MS, (began + 20) * MS, (node,))
        history = History.of(operations, [jump])
        assert expiry.check(history).verdict is Verdict.VALID
    elsewhere = FaultSpan("clock jump", 0, 200 * MS, ("c",))
    assert expiry.check(History.of(operations, [elsewhere])).verdict is Verdict.INVALID


def true_run(random: Random) -> History:
    """Return a run of one place with a right clock."""
    operations: list[Operation] = []
    held: tuple[int, int] | None = None
    for value, at in enumerate(range(0, 300, 10), 1):
        choice = random.random()
        if choice < 0.3:
            ttl_ms = random.randrange(1, 80)
            operations.append(expiring(0, value, at, ttl_ms))
            held = value, at + ttl_ms
        elif choice < 0.4:
            operations.append(delete(1, at))
            held = None
        else:
            seen = held[0] if held and held[1] > at else None
            operations.append(read(2, seen, at))
    return History.of(operations)


def test_true_store_is_never_accused() -> None:
    """A place that goes by one clock is neither late nor early."""
    for seed in range(examples(300)):
        assert expiry.check(true_run(Random(seed))).verdict is not Verdict.INVALID, seed


def test_what_cannot_be_judged_is_unknown_or_refused() -> None:
    """No times, nothing that expires, a negative error, no time to live."""
    untimed = History.of([expiring(0, 1, 0, 5)], header=Header(timed=False))

    assert expiry.check(untimed).verdict is Verdict.UNKNOWN
    assert expiry.check(History.of([write(0, 1, 0)])).verdict is Verdict.UNKNOWN
    with pytest.raises(ValueError, match="0 ms or more"):
        expiry.check(untimed, clock_error_ms=-1)
    with pytest.raises(ValueError, match="ttl in ms > 0"):
        kinds(expiring(0, 1, 0, 0))
