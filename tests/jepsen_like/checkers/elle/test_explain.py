"""Explanations: every sentence must be there, and be about the right thing."""

from jepsen_like.checkers.elle import check_list_append, check_rw_register
from jepsen_like.checkers.elle.explain import ELEMENTS_SHOWN_MAX, value_shown
from jepsen_like.history.history import History
from jepsen_like.history.operation import Value
from tests.jepsen_like.checkers.elle.histories import history, transaction


def test_cycle_of_lists_is_explained_edge_by_edge() -> None:
    """Each dependency with the elements that prove it, and a contradiction at last."""
    past = history(
        (("append", "x", 8), ("r", "y", ())),
        (("append", "z", 4), ("r", "x", (8,)), ("r", "z", (4,))),
        (("r", "x", ()), ("append", "z", 3)),
    )

    witness = check_list_append(past, "snapshot-isolation").witnesses[0]

    assert witness.kind == "G-single"
    assert witness.operations == past.operations
    for line in (
        "T1 < T2, because T2 saw T1's append of 8 to key x.",
        "T2 < T3, because T3 appended 3 to key z after T2 had appended 4.",
        "However, T3 < T1, because T3 saw key x empty, before T1 appended 8:",
        "a contradiction.",
        "T3 = r x (), append z 3 (process 2)",
    ):
        assert line in witness.explanation


def test_missed_append_is_explained_by_what_was_not_seen() -> None:
    """A reader of an older version did not see the next append."""
    past = History.of(
        (
            transaction(0, (("append", "x", 1),), 0, 1),
            transaction(0, (("append", "x", 2),), 2, 3),
            transaction(1, (("r", "x", (1,)),), 4, 5),
            transaction(1, (("r", "x", (1, 2)),), 6, 7),
        )
    )

    witness = check_list_append(past).witnesses[0]

    assert "T2 did not see T1's append of 2 to key x" in witness.explanation
    assert "T1 returned at 3, before T2 was called at 4" in witness.explanation


def test_order_of_a_client_is_explained_by_its_process() -> None:
    """A client that does not see its own earlier write."""
    past = History.of(
        (
            transaction(7, (("append", "x", 1),), 0, 1),
            transaction(7, (("r", "x", ()),), 2, 3),
        )
    )

    witness = check_list_append(past, "strong-session-serializable").witnesses[0]

    assert witness.kind == "G-single-process"
    assert "process 7 executed T1 before T2" in witness.explanation


def test_cycle_of_registers_is_explained_edge_by_edge() -> None:
    """A value read, and a later version written."""
    past = history(
        (("w", "x", 1), ("w", "y", 1)),
        (("r", "x", 1), ("r", "y", None)),
    )

    witness = check_rw_register(past, "serializable").witnesses[0]

    assert "T1 wrote 1 to key x, which T2 read" in witness.explanation
    assert (
        "T2 read key y as nil, and T1 wrote 1, a later version" in witness.explanation
    )


def test_long_list_is_shown_by_its_ends() -> None:
    """Nobody reads a thousand elements."""
    value: Value = tuple(range(1000))

    shown = value_shown(value)

    assert shown.startswith("(0 1 ")
    assert shown.endswith(" 999; 1000 elements)")
    assert len(shown.split()) < 2 * ELEMENTS_SHOWN_MAX
