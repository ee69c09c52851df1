"""All workloads: plans are functions of their seed, values are written once."""

from random import Random

import pytest

from jepsen_like.history.history import Header, History
from jepsen_like.history.operation import FOREVER, Operation, Outcome
from jepsen_like.plan import Invoke
from jepsen_like.verdict import Verdict, combined
from jepsen_like.workloads import WORKLOADS, Extent, Workload, workload_named

NODES = ("n1", "n2", "n3")
EXTENT = Extent(operations=120, workers=5, keys=3, duration_ms=4_000)

VOCABULARY = {
    *("read", "write", "delete", "cas", "write-expiring"),
    *("add", "value", "insert", "remove", "members", "append", "text"),
    *("txn", "watch", "conflicts", "transfer"),
    *("bookmark", "restore"),
}
"""What adapters are asked for; `transfer` by transactional ones alone."""

ORDERED = {
    *("list-append", "linearizable-register", "linearizable-cas"),
    *("object-list-append", "object-register", "object-cas", "object-restore"),
}
"""Judged by order alone: what is left in the end is one more read."""

every_workload = pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)


def drawn(workload: Workload, seed: int, extent: Extent = EXTENT) -> list[Invoke]:
    """Return what a workload asks for."""
    return list(workload.invocations(Random(seed), NODES, extent))


@every_workload
def test_same_seed_draws_the_same_in_order_of_time(workload: Workload) -> None:
    """And another seed something else."""
    first, again, other = drawn(workload, 1), drawn(workload, 1), drawn(workload, 2)

    assert first == again
    assert first != other
    assert [each.at for each in first] == sorted(each.at for each in first)
    assert len(first) == EXTENT.operations


@every_workload
def test_operations_are_of_the_vocabulary_and_within_the_extent(
    workload: Workload,
) -> None:
    """Nodes, workers and times are those that were given."""
    for each in drawn(workload, 3):
        assert each.f in VOCABULARY
        assert each.node in NODES
        assert 0 <= each.worker < EXTENT.workers
        assert 0 <= each.at < EXTENT.duration_ms


@every_workload
def test_values_are_written_once(workload: Workload) -> None:
    """A value says which operation wrote it."""
    written: list[object] = []
    for each in drawn(workload, 4):
        match each.f, each.argument:
            case ("write" | "insert" | "append", value):
                written.append(value)
            case ("cas", (_, value)) | ("write-expiring", (value, _)):
                written.append(value)
            case ("txn", steps) if workload.model == "list-append":
                assert isinstance(steps, tuple)
                written += [s[2] for s in steps if isinstance(s, tuple) and s[2]]
            case _:
                pass

    assert len(written) == len(set(written))


@every_workload
def test_questions_at_the_end_are_about_what_was_asked_for(workload: Workload) -> None:
    """Nothing asked, nothing to ask; and a part of a plan is a plan."""
    asked = drawn(workload, 5)

    assert workload.finals([]) == ()
    assert workload.finals(asked)
    assert {each.key for each in workload.finals(asked[:1])} <= {asked[0].key}


@every_workload
def test_run_that_shows_nothing_is_not_called_valid(workload: Workload) -> None:
    """An empty history is in order, but proves nothing of what is left at the end."""
    judgements = workload.judge(History((), header=Header(nodes=NODES)))

    expected = Verdict.VALID if workload.name in ORDERED else Verdict.UNKNOWN
    assert combined(judgements) is expected


@every_workload
def test_run_without_answers_breaks_no_checker(workload: Workload) -> None:
    """Operations that were never answered, or failed, contradict nothing."""
    operations = [
        Operation(
            number,
            each.f,
            each.key,
            each.argument,
            None,
            each.at,
            FOREVER if number % 2 else each.at + 1,
            Outcome.INFO if number % 2 else Outcome.FAIL,
            each.node,
        )
        for number, each in enumerate(drawn(workload, 6))
    ]

    judgements = workload.judge(History.of(operations, header=Header(nodes=NODES)))

    assert all(each.verdict is not Verdict.INVALID for each in judgements)


def test_unknown_name_lists_those_there_are() -> None:
    """So that a typing mistake is mended at once."""
    with pytest.raises(ValueError, match="'rigister'; choose one of: register, "):
        workload_named("rigister")


@pytest.mark.parametrize("extent", [Extent(workers=0), Extent(operations=-1)])
def test_extent_out_of_range_is_refused(extent: Extent) -> None:
    """With what is wrong."""
    with pytest.raises(ValueError, match="1 or more"):
        drawn(workload_named("register"), 1, extent)
