"""The texts of Plume and AWDIT: sessions of transactions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsen_like.history import History, MalformedHistoryError, Outcome, Value
from jepsen_like.readers import awdit, plume
from tests.jepsen_like.readers.told import source

_micro = st.tuples(st.sampled_from("rw"), st.integers(0, 9), st.integers(-9, 9))
_sessions = st.lists(
    st.lists(st.lists(_micro, min_size=1, max_size=4), min_size=1, max_size=3),
    max_size=4,
)
_Session = list[list[tuple[str, int, int]]]


def _told(history: History) -> list[list[Value]]:
    """What each session's transactions answered, in order."""
    sessions: dict[int, list[Value]] = {}
    for operation in history.operations:
        assert operation.f == "txn"
        sessions.setdefault(operation.process, []).append(operation.result)
    return list(sessions.values())


@given(sessions=_sessions, separator=st.sampled_from(["-", "-----"]))
def test_awdit_text_is_read_as_it_was_written(
    sessions: list[_Session], separator: str
) -> None:
    """Blocks of blocks."""
    text = "\n=====\n".join(
        f"\n{separator}\n".join(
            "\n".join(f"{f} {key} {value}" for f, key, value in transaction)
            for transaction in session
        )
        for session in sessions
    )

    history = awdit.read(source(text))

    assert _told(history) == [[tuple(each) for each in s] for s in sessions]
    assert (history.header.model, history.header.initial) == ("transactions", None)


@given(sessions=_sessions, data=st.data())
def test_plume_text_is_read_as_it_was_written(
    sessions: list[_Session], data: st.DataObject
) -> None:
    """Also when the lines of sessions are mixed."""
    numbered = [
        [
            f"{f}({key},{value},{place},{100 * place + number})"
            for number, transaction in enumerate(session)
            for f, key, value in transaction
        ]
        for place, session in enumerate(sessions)
    ]
    turns = data.draw(
        st.permutations([i for i, lines in enumerate(numbered) for _ in lines])
    )
    queues = [iter(lines) for lines in numbered]
    text = "\n".join(next(queues[turn]) for turn in turns)

    history = plume.read(source(text))

    expected = {i: [tuple(t) for t in s] for i, s in enumerate(sessions)}
    assert _told(history) == [expected[turn] for turn in dict.fromkeys(turns)]
    assert (history.header.model, history.header.initial) == ("transactions", 0)


def test_plume_transaction_minus_one_was_aborted() -> None:
    """A read of what it wrote must be known as such."""
    history = plume.read(source("w(1,5,0,-1)\nr(1,5,1,7)\n"))

    failed = [each for each in history.operations if each.outcome is Outcome.FAIL]
    assert [each.argument for each in failed] == [(("w", 1, 5),)]
    assert len(history.operations) == 2


@pytest.mark.parametrize("line", ["w(1,2,3)", "x(1,2,3,4)", "w(1,2,3,b)", "r 1 2"])
def test_malformed_plume_line_is_named(line: str) -> None:
    """With what was expected."""
    with pytest.raises(MalformedHistoryError, match="h:3: expected w\\(key"):
        plume.read(source(f"# made by hand\nw(1,2,3,4)\n{line}\n"))


@pytest.mark.parametrize("line", ["w 1", "x 1 2", "w 1 2 3", "-=-"])
def test_malformed_awdit_line_is_named(line: str) -> None:
    """With what was expected."""
    with pytest.raises(MalformedHistoryError, match="h:2: expected `r key value`"):
        awdit.read(source(f"w 1 2\n{line}\n"))
