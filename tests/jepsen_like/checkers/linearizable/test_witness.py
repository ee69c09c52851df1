"""Witnesses: small, contradictory by themselves, and not by what was left out."""

from random import Random

import pytest

from jepsen_like.checkers.linearizable import check
from jepsen_like.history import (
    FOREVER,
    Header,
    History,
    Key,
    Operation,
    Outcome,
    Value,
)
from jepsen_like.verdict import Verdict, Witness
from tests.jepsen_like.checkers.linearizable.histories import (
    DRAWS,
    broken,
    real_history,
)
from tests.jepsen_like.checkers.linearizable.twin import is_linearizable
from tests.jepsen_like.examples import examples

TRIED = 60


def did(
    f: str, argument: Value, result: Value, span: tuple[int, int], key: Key = None
) -> Operation:
    """Return an operation that was answered."""
    process = 10 + span[0]
    return Operation(process, f, key, argument, result, *span, Outcome.OK)


def witness_of(history: History, model: str) -> Witness:
    """Return the witness of a history that is wrong."""
    judgement = check(history, model)
    assert judgement.verdict is Verdict.INVALID
    return judgement.witnesses[0]


@pytest.mark.parametrize("model", [name for name in DRAWS if name != "queue"])
def test_witness_is_a_part_of_the_history_that_contradicts_itself(model: str) -> None:
    """Each operation is in the history, in order of the calls."""
    found = 0
    for seed in range(examples(TRIED)):
        random = Random(f"{model} {seed}")
        history = real_history(random, model, count=60, workers=4, pending=0.03)
        history = broken(random, history)
        judgement = check(history, model)
        for witness in judgement.witnesses:
            found += 1
            alone = History.of(witness.operations, header=history.header)

            assert set(witness.operations) <= set(history.operations)
            assert list(witness.operations) == list(alone.operations)
            assert check(alone, model).verdict is Verdict.INVALID
    assert found >= 5 or model == "mutex"


@pytest.mark.parametrize("model", ["register", "key-value", "multi-register"])
def test_what_explains_the_history_explains_what_a_witness_keeps(model: str) -> None:
    """
    A good history has no part that is wrong for want of what was left out.

    Shrinking takes only steps that keep good histories good; so from a history that
    was made wrong by one observation, this one is never left out.
    """
    kept = 0
    for seed in range(examples(10 * TRIED)):
        random = Random(f"{model} {seed}")
        good = real_history(random, model, count=9, workers=4, pending=0.0)
        bad = broken(random, good)
        changed = [
            new
            for old, new in zip(good.operations, bad.operations, strict=True)
            if old != new
        ]
        judgement = check(bad, model)
        for witness in judgement.witnesses:
            kept += 1
            assert changed[0] in witness.operations, (seed, witness)
    assert kept > TRIED


def test_witness_of_a_stale_read_is_the_write_and_the_read() -> None:
    """Whatever else went on in hundreds of operations before."""
    random = Random(5)
    before = real_history(
        random, "register", count=400, workers=5, pending=0.0, draw=_few_values
    )
    last = max(operation.returned for operation in before.operations)
    late = [
        did("write", 2, None, (last + 1, last + 2)),
        did("read", None, 1, (last + 3, last + 4)),
    ]
    history = History.of([*before.operations, *late])

    witness = witness_of(history, "register")

    assert list(witness.operations) == late
    assert "returned before" in witness.explanation
    assert "there could only be something that none" in witness.explanation


def _few_values(random: Random) -> tuple[str, Value]:
    return ("read", None) if random.random() < 0.5 else ("write", random.randint(1, 3))


def test_witness_of_a_lost_append_names_it_and_the_get() -> None:
    """Other appends of the same string are left out if they were not seen."""
    operations = [
        did("append", "a", None, (1, 2)),
        did("append", "b", None, (3, 4)),
        did("get", None, "ab", (5, 6)),
        did("append", "c", None, (7, 8)),
        did("append", "d", None, (9, 10)),
        did("get", None, "abd", (11, 12)),
    ]
    history = History.of(operations, header=Header(initial=""))

    witness = witness_of(history, "key-value")

    assert operations[3] in witness.operations
    assert operations[5] in witness.operations
    assert operations[2] not in witness.operations


def test_witness_of_a_mutex_begins_when_it_was_last_free() -> None:
    """All that came before cannot matter."""
    rounds = [
        did(f, None, None, (10 * at + shift, 10 * at + shift + 1))
        for at in range(50)
        for f, shift in (("acquire", 1), ("release", 3))
    ]
    twice = [
        did("acquire", None, None, (1_001, 1_002)),
        did("acquire", None, None, (1_003, 1_004)),
    ]

    witness = witness_of(History.of([*rounds, *twice]), "mutex")

    assert list(witness.operations) == twice


def test_operation_that_was_never_answered_stays_if_it_might_explain() -> None:
    """The reader sees that it was thought of."""
    lost = Operation(1, "cas", None, (0, 1), None, 1, FOREVER, Outcome.INFO)
    operations = [
        lost,
        did("write", 0, None, (2, 3)),
        did("read", None, 1, (4, 5)),
        did("read", None, 0, (6, 7)),
    ]
    history = History.of(operations, header=Header(initial=0))

    witness = witness_of(history, "cas-register")

    assert lost in witness.operations
    assert not is_linearizable(
        History.of(witness.operations, header=history.header), "cas-register"
    )


def test_explanation_shows_values_as_people_write_them() -> None:
    """Nothing, truth values and lists; long strings from their end."""
    long = "x" * 500 + "end"
    cases = [
        (did("read", None, None, (1, 2)), "`read -> nothing`"),
        (did("read", None, True, (1, 2)), "`read -> true`"),  # noqa: FBT003 - an answer
        (did("read", None, "s", (1, 2)), "`read -> 's'`"),
        (did("read", None, long, (1, 2)), "xxend'`"),
    ]
    for operation, shown in cases:
        history = History.of([operation], header=Header(initial=0))

        explanation = witness_of(history, "register").explanation

        assert shown in explanation
        assert len(explanation) < 300
