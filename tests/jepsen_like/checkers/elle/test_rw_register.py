"""Rw-register: against brute force, simulated databases and rewrites."""

from random import Random

import pytest

from jepsen_like.checkers.elle import LEVELS, VersionAssumptions, check_rw_register
from jepsen_like.history.history import History
from jepsen_like.history.operation import FOREVER, Operation, Outcome, Value
from jepsen_like.verdict import Verdict
from tests.jepsen_like.checkers.elle.brute_force import (
    Before,
    at_will,
    by_client,
    in_real_time,
    serial_order_exists,
    snapshots_exist,
)
from tests.jepsen_like.checkers.elle.histories import (
    EXAMPLES,
    history,
    kinds,
    renamed,
    transaction,
)
from tests.jepsen_like.checkers.elle.stores import (
    STORES,
    CommittedStore,
    DirtyStore,
    LosingStore,
    Shape,
    SnapshotStore,
    StaleStore,
    Store,
    run,
)

pytestmark = pytest.mark.no_cover  # see tests/conftest.py

NOTHING = VersionAssumptions()
WRITES_FOLLOW_READS = VersionAssumptions(writes_follow_reads=True)
SEQUENTIAL = VersionAssumptions(writes_follow_reads=True, sequential_keys=True)
LINEARIZABLE = VersionAssumptions(writes_follow_reads=True, linearizable_keys=True)

SOUND: tuple[tuple[str, Before, VersionAssumptions], ...] = (
    ("serializable", at_will, NOTHING),
    ("strict-serializable", in_real_time, NOTHING),
    ("serializable", at_will, WRITES_FOLLOW_READS),
    ("strong-session-serializable", by_client, SEQUENTIAL),
    ("strict-serializable", in_real_time, LINEARIZABLE),
)
"""Levels with the assumptions that they imply."""


def is_valid(
    past: History, level: str, assumptions: VersionAssumptions = NOTHING
) -> bool:
    """Whether *past* is judged valid; it must not be unknown."""
    verdict = check_rw_register(past, level, assumptions=assumptions).verdict
    assert verdict is not Verdict.UNKNOWN
    return verdict is Verdict.VALID


@pytest.mark.parametrize("kind", STORES)
def test_history_with_a_serial_order_is_never_called_invalid(kind: type[Store]) -> None:
    """Versions are known in part, so the verdict is sound but not complete."""
    caught: dict[tuple[str, VersionAssumptions], int] = {}
    missed = 0
    for seed in range(800 * EXAMPLES):
        rng = Random(seed)
        shape = Shape(
            write="w",
            transactions=rng.randint(2, 5),
            keys=rng.randint(1, 3),
            aborts=rng.choice((0.0, 0.2)),
            crashes=rng.choice((0.0, 0.2)),
        )
        past = run(kind(rng), shape)
        for level, before, assumptions in SOUND:
            valid = is_valid(past, level, assumptions)
            if serial_order_exists(past, before):
                assert valid, (seed, level, assumptions, past)
            elif valid:
                missed += 1
            else:
                key = (level, assumptions)
                caught[key] = caught.get(key, 0) + 1
    if kind is not Store:
        # A checker that sees nothing would be sound as well.
        assert caught["strict-serializable", LINEARIZABLE] > 0
        assert sum(caught.values()) > 2 * missed


@pytest.mark.parametrize("kind", STORES)
def test_history_with_snapshots_is_never_called_invalid(kind: type[Store]) -> None:
    """Snapshot isolation is judged soundly too."""
    for seed in range(400 * EXAMPLES):
        rng = Random(seed)
        shape = Shape(write="w", transactions=rng.randint(2, 4), keys=2)
        past = run(kind(rng), shape)
        for assumptions in (NOTHING, WRITES_FOLLOW_READS):
            if not is_valid(past, "snapshot-isolation", assumptions):
                assert not snapshots_exist(past), (seed, past)


@pytest.mark.parametrize(
    ("kind", "level", "assumptions"),
    [
        (Store, "strict-serializable", LINEARIZABLE),
        (Store, "strict-serializable", SEQUENTIAL),
        (StaleStore, "serializable", WRITES_FOLLOW_READS),
        (SnapshotStore, "strong-snapshot-isolation", WRITES_FOLLOW_READS),
        (CommittedStore, "read-committed", NOTHING),
    ],
)
def test_what_a_database_promises_is_judged_valid(
    kind: type[Store], level: str, assumptions: VersionAssumptions
) -> None:
    """Longer runs with aborts and crashes keep what their store keeps."""
    for seed in range(15 * EXAMPLES):
        shape = Shape("w", 150, clients=8, keys=4, aborts=0.1, crashes=0.05)
        past = run(kind(Random(seed)), shape)
        judgement = check_rw_register(past, level, assumptions=assumptions)
        assert judgement.verdict is Verdict.VALID, (seed, judgement.reason)


@pytest.mark.parametrize(
    ("kind", "level", "anomalies"),
    [
        (SnapshotStore, "serializable", {"G2-item"}),
        (StaleStore, "strict-serializable", {"cyclic-versions"}),
        (LosingStore, "snapshot-isolation", {"lost-update"}),
        (DirtyStore, "read-committed", {"G1a", "G1b", "G1c"}),
    ],
)
def test_what_a_database_breaks_is_found(
    kind: type[Store], level: str, anomalies: set[str]
) -> None:
    """Each broken store is caught at the level that it breaks, by its own anomaly."""
    found: set[str] = set()
    assumptions = LINEARIZABLE if level.startswith("strict") else WRITES_FOLLOW_READS
    for seed in range(10 * EXAMPLES):
        shape = Shape("w", 200, clients=8, keys=4, steps_max=4, aborts=0.1)
        past = run(kind(Random(seed)), shape)
        found |= kinds(check_rw_register(past, level, assumptions=assumptions))
    assert anomalies <= found


@pytest.mark.parametrize("kind", STORES)
def test_renaming_changes_no_verdict_and_no_count(kind: type[Store]) -> None:
    """Names and clock rates mean nothing; what is found stays the same."""
    for seed in range(8 * EXAMPLES):
        rng = Random(seed)
        past = run(kind(rng), Shape("w", 40, aborts=0.1, crashes=0.1))
        other = renamed(past, rng)
        for level in LEVELS:
            ours = check_rw_register(past, level, assumptions=LINEARIZABLE)
            theirs = check_rw_register(other, level, assumptions=LINEARIZABLE)
            assert ours.verdict is theirs.verdict, (seed, level)
            assert ours.figures == theirs.figures, (seed, level)


def test_assumptions_add_what_they_know_and_take_nothing_away() -> None:
    """What is invalid without an assumption is invalid with it."""
    more = 0
    for seed in range(300 * EXAMPLES):
        past = run(LosingStore(Random(seed)), Shape("w", 6, keys=2))
        plain = is_valid(past, "strict-serializable")
        for assumptions in (WRITES_FOLLOW_READS, SEQUENTIAL, LINEARIZABLE):
            assumed = is_valid(past, "strict-serializable", assumptions)
            assert plain or not assumed, (seed, assumptions)
            more += plain and not assumed
    assert more > 0


def wrote(value: Value, key: str = "x") -> tuple[str, Value, Value]:
    """A write."""
    return ("w", key, value)


def read(value: Value, key: str = "x") -> tuple[str, Value, Value]:
    """A read that saw *value*."""
    return ("r", key, value)


@pytest.mark.parametrize(
    ("transactions", "level", "kind"),
    [
        (((wrote(1), wrote(2)), (read(1),)), "read-committed", "G1b"),
        (((wrote(1), read(2)), (wrote(2),)), "serializable", "internal"),
        (((wrote(1),), (read(None), read(1))), "serializable", "internal"),
        (
            ((wrote(1), read(1, "y")), (wrote(1, "y"), read(1))),
            "read-committed",
            "G1c",
        ),
        (
            ((wrote(1), wrote(1, "y")), (read(1), read(None, "y"))),
            "snapshot-isolation",
            "G-single",
        ),
        (
            ((wrote(1), read(None, "y")), (wrote(1, "y"), read(None))),
            "serializable",
            "G2-item",
        ),
        (
            (
                (wrote(1),),
                (wrote(1, "y"),),
                (read(1), read(None, "y")),
                (read(None), read(1, "y")),
            ),
            "snapshot-isolation",
            "G-nonadjacent",
        ),
        (
            ((read(None), wrote(1)), (read(None), wrote(2))),
            "snapshot-isolation",
            "lost-update",
        ),
        (
            ((wrote(0),), (read(0), wrote(1)), (read(0), wrote(2))),
            "repeatable-read",
            "lost-update",
        ),
    ],
)
def test_textbook_anomaly_is_named_at_the_level_that_forbids_it(
    transactions: tuple[tuple[tuple[str, Value, Value], ...], ...],
    level: str,
    kind: str,
) -> None:
    """Each anomaly of the literature in its smallest form."""
    judgement = check_rw_register(history(*transactions), level)

    assert judgement.verdict is Verdict.INVALID
    assert kind in kinds(judgement)


def sequence(*transactions: tuple[tuple[str, Value, Value], ...]) -> History:
    """A history of one client, one transaction after the other."""
    return History.of(
        transaction(0, steps, 2 * at, 2 * at + 1)
        for at, steps in enumerate(transactions)
    )


def test_value_that_nobody_wrote_is_counted_and_taken_for_an_initial_one() -> None:
    """By default nothing is assumed about versions, so 2, 3, 2 is no contradiction."""
    past = sequence((wrote(2),), (read(3),), (read(2),))

    judgement = check_rw_register(past)

    assert judgement.verdict is Verdict.VALID
    assert judgement.figures["reads of values nobody wrote"] == 1


@pytest.mark.parametrize("assumptions", [SEQUENTIAL, LINEARIZABLE])
def test_versions_that_come_back_contradict_the_assumption(
    assumptions: VersionAssumptions,
) -> None:
    """A key that shows 2, then 3, then 2 again is not even sequential."""
    past = sequence((wrote(2),), (read(3),), (read(2),))

    judgement = check_rw_register(past, "read-uncommitted", assumptions=assumptions)

    assert kinds(judgement) == {"cyclic-versions"}
    assert "2 < 3 < 2" in judgement.witnesses[0].explanation


def test_read_of_an_aborted_write_is_found_unless_another_wrote_the_same() -> None:
    """Only a value that no other can have written betrays the aborted one."""
    aborted = transaction(0, (wrote(1),), 0, 1, Outcome.FAIL)
    reader = transaction(1, (read(1),), 4, 5)
    other = transaction(2, (wrote(1),), 2, 3)

    assert not is_valid(History.of((aborted, reader)), "read-committed")
    assert is_valid(History.of((aborted, other, reader)), "strict-serializable")


def test_crashed_transaction_whose_write_was_read_committed() -> None:
    """Its other write must then be seen too."""
    crashed = transaction(
        0, (wrote(1), wrote(1, "y")), 0, FOREVER, outcome=Outcome.INFO
    )
    torn = transaction(1, (read(1), read(None, "y")), 10, 20)
    blind = transaction(1, (read(None), read(None, "y")), 10, 20)

    assert not is_valid(History.of((crashed, torn)), "serializable")
    assert is_valid(History.of((crashed, blind)), "strict-serializable")


@pytest.mark.parametrize(
    "past",
    [
        history((wrote(1),), (wrote(1),), (read(1),)),
        history((wrote(None),), (read(None),)),
    ],
)
def test_value_with_several_writers_makes_the_verdict_unknown(past: History) -> None:
    """Nobody can tell which of them was read."""
    assert check_rw_register(past).verdict is Verdict.UNKNOWN


def test_read_of_a_long_way_back_is_caught_among_many_writers() -> None:
    """Many readers of nil and many writers are related without all the pairs."""
    writers = [transaction(n, (wrote(n),), n, 10_000 + n) for n in range(500)]
    readers = [transaction(1000 + n, (read(None),), n, 10_000 + n) for n in range(500)]
    late = transaction(5000, (read(None),), 30_000, 30_001)

    assert is_valid(History.of(writers + readers), "strict-serializable")
    judgement = check_rw_register(History.of([*writers, *readers, late]))

    assert kinds(judgement) == {"G-single-realtime"}


def test_appends_are_an_error_that_names_what_is_known() -> None:
    """A history of lists is not one of registers."""
    operation = Operation(0, "txn", None, (("append", "x", 1),), None, 0, 1, Outcome.OK)

    with pytest.raises(ValueError, match=r"append.*is not"):
        check_rw_register(History.of((operation,)))
