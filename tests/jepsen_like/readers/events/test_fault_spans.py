"""What Jepsen's nemesis did, from its lines."""

from jepsen_like.history import FaultSpan
from jepsen_like.readers.events.fault_spans import FaultSpans


def _spans(*told: tuple[str, int], ended: int) -> list[FaultSpan]:
    spans = FaultSpans()
    for f, now in told:
        spans.add(f, now, "")
    return spans.spans(ended)


def test_start_lasts_until_its_stop() -> None:
    """Both are told twice: when they begin and when they are done."""
    told = [("start", 1), ("start", 2), ("stop", 7), ("stop", 8)]

    assert _spans(*told, ended=9) == [FaultSpan("fault", 1, 7)]


def test_named_faults_end_by_their_own_name() -> None:
    """The end of one is not the end of another, and what lasts ends with the file."""
    told = [("start-cut", 1), ("start-kill", 2), ("stop-kill", 5)]

    assert _spans(*told, ended=9) == [FaultSpan("cut", 1, 9), FaultSpan("kill", 2, 5)]


def test_other_deeds_last_from_their_first_line_to_their_second() -> None:
    """A clock that is bumped stays bumped, but the deed is short."""
    told = [("bump", 1), ("bump", 3), ("bump", 5), ("bump", 6)]

    assert _spans(*told, ended=9) == [FaultSpan("bump", 1, 3), FaultSpan("bump", 5, 6)]
