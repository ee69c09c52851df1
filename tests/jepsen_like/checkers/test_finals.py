"""Questions asked at the quiet end, for judges that do not know them."""

from jepsen_like.checkers.finals import with_finals, without_finals
from jepsen_like.history import FaultSpan, Header, History, Operation, Outcome

READ = Operation(0, "read", "x", None, 1, 0, 1, Outcome.OK)
FINAL_READ = Operation(9, "final-read", "x", None, 1, 2, 3, Outcome.OK)
FINAL_CONFLICTS = Operation(9, "final-conflicts", "x", None, (), 4, 5, Outcome.OK)
HISTORY = History(
    (READ, FINAL_READ, FINAL_CONFLICTS), (FaultSpan("kill", 0, 1),), Header("register")
)


def test_finals_are_ordinary_operations_at_the_end() -> None:
    """But for what a node tells of itself, which is no operation of the object."""
    told = with_finals(HISTORY)

    assert told.operations == (READ, FINAL_READ._replace(f="read"))
    assert (told.faults, told.header) == (HISTORY.faults, HISTORY.header)


def test_finals_are_left_out_where_nobody_asked_them() -> None:
    """No session did."""
    told = without_finals(HISTORY)

    assert told.operations == (READ,)
    assert (told.faults, told.header) == (HISTORY.faults, HISTORY.header)


def test_history_without_finals_is_itself() -> None:
    """A million operations are not copied for nothing."""
    history = History((READ,))

    assert with_finals(history) is history
    assert without_finals(history) is history
