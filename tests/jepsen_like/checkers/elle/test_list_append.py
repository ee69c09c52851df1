"""List-append: against brute force, simulated databases, mutations and rewrites."""

from random import Random

import pytest

from jepsen_like.checkers.elle import LEVELS, check_list_append
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
    steps_of,
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
    OverwritingStore,
    Shape,
    SnapshotStore,
    StaleStore,
    Store,
    run,
)

pytestmark = pytest.mark.no_cover  # see tests/conftest.py

SERIAL_LEVELS: tuple[tuple[str, Before], ...] = (
    ("serializable", at_will),
    ("strong-session-serializable", by_client),
    ("strict-serializable", in_real_time),
)


def is_valid(past: History, level: str) -> bool:
    """Whether *past* is judged valid; it must not be unknown."""
    verdict = check_list_append(past, level).verdict
    assert verdict is not Verdict.UNKNOWN
    return verdict is Verdict.VALID


@pytest.mark.parametrize("kind", STORES)
def test_verdict_equals_brute_force_over_serial_orders(kind: type[Store]) -> None:
    """Lists tell all about their versions, so the verdict is exact, both ways."""
    outcomes: set[tuple[str, bool]] = set()
    for seed in range(1000 * EXAMPLES):
        rng = Random(seed)
        shape = Shape(
            transactions=rng.randint(2, 5),
            keys=rng.randint(1, 3),
            aborts=rng.choice((0.0, 0.2)),
            crashes=rng.choice((0.0, 0.2)),
        )
        past = run(kind(rng), shape)
        for level, before in SERIAL_LEVELS:
            expected = serial_order_exists(past, before)
            outcomes.add((level, expected))
            assert is_valid(past, level) is expected, (seed, level, past)
    assert ("strict-serializable", True) in outcomes


@pytest.mark.parametrize("kind", STORES)
def test_snapshot_verdict_equals_brute_force_over_instants(kind: type[Store]) -> None:
    """If every append is read at last, the verdict on snapshot isolation is exact."""
    for seed in range(300 * EXAMPLES):
        rng = Random(seed)
        shape = Shape(transactions=rng.randint(2, 4), keys=rng.randint(1, 2))
        store = kind(rng)
        past = run(store, shape)
        final = tuple(("r", key, value) for key, value in sorted(store.state.items()))
        whole = History.of(
            (*past.operations, transaction(99, final, FOREVER - 2, FOREVER - 1))
        )
        seen = {
            element
            for _, _, value in final
            if isinstance(value, tuple)
            for element in value
        }
        appended = {
            value
            for operation in past.operations
            if operation.outcome is Outcome.OK
            for f, _, value in steps_of(operation)
            if f == "append"
        }
        if snapshots_exist(whole):
            assert is_valid(whole, "snapshot-isolation"), (seed, whole)
        elif appended <= seen:
            assert not is_valid(whole, "snapshot-isolation"), (seed, whole)


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        (Store, "strict-serializable"),
        (StaleStore, "serializable"),
        (SnapshotStore, "strong-snapshot-isolation"),
        (CommittedStore, "read-committed"),
    ],
)
def test_what_a_database_promises_is_judged_valid(
    kind: type[Store], level: str
) -> None:
    """Longer runs with aborts and crashes keep what their store keeps."""
    for seed in range(20 * EXAMPLES):
        shape = Shape(
            transactions=150, clients=8, keys=4, steps_max=4, aborts=0.1, crashes=0.05
        )
        past = run(kind(Random(seed)), shape)
        judgement = check_list_append(past, level)
        assert judgement.verdict is Verdict.VALID, (seed, judgement.reason)


@pytest.mark.parametrize(
    ("kind", "level", "anomalies"),
    [
        (SnapshotStore, "serializable", {"G2-item"}),
        (StaleStore, "strict-serializable", {"G-single-realtime"}),
        (LosingStore, "snapshot-isolation", {"lost-update"}),
        (OverwritingStore, "read-committed", {"incompatible-order"}),
        (CommittedStore, "snapshot-isolation", {"G-single"}),
        (DirtyStore, "read-committed", {"G1a", "G1b", "G1c", "dirty-update"}),
    ],
)
def test_what_a_database_breaks_is_found(
    kind: type[Store], level: str, anomalies: set[str]
) -> None:
    """Each broken store is caught at the level that it breaks, by its own anomaly."""
    found: set[str] = set()
    for seed in range(10 * EXAMPLES):
        shape = Shape(transactions=200, clients=8, keys=4, steps_max=4, aborts=0.1)
        judgement = check_list_append(run(kind(Random(seed)), shape), level)
        assert judgement.verdict is Verdict.INVALID, seed
        found |= kinds(judgement)
    assert anomalies <= found


def _executed(seed: int) -> History:
    shape = Shape(transactions=60, clients=5, keys=3, steps_max=3)
    return run(Store(Random(seed)), shape)


def _with_result(past: History, place: int, result: Value) -> History:
    operations = list(past.operations)
    operations[place] = operations[place]._replace(result=result)
    return History.of(operations)


def test_read_with_two_elements_exchanged_is_found() -> None:
    """An order that nobody else saw contradicts the others."""
    mutants = 0
    for seed in range(40 * EXAMPLES):
        past = _executed(seed)
        for place, operation in enumerate(past.operations[:-10]):
            steps = list(steps_of(operation))
            f, key, value = steps[0]
            if f != "r" or not isinstance(value, tuple) or len(value) < 2:
                continue
            steps[0] = (f, key, (*value[:-2], value[-1], value[-2]))
            mutant = _with_result(past, place, tuple(steps))
            if not any(
                step[0] == "r"
                and step[1] == key
                and isinstance(step[2], tuple)
                and len(step[2]) >= len(value)
                for other in past.operations
                if other is not operation
                for step in steps_of(other)
            ):
                continue
            mutants += 1
            assert not is_valid(mutant, "read-committed"), (seed, place)
            break
    assert mutants > 20


def test_read_that_became_stale_is_found_by_real_time_alone() -> None:
    """A lone reader that misses what had returned before breaks only strictness."""
    mutants = 0
    for seed in range(60 * EXAMPLES):
        past = _executed(seed)
        for place, operation in enumerate(past.operations):
            steps = steps_of(operation)
            if len(steps) != 1 or steps[0][0] != "r" or not steps[0][2]:
                continue
            f, key, value = steps[0]
            assert isinstance(value, tuple)
            writer = next(
                other
                for other in past.operations
                if ("append", key, value[-1]) in steps_of(other)
            )
            if writer.returned < operation.called:
                mutants += 1
                mutant = _with_result(past, place, ((f, key, value[:-1]),))
                assert not is_valid(mutant, "strict-serializable"), (seed, place)
                break
    assert mutants > 20


def test_writer_that_turns_out_aborted_is_found() -> None:
    """Elements of an aborted transaction must be in no read."""
    for seed in range(20 * EXAMPLES):
        past = _executed(seed)
        seen = {
            (key, element)
            for operation in past.operations
            for f, key, value in steps_of(operation)
            if f == "r" and isinstance(value, tuple)
            for element in value
        }
        place = next(
            place
            for place, operation in enumerate(past.operations)
            if any((key, value) in seen for _, key, value in steps_of(operation)[:1])
        )
        operations = list(past.operations)
        operations[place] = operations[place]._replace(outcome=Outcome.FAIL)
        judgement = check_list_append(History.of(operations), "read-committed")
        assert "G1a" in kinds(judgement), seed


@pytest.mark.parametrize("kind", STORES)
def test_renaming_changes_no_verdict_and_no_count(kind: type[Store]) -> None:
    """Names and clock rates mean nothing; what is found stays the same."""
    for seed in range(8 * EXAMPLES):
        rng = Random(seed)
        past = run(kind(rng), Shape(transactions=40, aborts=0.1, crashes=0.1))
        for level in LEVELS:
            ours = check_list_append(past, level)
            theirs = check_list_append(renamed(past, rng), level)
            assert ours.verdict is theirs.verdict, (seed, level)
            assert ours.figures == theirs.figures, (seed, level)


@pytest.mark.parametrize("kind", STORES)
def test_stronger_level_is_never_easier(kind: type[Store]) -> None:
    """What contradicts a level contradicts all that imply it."""
    for seed in range(60 * EXAMPLES):
        past = run(kind(Random(seed)), Shape(transactions=15, aborts=0.1, keys=3))
        valid = [level for level in LEVELS if is_valid(past, level)]
        for weak, strong in (
            ("read-uncommitted", "read-committed"),
            ("read-committed", "repeatable-read"),
            ("read-committed", "snapshot-isolation"),
            ("repeatable-read", "serializable"),
            ("snapshot-isolation", "serializable"),
            ("serializable", "strong-session-serializable"),
            ("strong-session-serializable", "strict-serializable"),
            ("strong-snapshot-isolation", "strict-serializable"),
        ):
            assert strong not in valid or weak in valid, (seed, weak, strong)


APPEND_1: tuple[str, Value, Value] = ("append", "x", 1)
APPEND_2: tuple[str, Value, Value] = ("append", "x", 2)


def read(*elements: Value, key: str = "x") -> tuple[str, Value, Value]:
    """A read that saw *elements*."""
    return ("r", key, elements)


@pytest.mark.parametrize(
    ("transactions", "level", "kind"),
    [
        (((APPEND_1,), (read(1, 1),)), "read-uncommitted", "duplicate-elements"),
        (((APPEND_1,), (read(7),)), "read-committed", "garbage-read"),
        (
            ((APPEND_1,), (APPEND_2,), (read(1, 2),), (read(2),)),
            "read-committed",
            "incompatible-order",
        ),
        (((APPEND_1, APPEND_2), (read(1),)), "read-committed", "G1b"),
        (((read(1), APPEND_1),), "read-committed", "future-read"),
        (((APPEND_1, read(2)), (APPEND_2,)), "serializable", "internal"),
        (((APPEND_1,), (read(), read(1))), "serializable", "internal"),
        (
            (
                (APPEND_1, ("append", "y", 2)),
                (APPEND_2, ("append", "y", 1)),
                (read(1, 2), read(1, 2, key="y")),
            ),
            "read-uncommitted",
            "G0",
        ),
        (
            (
                (APPEND_1, read(1, key="y")),
                (("append", "y", 1), read(1)),
            ),
            "read-committed",
            "G1c",
        ),
        (
            (
                (APPEND_1, ("append", "y", 1)),
                (read(1), read(key="y")),
            ),
            "snapshot-isolation",
            "G-single",
        ),
        (
            (
                (APPEND_1, read(key="y")),
                (("append", "y", 1), read()),
            ),
            "serializable",
            "G2-item",
        ),
        (
            (
                (APPEND_1,),
                (("append", "y", 1),),
                (read(1), read(key="y")),
                (read(), read(1, key="y")),
            ),
            "snapshot-isolation",
            "G-nonadjacent",
        ),
        (
            ((read(), APPEND_1), (read(), APPEND_2)),
            "snapshot-isolation",
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
    judgement = check_list_append(history(*transactions), level)

    assert judgement.verdict is Verdict.INVALID
    assert kind in kinds(judgement)


def test_write_skew_is_allowed_under_snapshot_isolation() -> None:
    """Two adjacent anti-dependencies are what snapshot isolation permits."""
    past = history((APPEND_1, read(key="y")), (("append", "y", 1), read()))

    assert is_valid(past, "snapshot-isolation")
    assert not is_valid(past, "repeatable-read")


def test_crashed_transaction_whose_append_was_read_committed() -> None:
    """Its other append must then be seen too."""
    crashed = transaction(
        0, (APPEND_1, ("append", "y", 1)), 0, FOREVER, outcome=Outcome.INFO
    )
    torn = transaction(1, (read(1), read(key="y")), 10, 20)
    blind = transaction(1, (read(), read(key="y")), 10, 20)

    assert not is_valid(History.of((crashed, torn)), "snapshot-isolation")
    assert is_valid(History.of((crashed, blind)), "strict-serializable")


def test_read_of_nil_and_of_an_empty_list_are_the_same() -> None:
    """Drivers differ in what they return for a list that is not there."""
    for nothing in (None, ()):
        late = transaction(1, (("r", "x", nothing),), 10, 20)
        past = History.of((transaction(0, (APPEND_1,), 0, 5), late))
        assert is_valid(past, "serializable")
        assert not is_valid(past, "strict-serializable")


def test_operations_of_a_nemesis_are_ignored() -> None:
    """What has no micro-operations is no transaction."""
    nemesis = Operation(-1, "start", None, "partition", None, 3, 4, Outcome.INFO)
    past = History.of((transaction(0, (APPEND_1,), 0, 5), nemesis))

    judgement = check_list_append(past)

    assert judgement.verdict is Verdict.VALID
    assert judgement.figures["transactions"] == 1


def test_element_appended_twice_makes_the_verdict_unknown() -> None:
    """Nobody can tell which of the two was read."""
    judgement = check_list_append(history((APPEND_1,), (APPEND_1,)))

    assert judgement.verdict is Verdict.UNKNOWN
    assert "more than once" in judgement.reason


def test_time_that_is_up_makes_the_verdict_unknown() -> None:
    """No answer is no success."""
    judgement = check_list_append(_executed(0), budget=1e-9)

    assert judgement.verdict is Verdict.UNKNOWN
    assert "within" in judgement.reason


@pytest.mark.parametrize(
    "operation",
    [
        Operation(0, "txn", None, "x", None, 0, 1, Outcome.OK),
        Operation(0, "txn", None, (("w", "x", 1),), None, 0, 1, Outcome.OK),
        Operation(0, "txn", None, (("r", "x"),), None, 0, 1, Outcome.OK),
        Operation(0, "txn", None, (), (("r", "x", 5),), 0, 1, Outcome.OK),
    ],
)
def test_malformed_transaction_is_an_error_that_shows_it(operation: Operation) -> None:
    """A wrong history is not a wrong database."""
    with pytest.raises(ValueError, match="process=0"):
        check_list_append(History.of((operation,)))


def test_unknown_level_is_an_error_that_lists_the_known() -> None:
    """Misspelt levels must not pass as checks."""
    with pytest.raises(ValueError, match="strict-serializable"):
        check_list_append(History(()), "strict")
