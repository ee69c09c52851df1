"""What was found of a run is kept with its history, and is no part of its digest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsen_like.history import History, MalformedHistoryError, json_lines
from jepsen_like.verdict import Judgement, Verdict, Witness
from tests.jepsen_like.history.drawn_histories import histories, operations

HEADER = b'{"jepsen_like":1}\n'

_figures = st.dictionaries(
    st.text(max_size=5),
    st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    max_size=3,
)
_witnesses = st.builds(
    Witness,
    kind=st.text(max_size=5),
    explanation=st.text(max_size=5),
    operations=st.lists(operations(), max_size=2).map(tuple),
    key=st.none() | st.integers() | st.text(max_size=3),
)


@st.composite
def _found(draw: st.DrawFn) -> Judgement:
    verdict = draw(st.sampled_from(Verdict))
    reason = draw(st.text(min_size=verdict is not Verdict.VALID, max_size=5))
    count = 2 if verdict is Verdict.INVALID else 0
    witnesses = draw(st.lists(_witnesses, min_size=min(count, 1), max_size=count))
    return Judgement("run", verdict, reason, tuple(witnesses), draw(_figures))


def _with(history: History, run: Judgement | None) -> History:
    return History(history.operations, history.faults, history.header, run)


@given(history=histories, run=_found())
def test_finding_survives_the_disk_in_canonical_bytes(
    history: History, run: Judgement
) -> None:
    """Witnesses and all; writing what was read gives the bytes that were read."""
    first = list(json_lines.encode(_with(history, run)))

    again = json_lines.read(first)
    assert again == _with(history, run)
    assert list(json_lines.encode(again)) == first


@given(history=histories, run=_found())
def test_digest_is_of_what_happened_and_not_of_what_was_found(
    history: History, run: Judgement
) -> None:
    """So a judge that learns to say more does not make another history of it."""
    without = json_lines.digest(json_lines.encode(history))

    assert json_lines.digest(json_lines.encode(_with(history, run))) == without
    longer = [*json_lines.encode(_with(history, run)), b"\n"]
    assert json_lines.digest(longer) != without


def test_file_without_a_finding_is_read_as_before() -> None:
    """Nobody else has to say anything of a run."""
    assert json_lines.read([HEADER]).run is None


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b'{"run":3}', "`run` takes an object, not 3"),
        (b'{"run":{"verdict":"good"}}', "`verdict` is valid, invalid, unknown"),
        (b'{"run":{"verdict":"unknown"}}', "says why in `reason`"),
        (b'{"run":{"verdict":"invalid","reason":"r"}}', "has `witnesses`"),
        (b'{"run":{"verdict":"valid","witnesses":[{"kind":"k"}]}}', "no other has"),
        (b'{"run":{"verdict":"valid","witnesses":3}}', "`witnesses` is a list"),
        (b'{"run":{"verdict":"valid","figures":{"n":null}}}', "a figure is a number"),
        (b'{"run":{"verdict":"valid","reasons":"r"}}', "unknown field 'reasons'"),
        (b'{"run":{"verdict":"valid"},"f":"read"}', "unknown field 'f'"),
    ],
)
def test_line_that_says_no_finding_is_refused(line: bytes, complaint: str) -> None:
    """With its place."""
    with pytest.raises(MalformedHistoryError, match=complaint) as refused:
        json_lines.read([HEADER, line])

    assert refused.value.line == 2


def test_second_finding_is_refused() -> None:
    """It could not be told which one counts."""
    line = b'{"run":{"verdict":"valid"}}'

    with pytest.raises(MalformedHistoryError, match="a history has one at most"):
        json_lines.read([HEADER, line, line])
