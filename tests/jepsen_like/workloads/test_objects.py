"""Workloads of objects: what they ask, and what they make of several objects."""

from random import Random

import pytest

from jepsen_like.history.history import History
from jepsen_like.history.operation import Key, Operation, Outcome, Value
from jepsen_like.plan import Invoke
from jepsen_like.verdict import Verdict
from jepsen_like.workloads import WORKLOADS, Extent, asks_objects
from jepsen_like.workloads.objects import ObjectBankWorkload

OF_OBJECTS = [name for name in WORKLOADS if asks_objects(name)]
NODES = ("n1", "n2", "n3")


def asked_of(name: str) -> list[Invoke]:
    """Return what a workload asks for."""
    return list(WORKLOADS[name].invocations(Random(1), NODES, Extent(keys=3)))


def read_of_all(number: int, key: str, *balances: int | None) -> Operation:
    """Return a read of all accounts of an object."""
    reads: tuple[Value, ...] = tuple(
        ("r", f"{key}/{place}", balance) for place, balance in enumerate(balances)
    )
    return Operation(number, "txn", key, reads, reads, number, number, Outcome.OK)


@pytest.mark.parametrize("name", OF_OBJECTS)
def test_every_operation_of_objects_is_about_one(name: str) -> None:
    """Lists and accounts of an object begin with its name."""
    for invoke in asked_of(name):
        assert invoke.key in {"k0", "k1", "k2"}
        steps = invoke.argument if invoke.f in {"txn", "transfer"} else ()
        assert isinstance(steps, tuple)
        parts = [step[1] if isinstance(step, tuple) else step for step in steps]
        for part in parts[: 2 if invoke.f == "transfer" else None]:
            assert str(part).startswith(f"{invoke.key}/")


@pytest.mark.parametrize("name", OF_OBJECTS)
def test_every_object_is_asked_at_the_quiet_end(name: str) -> None:
    """Else nothing shows what became of it."""
    finals = WORKLOADS[name].finals(asked_of(name))

    assert {final.key for final in finals} == {"k0", "k1", "k2"}


def test_restores_ask_for_points_of_their_object_that_were_named_before() -> None:
    """And each name is given once, so that it cannot stand for two points."""
    given: dict[Key, list[Value]] = {}
    asked = 0
    for invoke in asked_of("object-restore"):
        names = given.setdefault(invoke.key, [])
        if invoke.f == "bookmark":
            names.append(invoke.argument)
        elif invoke.f == "restore":
            assert isinstance(invoke.argument, tuple)
            chosen, undo = invoke.argument
            assert chosen in names
            names.append(undo)
            asked += 1

    assert asked > 10
    for names in given.values():
        assert len(set(names)) == len(names)


def test_bank_of_objects_counts_each_by_itself() -> None:
    """Money that one has too much does not make up for what another lacks."""
    history = History(
        (read_of_all(1, "k0", 110, 100, 100), read_of_all(2, "k1", 90, 100, 100))
    )

    (judgement,) = ObjectBankWorkload().judge(history)

    assert judgement.verdict is Verdict.INVALID
    assert len(judgement.witnesses) == 2


def test_bank_of_objects_says_nothing_of_one_that_was_never_opened() -> None:
    """Others may be right all the same, and if there are none nobody knows."""
    unopened = read_of_all(1, "k0", None, None, None)
    right = read_of_all(2, "k1", 70, 130, 100)

    (both,) = ObjectBankWorkload().judge(History((unopened, right)))
    (alone,) = ObjectBankWorkload().judge(History((unopened,)))

    assert both.verdict is Verdict.VALID
    assert both.figures["objects"] == 1
    assert alone.verdict is Verdict.UNKNOWN
