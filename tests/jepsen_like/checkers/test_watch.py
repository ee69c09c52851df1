"""Watches: what must be shown, and in which order."""

import pytest

from jepsen_like.checkers import watch
from jepsen_like.history.history import FaultSpan, History
from jepsen_like.history.operation import Operation, Value
from jepsen_like.verdict import Verdict
from tests.jepsen_like.checkers.registers import MS, delete, final, read, write


def watched(
    process: int, changes: tuple[Value, ...], at: int, node: str = "a"
) -> Operation:
    """Return a watch of all keys that took 10 ms."""
    base = write(process, ("", 10), at, node)
    return base._replace(f="watch", key=None, result=changes, returned=(at + 10) * MS)


def change(value: Value, version: str = "", key: str = "x") -> Value:
    """Return a change as a watch shows it."""
    return (key, value, version)


def kinds(*operations: Operation, repeats: bool = True) -> list[str]:
    """Return what is found in a history of these operations."""
    judgement = watch.check(History.of(operations), repeats=repeats)
    return [witness.kind for witness in judgement.witnesses]


def test_final_value_that_the_node_had_must_be_shown() -> None:
    """Acknowledged there, or read there, before a watch went on there."""
    wrote, ends = write(0, 1, 0, "a"), final(1)

    assert kinds(wrote, watched(9, (), 5), ends) == ["missed change"]
    assert kinds(wrote, watched(9, (change(1),), 5), ends) == []
    assert kinds(wrote, watched(9, (), 5, "b"), ends) == []
    shown = read(1, 1, 3, "b")
    assert kinds(wrote, shown, watched(9, (), 5, "b"), ends) == ["missed change"]


def test_change_shown_by_an_earlier_watch_need_not_come_again() -> None:
    """A watch goes on where the last one stopped; another watcher's does not count."""
    wrote, ends = write(0, 1, 0, "a"), final(1)
    earlier, later = watched(9, (change(1),), 5), watched(9, (), 20)

    assert kinds(wrote, earlier, later, ends) == []
    assert kinds(wrote, earlier._replace(process=8), later, ends) == ["missed change"]


def test_overwritten_values_need_not_be_shown() -> None:
    """Of what changed several times the last state is enough."""
    writes = [write(0, 1, 0), write(0, 2, 2)]

    assert kinds(*writes, watched(9, (change(2),), 5), final(2)) == []


def test_watch_does_not_go_back_to_what_was_overwritten() -> None:
    """Within one watch; after resuming only where repeats are excluded."""
    writes = [write(0, 1, 0), write(0, 2, 2)]
    back = watched(9, (change(2), change(1)), 5)
    apart = [watched(9, (change(2),), 5), watched(9, (change(1),), 20)]

    assert kinds(*writes, back, final(2)) == ["went back"]
    assert kinds(*writes, *apart, final(2)) == []
    assert kinds(*writes, *apart, final(2), repeats=False) == ["went back"]


def test_concurrent_values_may_come_in_any_order_unless_versions_rank_them() -> None:
    """Clocks decide, and only versions show how."""
    writes = [write(0, 1, 0, "a"), write(1, 2, 2, "b")]
    shown = watched(9, (change(2, "2"), change(1, "1")), 5, "c")
    history = History.of([*writes, shown])

    assert watch.check(history).verdict is Verdict.VALID
    judgement = watch.check(history, order_of=lambda version: version)
    assert judgement.witnesses[0].kind == "went back"


def test_value_that_nobody_wrote_is_a_phantom() -> None:
    """Deletes are shown as None and may be anyone's."""
    assert kinds(write(0, 1, 0), watched(9, (change(7),), 5)) == ["phantom change"]
    assert kinds(write(0, 1, 0), watched(9, (change(None),), 5)) == []


def test_node_that_lost_its_store_owes_nothing_from_before() -> None:
    """It may not have the value any more when the watch goes on."""
    operations = [write(0, 1, 0, "a"), watched(9, (), 20), watched(9, (), 40, "b")]
    wiped = FaultSpan("wipe", 5 * MS, 6 * MS, ("a",))

    judgement = watch.check(History.of([*operations, final(1)], [wiped]))

    assert judgement.verdict is Verdict.UNKNOWN


WIPED = FaultSpan("wipe", 20 * MS, 21 * MS, ("a",))


@pytest.mark.parametrize(
    ("later", "shown"), [(write(0, 2, 2), change(2)), (delete(0, 2), change(None))]
)
def test_final_value_that_was_overwritten_by_what_was_lost_need_not_be_shown(
    later: Operation, shown: Value
) -> None:
    """
    It was the past when the watch was asked for, and nobody but the node knew that.

    Found by watch under mixed,wipe, seed 2007007: of a node that was wiped early writes
    came back with old messages; later ones, which watchers had seen, did not.
    """
    history = [write(0, 1, 0), later, watched(9, (shown,), 5), final(1, "b")]

    assert not watch.check(History.of(history, [WIPED])).witnesses
    [witness] = watch.check(History.of(history)).witnesses
    assert witness.kind == "missed change"


def test_final_value_must_be_shown_after_one_that_it_has_overwritten() -> None:
    """Whatever was lost since: in a session the order of its writes is certain."""
    history = [write(0, 2, 0), write(0, 1, 2), watched(9, (change(2),), 5)]

    [witness] = watch.check(History.of([*history, final(1, "b")], [WIPED])).witnesses

    assert witness.kind == "missed change"


@pytest.mark.parametrize(("version", "missed"), [("1", True), ("3", False)])
def test_versions_tell_whether_what_was_lost_had_overwritten_the_final_value(
    version: str, *, missed: bool
) -> None:
    """Of writes that knew nothing of each other, too."""
    wrote = write(0, 1, 0)._replace(version="2")
    lost = write(1, 2, 2)._replace(version=version)
    shown = watched(9, (change(2, version),), 5)
    ends = final(1, "b")._replace(version="2")

    history = History.of([wrote, lost, shown, ends], [WIPED])
    judgement = watch.check(history, order_of=lambda each: each)

    assert bool(judgement.witnesses) == missed


@pytest.mark.parametrize("result", [("x", 1), (("x", 1),), None])
def test_watch_of_another_form_is_refused(result: Value) -> None:
    """The message says what a change is."""
    odd = watched(9, (), 5)._replace(result=result)

    with pytest.raises(ValueError, match=r"\(key, value, version\)"):
        watch.check(History.of([odd]))
