"""What is wrong after a fault, and what makes it right."""

from typing import Any, get_args

from hypothesis import given
from hypothesis import strategies as st

from jepsen_like.nemesis.conditions import (
    Condition,
    after,
    begun_by,
    detail,
    ended_by,
    endings,
    is_ending,
    kind,
    nodes_met,
)
from jepsen_like.nemesis.faults import Fault
from jepsen_like.nemesis.tidying import tidied
from jepsen_like.plan import Step, Strike

NODES = st.sampled_from(("n1", "n2", "n3"))
LINKS = st.lists(st.tuples(NODES, NODES), min_size=1, max_size=4).map(tuple)
SOME = st.lists(NODES, min_size=1, max_size=3, unique=True).map(tuple)

_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "node": NODES,
    "nodes": SOME,
    "links": LINKS,
}


def _of(fault: type[Any]) -> st.SearchStrategy[Any]:
    given_fields = {
        name: strategy
        for name, strategy in _FIELDS.items()
        if name in fault.__dataclass_fields__
    }
    return st.builds(fault, **given_fields)


faults: st.SearchStrategy[Any] = st.one_of([_of(fault) for fault in get_args(Fault)])


def _wrong_after(happened: list[Fault]) -> list[Condition]:
    wrong: list[Condition] = []
    for fault in happened:
        wrong = after(wrong, fault)
    return wrong


@given(happened=st.lists(faults, max_size=12))
def test_endings_make_right_whatever_is_wrong(happened: list[Fault]) -> None:
    """After them nothing is, and each of them was needed."""
    wrong = _wrong_after(happened)
    needed = endings(wrong)

    assert _wrong_after([*happened, *needed]) == []
    assert all(is_ending(each) for each in needed)
    assert all(
        _wrong_after([*happened, *(one for one in needed if one != each)]) != []
        for each in needed
    )


@given(fault=faults)
def test_every_fault_has_a_name_and_an_ending_begins_nothing(fault: Fault) -> None:
    """Names are for people, so none may be missing."""
    assert kind(fault)
    assert isinstance(detail(fault), str)
    assert len(set(nodes_met(fault))) == len(nodes_met(fault))
    if is_ending(fault):
        assert begun_by(fault) == ()
        assert ended_by(fault) != ()


@given(happened=st.lists(faults, max_size=12))
def test_tidying_leaves_what_is_wrong_as_it_was_and_is_done_once(
    happened: list[Fault],
) -> None:
    """It leaves out what changes nothing; a second time there is nothing to do."""
    steps: list[Step] = [Strike(place, fault) for place, fault in enumerate(happened)]
    tidy = tidied(steps)

    assert tidied(tidy) == tidy
    assert len(tidy) <= len(steps)
    kept = [step.fault for step in tidy if isinstance(step, Strike)]
    left_out = {step.at for step in steps} - {step.at for step in tidy}
    unsaid = {"restore", "flood", "garble"}
    if not any(kind(happened[place]) in unsaid for place in left_out):
        assert sorted(_wrong_after(kept)) == sorted(_wrong_after(happened))
