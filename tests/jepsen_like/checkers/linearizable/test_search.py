"""The search: what it prunes, when it stops, and that it can be interrupted."""

from collections.abc import Sequence
from random import Random

import pytest

from jepsen_like.checkers.linearizable.automaton import Automaton
from jepsen_like.checkers.linearizable.bound_part import bind
from jepsen_like.checkers.linearizable.open_operations import OpenOperations
from jepsen_like.checkers.linearizable.search import (
    Dead,
    Overflow,
    Search,
    add_configuration,
)
from jepsen_like.checkers.linearizable.widening import Widening
from jepsen_like.history import FOREVER, History, Operation, Outcome
from jepsen_like.models import model_named
from jepsen_like.models.model import Part
from tests.jepsen_like.checkers.linearizable.histories import (
    DRAWS,
    broken,
    real_history,
)


def search_of(operations: Sequence[Operation], model: str) -> Search:
    """Return a search of *operations* as one part, all values None or 0 before."""
    part = bind(model_named(model), Part(None, operations), None)
    return part.search()


def finished(search: Search) -> Search:
    """Run *search* to its end."""
    while not search.run(1_000):
        pass
    return search


def operation(
    f: str, argument: int | str | None, called: int, returned: int
) -> Operation:
    """Return an operation without an answer worth looking at."""
    outcome = Outcome.INFO if returned == FOREVER else Outcome.OK
    return Operation(0, f, None, argument, None, called, returned, outcome)


def read(result: int | str | None, called: int, returned: int) -> Operation:
    """Return a read of a register."""
    return Operation(0, "read", None, None, result, called, returned, Outcome.OK)


def test_concurrent_blind_writes_do_not_multiply() -> None:
    """Of 40 that overlap, any subset may be hidden before the last: one case."""
    writes = [operation("write", value, value, 100 + value) for value in range(40)]
    reads = [read(39, 200, 201), read(39, 202, 203)]

    search = finished(search_of([*writes, *reads], "register"))

    assert search.outcome is None
    assert search.visited < 40 * 40 + 1_000


def test_identical_lost_operations_do_not_multiply() -> None:
    """Of 60 that do the same, only how many happened matters."""
    lost = [operation("add", 1, at, FOREVER) for at in range(60)]
    reads = [read(total, 100 + 2 * total, 101 + 2 * total) for total in range(60)]

    search = finished(search_of([*lost, *reads], "counter"))

    assert search.outcome is None
    assert search.visited < 5_000


def test_orders_of_appends_that_nobody_saw_do_not_multiply() -> None:
    """30 appends at once have more orders than there are atoms on earth."""
    appends = [operation("append", f"<{at}>", at, 100 + at) for at in range(30)]
    put = operation("put", "p", 200, 201)
    get = Operation(0, "get", None, None, "p", 202, 203, Outcome.OK)

    search = finished(search_of([*appends, put, get], "key-value"))

    assert search.outcome is None
    assert search.visited < 2_000


def test_bad_history_costs_no_more_than_a_good_one() -> None:
    """The search ends at the first return that nothing explains."""
    for seed in range(5):
        random = Random(seed)
        good = real_history(random, "cas-register", count=120, workers=6)
        bad = good
        while finished(search_of(_kept(bad), "cas-register")).outcome is None:
            bad = broken(random, good)

        costs = [
            finished(search_of(_kept(each), "cas-register")) for each in (good, bad)
        ]

        assert costs[0].outcome is None
        assert costs[1].visited <= 2 * costs[0].visited


def _kept(history: History) -> list[Operation]:
    kept = [each for each in history.operations if each.outcome is not Outcome.FAIL]
    # The register holds nothing in the beginning here.
    return [operation("write", 0, -2, -1), *kept]


@pytest.mark.parametrize("model", DRAWS)
@pytest.mark.parametrize("allowance", [1, 7])
def test_interrupted_search_finds_the_same(model: str, allowance: int) -> None:
    """Turns may be as short as one likes."""
    for seed in range(10):
        random = Random(f"{model} {seed}")
        history = real_history(random, model, count=12, pending=0.1)
        operations = [
            each
            for each in broken(random, history).operations
            if each.outcome is not Outcome.FAIL
        ]
        at_once = finished(search_of(operations, model))
        in_turns = search_of(operations, model)

        while not in_turns.run(allowance):
            pass

        assert in_turns.outcome == at_once.outcome
        assert in_turns.visited == at_once.visited


def test_dead_end_names_the_return_and_what_was_possible() -> None:
    """The first that nothing explains; what was called later does not matter."""
    operations = [
        operation("write", 1, 1, 2),
        operation("write", 2, 3, 8),
        read(3, 4, 5),
        operation("write", 3, 6, 7),
        *[read(value, 10, 20) for value in (1, 2)],
    ]

    outcome = finished(search_of(operations, "register")).outcome

    assert isinstance(outcome, Dead)
    assert outcome.position == 2
    assert outcome.states == (1, 2)


def test_restart_is_where_only_the_initial_state_was_possible() -> None:
    """What returned before that cannot matter."""
    lock = [operation("acquire", None, 1, 2), operation("release", None, 3, 4)]
    twice = [operation("acquire", None, 5, 6), operation("acquire", None, 7, 8)]

    outcome = finished(search_of([*lock, *twice], "mutex")).outcome

    assert isinstance(outcome, Dead)
    assert outcome.restart == 2


def _lost_enqueues(count: int) -> list[Operation]:
    """Return enqueues in any order, and dequeues that say in which it was."""
    enqueues = [operation("enqueue", at, at, 100) for at in range(count)]
    dequeues = [
        Operation(0, "dequeue", None, None, at, 200 + at, 300 + at, Outcome.OK)
        for at in reversed(range(count))
    ]
    return [*enqueues, *dequeues]


def test_narrow_search_does_not_claim_what_it_does_not_know() -> None:
    """Having dropped configurations, it cannot call a history wrong."""
    operations = [*_lost_enqueues(4), read_of_queue(77, 500)]
    part = bind(model_named("queue"), Part(None, operations), None)

    narrow, wide = finished(part.search(width=2)), finished(part.search())

    assert narrow.outcome == Overflow(2)
    assert isinstance(wide.outcome, Dead)


def read_of_queue(element: int, at: int) -> Operation:
    """Return a dequeue."""
    return Operation(0, "dequeue", None, None, element, at, at + 1, Outcome.OK)


def test_narrow_search_visits_less() -> None:
    """Memory is bounded: unknown is an answer, swapping is none."""
    part = bind(model_named("queue"), Part(None, _lost_enqueues(7)), None)

    narrow, wide = finished(part.search(width=5)), finished(part.search())

    assert 10 * narrow.visited < wide.visited


def test_widening_ends_with_what_is_exact() -> None:
    """First narrow, then wider, until nothing had to be dropped."""
    for model in ("queue", "cas-register"):
        for seed in range(20):
            random = Random(f"{model} {seed}")
            history = broken(random, real_history(random, model, count=14, workers=5))
            operations = [
                each for each in history.operations if each.outcome is not Outcome.FAIL
            ]
            part = bind(model_named(model), Part(None, operations), None)
            widening = Widening(part, width=2)

            while not widening.run(100):
                pass

            exact = finished(part.search())
            assert (widening.outcome is None) == (exact.outcome is None)
            assert not isinstance(widening.outcome, Overflow)


def test_of_two_configurations_the_one_with_fewer_duties_stays() -> None:
    """Whatever the other can still do, it can do too."""
    frontier: dict[int, list[int]] = {}
    opened = OpenOperations(search_automaton())

    def add(state: int, mask: int) -> bool:
        return add_configuration(frontier, state, mask, opened)

    assert add(1, 0b0110)
    assert not add(1, 0b1110)
    assert add(1, 0b1001)
    assert add(1, 0b0010)
    assert add(2, 0b1110)

    assert frontier == {1: [0b1001, 0b0010], 2: [0b1110]}


def search_automaton() -> Automaton:
    """Return an automaton of nothing."""
    return Automaton(model_named("register").machine(None, []), [])
