"""Sets: lost, stale, unexpected and resurrected elements."""

from random import Random

import pytest

from jepsen_like.checkers import set_full
from jepsen_like.history.history import FaultSpan, History
from jepsen_like.history.operation import FOREVER, Operation, Outcome, Value
from jepsen_like.verdict import Verdict
from tests.jepsen_like.examples import examples


def operation(
    f: str, argument: Value, result: Value, called: int, node: str = "n1"
) -> Operation:
    """Return an operation that was answered."""
    return Operation(0, f, "s", argument, result, called, called + 1, Outcome.OK, node)


def true_run(random: Random) -> list[Operation]:
    """Return a run of a linearizable set with pending operations and a final read."""
    held: set[int] = set()
    done: list[Operation] = []
    now = 20
    removed: set[int] = set()
    for element in range(random.randrange(1, 20)):
        now += random.randrange(1, 5)
        f = random.choice(["insert", "insert", "members", "remove"])
        argument: Value = None
        result: Value = None
        outcome = Outcome.OK
        called, returned = now - random.randrange(8), now + random.randrange(1, 8)
        if f != "members" and random.random() < 0.2:
            outcome, returned = Outcome.INFO, FOREVER
        happens = outcome is Outcome.OK or random.random() < 0.5
        if f == "insert":
            argument = element
            held |= {element} if happens else set()
        elif f == "members":
            result = tuple(sorted(held))
        else:
            choice = sorted(set(range(element)) - removed)
            if not choice:
                continue
            argument = random.choice(choice)
            removed.add(argument)
            held -= {argument} if happens else set()
        done.append(
            Operation(
                element, f, "s", argument, result, called, returned, outcome, "n1"
            )
        )
    final = operation("final-members", None, tuple(sorted(held)), now + 50)
    return [*done, final]


@pytest.mark.parametrize("linearizable", [True, False])
def test_true_set_is_never_accused(*, linearizable: bool) -> None:
    """Whatever is missing by right is not called lost, whatever is there not odd."""
    for seed in range(examples(800)):
        history = History.of(true_run(Random(seed)))
        judgement = set_full.check(history, linearizable=linearizable)
        assert judgement.verdict is Verdict.VALID, (seed, judgement)


def test_final_reads_that_lack_or_invent_an_element_are_found() -> None:
    """Each acknowledged element that nobody removed must be there, and no other."""
    found = 0
    for seed in range(examples(300)):
        *before, final = true_run(Random(seed))
        assert isinstance(final.result, tuple)
        removed = {each.argument for each in before if each.f == "remove"}
        kept = [
            each.argument
            for each in before
            if each.f == "insert"
            and each.outcome is Outcome.OK
            and each.argument not in removed
        ]
        for element in kept:
            found += 1
            left = tuple(each for each in final.result if each != element)
            bad = History.of([*before, final._replace(result=left)])
            judgement = set_full.check(bad)
            assert judgement.witnesses[0].kind == "lost", seed
        bad = History.of([*before, final._replace(result=(*final.result, 777))])
        assert set_full.check(bad).witnesses[0].kind == "unexpected"
    assert found > examples(300)


def test_stale_read_is_a_fault_of_linearizable_sets_alone() -> None:
    """A lagging node may lack what was acknowledged elsewhere, and get it later."""
    history = History.of(
        [
            operation("insert", 1, None, 0),
            operation("members", None, (), 10, "n2"),
            operation("members", None, (1,), 20, "n2"),
        ]
    )

    lax, strict = set_full.check(history), set_full.check(history, linearizable=True)

    assert lax.verdict is Verdict.VALID
    assert lax.figures["stale reads"] == 1
    assert strict.witnesses[0].kind == "stale"


def test_removed_element_that_is_there_in_the_end_is_back() -> None:
    """Whoever removed it at the place where it had been inserted knew it."""
    history = History.of(
        [
            operation("insert", 1, None, 0),
            operation("remove", 1, None, 10),
            operation("final-members", None, (1,), 20),
        ]
    )

    assert set_full.check(history).witnesses[0].kind == "back"


def test_removal_that_may_not_have_known_the_insertion_proves_nothing() -> None:
    """It ran elsewhere, for someone else: the insertion may win."""
    history = History.of(
        [
            operation("insert", 1, None, 0),
            operation("remove", 1, None, 10, "n2")._replace(process=5),
            operation("final-members", None, (1,), 20),
        ]
    )

    assert set_full.check(history).verdict is Verdict.VALID


def test_insertion_may_be_gone_with_its_nodes_store() -> None:
    """But not once another node has shown it."""
    insert = operation("insert", 1, None, 0)
    seen = operation("members", None, (1,), 5, "n2")
    final = operation("final-members", None, (), 50, "n2")
    wiped = [FaultSpan("wipe", 10, 12, ("n1",))]

    alone = set_full.check(History.of([insert, final], wiped))
    shown = set_full.check(History.of([insert, seen, final], wiped))

    assert alone.verdict is Verdict.VALID
    assert shown.witnesses[0].kind == "lost"


def test_eventual_set_without_a_late_read_is_unknown() -> None:
    """Reads during the insertions may lag."""
    history = History.of(
        [operation("members", None, (), 0), operation("insert", 1, None, 5)]
    )

    assert set_full.check(history).verdict is Verdict.UNKNOWN
