"""What certainly must be there in the end, and what may be gone by right."""

import pytest

from jepsen_like.checkers import durability
from jepsen_like.history.history import FaultSpan, Header, History
from jepsen_like.history.operation import Operation, Outcome
from jepsen_like.verdict import Verdict
from tests.jepsen_like.checkers.registers import (
    MS,
    delete,
    final,
    read,
    unanswered,
    write,
)


def kinds(*operations: Operation) -> list[str]:
    """Return what is found in a history of these operations."""
    judgement = durability.check(History.of(operations))
    return [witness.kind for witness in judgement.witnesses]


def test_write_of_the_same_session_supersedes() -> None:
    """A session's second write wins over its first, wherever it was made."""
    first, second = write(0, 1, 0, "a"), write(0, 2, 5, "b")

    assert kinds(first, second, final(1)) == ["lost write"]
    assert kinds(first, second, final(2)) == []


def test_write_of_the_same_place_supersedes() -> None:
    """A node ranks a write above what it has stored, whoever wrote that."""
    first, second = write(0, 1, 0, "a"), write(1, 2, 5, "a")

    assert kinds(first, second, final(1)) == ["lost write"]


def test_concurrent_write_elsewhere_may_win_however_early() -> None:
    """Clocks decide between those who did not know of each other."""
    assert kinds(write(0, 1, 0, "a"), write(1, 2, 5, "b"), final(1)) == []


def test_reader_of_a_value_who_then_deletes_supersedes_it() -> None:
    """The chain through a read and another key's value is followed."""
    operations = [
        write(0, 1, 0, "a"),
        read(1, 1, 5, "b"),
        write(1, 7, 10, "b", key="y"),
        read(2, 7, 15, "c", key="y"),
        delete(2, 20, "c"),
    ]

    judgement = durability.check(History.of([*operations, final(1)]))

    assert [witness.kind for witness in judgement.witnesses] == ["deleted back"]
    assert list(judgement.witnesses[0].operations) == [*operations, final(1)]


def test_place_carries_knowledge_of_its_key_alone() -> None:
    """That a node has seen x does not make a later write of y depend on x."""
    operations = [
        write(0, 1, 0, "a"),
        write(1, 7, 5, "a", key="y"),
        read(2, 7, 10, "b", key="y"),
        write(2, 2, 15, "b"),
    ]

    assert kinds(*operations, final(1)) == []


def test_absent_key_needs_a_delete_that_may_have_won() -> None:
    """One that may not have been overwritten is enough, even one never answered."""
    acknowledged = write(0, 1, 10, "a")

    assert kinds(acknowledged, final(None)) == ["vanished"]
    assert kinds(acknowledged, delete(1, 0, "b"), final(None)) == []
    assert kinds(acknowledged, unanswered(delete(1, 20, "b")), final(None)) == []
    assert kinds(delete(0, 0, "a"), acknowledged, final(None)) == ["vanished"]


def test_final_value_must_have_been_written_by_what_may_have_happened() -> None:
    """Nobody's value, and that of a failed write, are phantoms."""
    failed = write(0, 1, 0)._replace(outcome=Outcome.FAIL)

    assert kinds(write(0, 2, 0), final(1)) == ["phantom"]
    assert kinds(failed, final(1)) == ["phantom"]
    assert kinds(unanswered(write(0, 1, 0)), final(1)) == []


def test_initial_value_is_older_than_all_that_was_acknowledged() -> None:
    """It may not be there in the end once something was written."""
    header = Header(initial=0)

    judgement = durability.check(History.of([write(0, 1, 5), final(0)], header=header))

    assert judgement.witnesses[0].kind == "vanished"


def test_versions_decide_between_concurrent_writes() -> None:
    """The largest acknowledged one must be the final one."""
    low = write(0, 1, 0, "a")._replace(version="1")
    high = write(1, 2, 5, "b")._replace(version="2")
    last = final(1)._replace(version="1")
    history = History.of([low, high, last])

    assert durability.check(history).verdict is Verdict.VALID
    judgement = durability.check(history, order_of=lambda version: version)
    assert judgement.witnesses[0].kind == "lost write"


@pytest.mark.parametrize("kind", ["wipe", "restore", "bit flip"])
def test_write_may_be_gone_with_the_only_store_that_had_it(kind: str) -> None:
    """But not one that another node has shown, nor one made afterwards."""
    span = FaultSpan(kind, 10 * MS, 12 * MS, ("a",))
    before, after = write(0, 1, 5, "a"), write(0, 2, 20, "a")

    def found(*operations: Operation) -> list[str]:
        history = History.of(operations, [span])
        return [witness.kind for witness in durability.check(history).witnesses]

    assert found(before, final(None)) == []
    assert found(before, read(1, 1, 7, "b"), final(None)) == ["vanished"]
    assert found(after, final(None)) == ["vanished"]


def test_expired_value_is_not_lost() -> None:
    """A key that expiring values were written to may be absent."""
    expiring = write(0, (1, 60), 0)._replace(f="write-expiring")

    assert kinds(expiring, final(None)) == []


def test_history_without_final_reads_is_unknown() -> None:
    """Nothing shows what is left."""
    assert durability.check(History.of([write(0, 1, 0)])).verdict is Verdict.UNKNOWN
