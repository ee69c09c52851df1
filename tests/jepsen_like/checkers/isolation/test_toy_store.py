"""Histories of a store, right or broken on purpose, and changed ones."""

from collections.abc import Callable, Iterator
from random import Random

import pytest

from jepsen_like.benchmarks.isolation import Extent, Flaw, made_by_toy_store
from jepsen_like.checkers.isolation import LEVELS, check
from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation, Outcome, Value
from jepsen_like.verdict import Verdict
from tests.jepsen_like.checkers.isolation.histories import by_chance, of_operations
from tests.jepsen_like.examples import examples

pytestmark = pytest.mark.no_cover  # see tests/conftest.py

EXTENT = Extent(operations=120, sessions=6, keys=5, length_max=4, replicas=3)
LONGER = EXTENT._replace(operations=600, pull_every=1)
KEYS = {Flaw.LATE: 20, Flaw.TORN: 8, Flaw.MIXED: 8}


def broken(seed: int, flaw: Flaw) -> History:
    """A history of a store with a *flaw* that shows often."""
    return made_by_toy_store(seed, LONGER._replace(keys=KEYS[flaw]), flaw, every=2)


def micro_of(operation: Operation) -> list[tuple[str, int, Value]]:
    """The steps of a transaction over integer keys."""
    raw = operation.result if operation.outcome is Outcome.OK else operation.argument
    assert isinstance(raw, tuple)
    steps = []
    for step in raw:
        assert isinstance(step, tuple)
        f, key, value = step
        assert isinstance(f, str)
        assert isinstance(key, int)
        steps.append((f, key, value))
    return steps


def with_micro(operation: Operation, steps: list[tuple[str, int, Value]]) -> Operation:
    """*operation* with other steps."""
    result = tuple(steps) if operation.outcome is Outcome.OK else None
    return operation._replace(argument=tuple(steps), result=result)


def test_causal_store_satisfies_every_level() -> None:
    """No false alarm."""
    for seed in range(examples(80)):
        history = made_by_toy_store(seed, EXTENT)
        for level in LEVELS:
            assert check(history, level).verdict is Verdict.VALID, (seed, level)


@pytest.mark.parametrize(
    ("flaw", "level"),
    [
        (Flaw.LATE, "causal"),
        (Flaw.LATE, "weak-causal"),
        (Flaw.TORN, "read-atomic"),
        (Flaw.MIXED, "read-committed"),
    ],
)
def test_broken_store_is_found(flaw: Flaw, level: str) -> None:
    """Each flaw shows at the level that forbids it, in many of its histories."""
    count = examples(30)
    found = sum(
        check(broken(seed, flaw), level).verdict is Verdict.INVALID
        for seed in range(count)
    )
    assert found > count / 4


def mutations(history: History, random: Random) -> Iterator[tuple[str, History]]:
    """Yield *history* with one read made wrong, and the weakest level that sees it."""
    reads = [
        (index, place)
        for index, operation in enumerate(history.operations)
        for place, (f, key, _) in enumerate(micro_of(operation))
        if f == "r" and all(k != key for _, k, _ in micro_of(operation)[:place])
    ]
    index, place = random.choice(reads)
    operation = history.operations[index]
    steps = micro_of(operation)
    f, key, value = steps[place]

    def replaced(*new: tuple[str, int, Value]) -> History:
        changed = [*steps[:place], *new, *steps[place + 1 :]]
        operations = list(history.operations)
        operations[index] = with_micro(operation, changed)
        return of_operations(operations)

    yield "read-committed", replaced((f, key, 10**9))
    for other in history.operations:
        for g, k, written in micro_of(other):
            if g == "w" and k == key and written != value and other is not operation:
                yield "read-atomic", replaced((f, key, value), (f, key, written))
                return


def test_good_history_with_one_wrong_read_is_found() -> None:
    """Thin air at every level, a read that is not repeated at read atomic."""
    for seed in range(examples(120)):
        random = Random(seed)
        for level, bad in mutations(made_by_toy_store(seed, EXTENT), random):
            assert check(bad, level).verdict is Verdict.INVALID, (seed, level)


def test_session_that_forgets_its_past_is_found() -> None:
    """Reading at the end what is there in the beginning misses all that was seen."""
    for seed in range(examples(60)):
        good = made_by_toy_store(seed, EXTENT)
        wrote = next(
            operation
            for operation in good.operations
            if any(f == "w" for f, _, _ in micro_of(operation))
        )
        key = next(key for f, key, _ in micro_of(wrote) if f == "w")
        last = good.operations[-1].returned + 1
        forgetful = with_micro(
            wrote._replace(called=last, returned=last + 1), [("r", key, None)]
        )
        bad = of_operations([*good.operations, forgetful])
        for level in ("read-atomic", "causal", "weak-causal"):
            assert check(bad, level).verdict is Verdict.INVALID, (seed, level)


def renamed(history: History, random: Random) -> History:
    """Return *history* with other processes, keys, values and times."""
    processes = random.sample(range(1_000), 10)
    keys = random.sample(range(1_000), 10)
    shift = random.randrange(1_000_000)

    def value_of(value: Value) -> Value:
        return None if value is None else f"value {value}"

    operations = [
        with_micro(
            operation._replace(
                process=processes[operation.process],
                called=3 * operation.called + shift,
                returned=3 * operation.returned + shift,
            ),
            [(f, keys[key], value_of(value)) for f, key, value in micro_of(operation)],
        )
        for operation in history.operations
    ]
    return of_operations(operations)


def interleaved(history: History, random: Random) -> History:
    """Return *history* with its sessions interleaved in another way."""
    waiting: dict[int, list[Operation]] = {}
    for operation in history.operations:
        waiting.setdefault(operation.process, []).append(operation)
    operations: list[Operation] = []
    while waiting:
        process = random.choice(sorted(waiting))
        operation = waiting[process].pop(0)
        at = 2 * len(operations)
        operations.append(operation._replace(called=at, returned=at + 1))
        if not waiting[process]:
            del waiting[process]
    return of_operations(operations)


def with_strangers(history: History, random: Random) -> History:
    """Return *history* with transactions of others over other keys between."""
    operations: list[Operation] = []
    for operation in history.operations:
        if random.random() < 0.5:
            number = len(operations)
            steps: list[tuple[str, int, Value]] = [
                ("w", 5_000 + number, 0),
                ("r", 5_000 + number, 0),
            ]
            extra = operation._replace(process=9, outcome=Outcome.OK)
            operations.append(with_micro(extra, steps))
        operations.append(operation)
    return of_operations(operations)


@pytest.mark.parametrize("rewrite", [renamed, interleaved, with_strangers])
@pytest.mark.parametrize("level", LEVELS)
def test_rewriting_preserves_verdicts(
    rewrite: Callable[[History, Random], History], level: str
) -> None:
    """Names, times and strangers mean nothing to a level."""
    for seed in range(examples(400)):
        history = by_chance(Random(seed))

        judged = check(history, level).verdict
        rewritten = check(rewrite(history, Random(seed)), level).verdict

        assert judged is rewritten, seed


def proof_alone(operations: tuple[Operation, ...]) -> History:
    """Return *operations* without reads of what none of them wrote."""
    written = {
        (key, value)
        for operation in operations
        for f, key, value in micro_of(operation)
        if f == "w"
    }
    return of_operations(
        with_micro(
            operation,
            [
                (f, key, value)
                for f, key, value in micro_of(operation)
                if value is None or (key, value) in written
            ],
        )
        for operation in operations
    )


@pytest.mark.parametrize("level", LEVELS)
def test_witness_is_contradictory_by_itself(level: str) -> None:
    """Nothing but its operations is needed to see that the level is broken."""
    shown = 0
    flaws = (Flaw.LATE, Flaw.TORN, Flaw.MIXED)
    for seed in range(examples(45)):
        bad = broken(seed, flaws[seed % 3])
        for witness in check(bad, level).witnesses:
            alone = proof_alone(witness.operations)
            assert check(alone, level).verdict is Verdict.INVALID, seed
            assert len(alone.operations) < len(bad.operations)
            shown += 1
    assert shown
