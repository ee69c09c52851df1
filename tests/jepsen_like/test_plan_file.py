"""Plans survive their file, and what is no plan is refused with a reason."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jepsen_like.nemesis.faults import Fault, Kill
from jepsen_like.plan import Invoke, Plan, Step, Strike
from jepsen_like.plan_file import (
    PlanFileError,
    parse_plan,
    plan_text,
    read_plan,
    write_plan,
)
from tests.jepsen_like.examples import examples

NODES = ("n1", "n2", "n3")

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=5
)
times = st.integers(0, 10**6)
invokes = st.builds(
    Invoke,
    at=times,
    worker=st.integers(0, 9),
    node=st.sampled_from(NODES),
    f=st.text(max_size=5),
    key=st.none() | st.integers() | st.text(max_size=5),
    argument=values,
)
faults: st.SearchStrategy[Any] = st.one_of(
    [st.builds(kind) for kind in get_args(Fault)]
)
strikes = st.builds(Strike, at=times, fault=faults)


def _in_order(steps: list[Step]) -> tuple[Step, ...]:
    return tuple(sorted(steps, key=lambda step: step.at))


plans = st.builds(
    Plan,
    workload=st.text(max_size=5),
    seed=st.integers(),
    nodes=st.just(NODES),
    steps=st.lists(invokes | strikes, max_size=6).map(_in_order),
    settle=times,
    calm=st.frozensets(st.text(max_size=5), max_size=3),
)

PLAN = Plan(
    workload="register",
    seed=7,
    nodes=NODES,
    steps=(Invoke(10, 0, "n1", "write", "x", 1), Strike(25, Kill(("n1",)))),
    settle=30_000,
    calm=frozenset({"b", "a"}),
)


@given(plan=plans)
@settings(max_examples=examples(200), deadline=None)
def test_plan_survives_its_file(plan: Plan) -> None:
    """Reading what was written gives an equal plan, and equal bytes again."""
    again = parse_plan(plan_text(plan))

    assert again == plan
    assert plan_text(again) == plan_text(plan)


def test_plan_file_has_one_line_a_step() -> None:
    """The form is fixed: these bytes are what older files have, too."""
    assert plan_text(PLAN) == (
        '{"format":"jepsen_like plan","version":1,"workload":"register","seed":7,'
        '"nodes":["n1","n2","n3"],"settle":30000,"calm":["a","b"],"steps":[\n'
        '{"at":10,"worker":0,"node":"n1","f":"write","key":"x","argument":1},\n'
        '{"at":25,"fault":"Kill","nodes":["n1"]}\n'
        "]}\n"
    )


def test_plan_without_steps_survives_its_file(tmp_path: Path) -> None:
    """The smallest plan there is."""
    plan = Plan("w", 1, ("n1",), (), 0)
    write_plan(plan, tmp_path / "plan.json")

    assert read_plan(tmp_path / "plan.json") == plan


def _changed(path: tuple[Any, ...], value: object) -> str:
    """The text of PLAN with one value in it another, or gone if ..."""
    document = json.loads(plan_text(PLAN))
    place = document
    for name in path[:-1]:
        place = place[name]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "the plan: an object was expected"),
        ('{"format":"x"}', 'not a plan: "format"'),
        (_changed(("version",), 2), "version 2, and this program reads 1"),
        (_changed(("seed",), ...), "'seed' is missing"),
        (_changed(("seed",), "7"), "'seed' must be a whole number, not \"7\""),
        (_changed(("seed",), [1]), "'seed' must be a whole number, not [1]"),
        (plan_text(PLAN).replace(":7,", ":true,"), "whole number, not true"),
        (_changed(("nodes",), []), "a plan needs nodes"),
        (_changed(("nodes",), ["n1", "n1"]), "two nodes have the same name"),
        (_changed(("settle",), -1), "'settle' must be a whole number, zero or more"),
        (_changed(("more",), 1), "the plan: unknown field 'more'"),
        (_changed(("steps", 0, "at"), 26), "not in order"),
        (_changed(("steps", 0, "node"), "n4"), "step 1: 'n4' is none of the nodes"),
        (_changed(("steps", 0, "argument"), {}), "step 1: 'argument' must be"),
        (_changed(("steps", 0, "more"), 1), "step 1: unknown field 'more'"),
        (_changed(("steps", 1, "fault"), "Kiss"), "step 2: no fault is called 'Kiss'"),
        (_changed(("steps", 1, "nodes"), "n1"), "step 2: 'nodes' must be a list"),
        (
            _changed(("steps", 1), {"at": 25, "fault": "Cut", "links": [["n1"]]}),
            "step 2: 'links' must be a list of pairs",
        ),
        (plan_text(PLAN).replace(":7,", ":NaN,"), "NaN is no number"),
    ],
)
def test_what_is_no_plan_is_refused_with_a_reason(text: str, complaint: str) -> None:
    """The message says where and why."""
    with pytest.raises(PlanFileError) as caught:
        parse_plan(text)

    assert complaint in str(caught.value)


def test_reading_names_the_file(tmp_path: Path) -> None:
    """Who reads many plans learns which one is bad."""
    path = tmp_path / "broken.json"
    path.write_bytes(b"\xff")

    with pytest.raises(PlanFileError, match=r"broken\.json: not UTF-8"):
        read_plan(path)
