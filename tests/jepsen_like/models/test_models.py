"""The laws of models: what kinds promise, and what may be left out."""

from collections.abc import Callable
from itertools import product
from random import Random

import pytest

from jepsen_like.history import FOREVER, Operation, Outcome, Value
from jepsen_like.models import (
    ILLEGAL,
    MODELS,
    Action,
    Kind,
    Machine,
    ModelError,
    State,
    model_named,
)
from jepsen_like.models.model import UNSEEN
from tests.jepsen_like.checkers.linearizable.histories import random_history
from tests.jepsen_like.examples import examples

TRIED = 150


def operation(
    f: str, argument: Value = None, result: Value = None, outcome: Outcome = Outcome.OK
) -> Operation:
    """Return an operation of which only the meaning matters."""
    returned = FOREVER if outcome is Outcome.INFO else 2
    return Operation(0, f, None, argument, result, 1, returned, outcome)


def _machines(name: str) -> list[tuple[Machine, list[Action]]]:
    """Return machines with the actions that they are bound to."""
    model, found = MODELS[name], []
    for seed in range(examples(TRIED)):
        history = random_history(Random(f"{name} {seed}"), name)
        made = [
            model.action(each)
            for each in history.operations
            if each.outcome is not Outcome.FAIL
        ]
        actions = [action for action in made if action is not None]
        if actions:
            machine = model.machine(history.header.initial, actions)
            found.append((machine, actions))
    return found


def _run(machine: Machine, actions: list[Action]) -> State:
    """Return the state after *actions*, or ILLEGAL."""
    state = machine.initial
    for action in actions:
        state = machine.step(state, action)
        if state is ILLEGAL:
            break
    return state


def _states(machine: Machine, actions: list[Action]) -> list[State]:
    """Return states that some actions lead to."""
    states = [machine.initial]
    for action in actions + actions:
        for state in states[-3:]:
            after = machine.step(state, action)
            if after is not ILLEGAL and after not in states:
                states.append(after)
    return states


@pytest.mark.parametrize("name", MODELS)
def test_kinds_keep_their_promises_in_every_state(name: str) -> None:
    """The search prunes by them."""
    for machine, actions in _machines(name):
        states = _states(machine, actions)
        for action in actions:
            after = [machine.step(state, action) for state in states]
            kind = machine.kind(action)
            if kind is Kind.OBSERVES:
                pairs = zip(states, after, strict=True)
                assert all(new is ILLEGAL or new == old for old, new in pairs)
            if kind in {Kind.ERASES, Kind.UPDATES}:
                assert ILLEGAL not in after, (action, states)
            if kind is Kind.ERASES:
                assert len(set(after)) == 1, (action, states)


@pytest.mark.parametrize("name", MODELS)
def test_leaving_out_what_is_separable_keeps_legal_sequences_legal(name: str) -> None:
    """A witness must not be wrong only because something was left out of it."""
    random = Random(name)
    legal = 0
    for machine, actions in _machines(name):
        groups = list(machine.separable(actions))
        for _ in range(6):
            order = random.sample(range(len(actions)), len(actions))
            chosen = [group for group in groups if random.random() < 0.5]
            gone = {place for group in chosen for place in group}
            if _run(machine, [actions[place] for place in order]) is ILLEGAL:
                continue
            legal += 1
            kept = [actions[place] for place in order if place not in gone]
            assert _run(machine, kept) is not ILLEGAL, (order, gone, actions)
    assert legal > TRIED, "some orders were legal at all"


FINER: dict[str, list[Operation]] = {
    "cas-register": [operation("read", None, value) for value in range(5)],
    "restorable-register": [
        *(operation("read", None, value) for value in range(4)),
        *(operation("restore", (name, None)) for name in "ab"),
    ],
    "counter": [operation("read", None, 0)],
    "key-value": [
        operation("get", None, "".join(letters))
        for letters in product(["", "a", "b", "c", "d"], repeat=4)
    ],
    "queue": [operation("dequeue", None, value) for value in range(1, 4)],
    "multi-register": [
        operation("read", None, ((name, value),))
        for name in "xyz"
        for value in (None, 0, 1, 2)
    ],
}
"""Observations by which a machine tells more states apart."""


@pytest.mark.parametrize("name", FINER)
def test_folding_states_together_changes_no_verdict(name: str) -> None:
    """A sequence is legal for a machine that tells more apart, or for none."""
    model, random = MODELS[name], Random(name)
    finer = [action for each in FINER[name] if (action := model.action(each))]
    verdicts: set[bool] = set()
    for seed in range(examples(TRIED)):
        history = random_history(Random(f"{name} {seed}"), name)
        made = [
            model.action(each)
            for each in history.operations
            if each.outcome is not Outcome.FAIL
        ]
        actions = [action for action in made if action is not None]
        random.shuffle(actions)
        initial = history.header.initial

        legal = _run(model.machine(initial, actions), actions) is not ILLEGAL
        told_apart = model.machine(initial, [*actions, *finer])

        verdicts.add(legal)
        assert (_run(told_apart, actions) is not ILLEGAL) is legal
    assert verdicts == {True, False}


@pytest.mark.parametrize("name", MODELS)
def test_unknown_operation_is_refused_with_those_that_are_known(name: str) -> None:
    """The message names the model, what came, and what could."""
    with pytest.raises(ModelError, match=f"{name} has no operation 'frob'.*it knows "):
        MODELS[name].action(operation("frob"))


def test_unknown_model_is_refused_with_those_there_are() -> None:
    """Nobody has to look them up."""
    with pytest.raises(ModelError, match="'registr'; choose one of register, cas-reg"):
        model_named("registr")


def test_model_is_found_by_its_name() -> None:
    """Each under its own."""
    assert [model_named(name).name for name in MODELS] == list(MODELS)


@pytest.mark.parametrize(
    ("model", "wrong"),
    [
        ("register", operation("cas", (1, 2), result=True)),
        ("cas-register", operation("cas", 1, result=True)),
        ("cas-register", operation("cas", (1, 2), "perhaps")),
        ("restorable-register", operation("bookmark", None)),
        ("restorable-register", operation("restore", "a")),
        ("restorable-register", operation("restore", (None, "a"))),
        ("counter", operation("add", "one")),
        ("counter", operation("read", None, "one")),
        ("key-value", operation("put", 1)),
        ("key-value", operation("get", None, 1)),
        ("queue", operation("enqueue", None)),
        ("set", operation("contains", 1, 1)),
        ("set", operation("read", None, 1)),
        ("set", operation("read", None, (1, 1))),
        ("multi-register", operation("write", 1)),
        ("multi-register", operation("txn", (("x", 1),))),
        ("multi-register", operation("txn", (("swap", "x", 1),))),
    ],
)
def test_operation_with_a_value_of_another_kind_is_refused(
    model: str, wrong: Operation
) -> None:
    """It would be compared with what it can never equal."""
    with pytest.raises(ModelError):
        MODELS[model].action(wrong)


@pytest.mark.parametrize(
    ("model", "initial"),
    [("mutex", 1), ("counter", "0"), ("key-value", 0), ("set", 1), ("queue", "abc")],
)
def test_initial_value_of_another_kind_is_refused(model: str, initial: Value) -> None:
    """Before it makes a good history look bad."""
    with pytest.raises(ModelError):
        MODELS[model].machine(initial, [])


@pytest.mark.parametrize(
    ("model", "f"),
    [
        ("register", "read"),
        ("restorable-register", "read"),
        ("key-value", "get"),
        ("counter", "read"),
        ("set", "read"),
        ("set", "contains"),
        ("multi-register", "read"),
    ],
)
def test_observation_that_was_never_answered_binds_nobody(model: str, f: str) -> None:
    """It may have seen anything."""
    assert MODELS[model].action(operation(f, outcome=Outcome.INFO)) is None


def test_truth_values_are_not_numbers() -> None:
    """A store that answers true where 1 was written is wrong."""
    model = model_named("register")
    actions = [
        model.action(operation("write", 1)),
        model.action(operation("read", None, result=True)),
    ]
    bound = [action for action in actions if action is not None]

    machine = model.machine(None, bound)

    assert _run(machine, bound) is ILLEGAL


def test_pending_transaction_keeps_only_its_writes() -> None:
    """What it read, nobody was told."""
    model = model_named("multi-register")
    asked = (("r", "x", None), ("w", "y", 1))

    pending = model.action(operation("txn", asked, outcome=Outcome.INFO))
    only_reads = model.action(operation("txn", asked[:1], outcome=Outcome.INFO))

    assert pending == model.action(operation("write", (("y", 1),)))
    assert only_reads is None


def _keys_of(model: str, *operations: Operation) -> list[list[int]]:
    """Return which operations, by their processes, each part has."""
    parts = MODELS[model].parts(operations)
    return [[each.process for each in part.operations] for part in parts]


def _numbered(make: Callable[[], list[Operation]]) -> list[Operation]:
    return [each._replace(process=place) for place, each in enumerate(make())]


def test_registers_that_hang_together_are_one_part() -> None:
    """Directly or through others; the rest is judged apart."""
    operations = _numbered(
        lambda: [
            operation("write", (("a", 1), ("b", 1))),
            operation("write", (("c", 1),)),
            operation("write", (("b", 2), ("d", 1))),
            operation("read", None, (("c", 1),)),
            operation("read", None, (("d", 1),)),
        ]
    )

    assert _keys_of("multi-register", *operations) == [[0, 2, 4], [1, 3]]


def test_set_falls_apart_by_element_unless_it_is_listed() -> None:
    """A list of all elements ties them together."""
    operations = _numbered(
        lambda: [
            operation("add", 1),
            operation("add", 2),
            operation("contains", 1, result=True),
            operation("read", None, (1, 2)),
        ]
    )

    assert _keys_of("set", *operations[:3]) == [[0, 2], [1]]
    assert _keys_of("set", *operations) == [[0, 1, 2, 3]]


def test_registers_begin_as_said_for_each_or_for_all() -> None:
    """Pairs name registers; anything else is what each of them holds."""
    model = model_named("multi-register")
    read = model.action(operation("read", None, (("x", 1), ("y", None))))
    both = model.action(operation("read", None, (("x", 0), ("y", 0))))
    assert read is not None
    assert both is not None

    named = model.machine((("x", 1),), [read])
    same = model.machine(0, [both])

    assert named.step(named.initial, read) is not ILLEGAL
    assert same.step(same.initial, both) is not ILLEGAL


def test_names_that_no_restore_asks_for_any_more_are_forgotten() -> None:
    """So that the states in which they differ are one; those still asked for stay."""
    model = model_named("restorable-register")
    made = [
        model.action(each)
        for each in (
            operation("write", 1),
            operation("write", 2),
            operation("bookmark", "once"),
            operation("bookmark", "twice"),
            operation("restore", ("once", None)),
            operation("restore", ("twice", None)),
            operation("restore", ("twice", "once")),
            operation("read", None, 1),
            operation("read", None, 2),
        )
    ]
    bound = [action for action in made if action is not None]
    machine = model.machine(None, bound)
    one, two, name_once, name_twice, once, twice, *_ = bound

    of_once = {_run(machine, [by, name_once, once, one]) for by in (one, two)}
    of_twice = {_run(machine, [by, name_twice, twice, one]) for by in (one, two)}

    assert len(of_once) == 1
    assert len(of_twice) == 2


def test_write_that_nobody_was_told_of_and_nobody_read_is_left_out() -> None:
    """A search would try it everywhere, and nothing can come of it."""
    lost = [operation("write", value, outcome=Outcome.INFO) for value in (1, 2)]
    written, read = operation("write", 3), operation("read", None, 1)

    (part,) = MODELS["restorable-register"].parts([*lost, written, read])

    assert part.operations == [lost[0], written, read]


def test_strings_that_no_get_begins_with_are_one_state() -> None:
    """So orders of appends that nobody saw are not told apart."""
    model = model_named("key-value")
    made = [
        model.action(each)
        for each in (
            operation("append", "a"),
            operation("append", "b"),
            operation("append", "c"),
            operation("get", None, "ab"),
        )
    ]
    a, b, c, get = [action for action in made if action is not None]
    machine = model.machine("", [a, b, c, get])

    assert machine.step(machine.step("", a), b) == "ab"
    assert machine.step(machine.step("", b), a) is UNSEEN
    assert machine.step(machine.step("", c), a) is UNSEEN
