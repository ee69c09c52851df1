"""Logs that match at one entry are equal up to there, and find where they part."""

from hypothesis import assume, given
from hypothesis import strategies as st

from kvnode.core.objects.quorum_log import ORIGIN, LogEntry, Position, QuorumLog

MANY = 10**6


def entry(epoch: int, text: str = "") -> LogEntry:
    """Return an entry."""
    return LogEntry(epoch, text.encode())


def log_of(*epochs: int) -> QuorumLog:
    """Return a log whose entries have those epochs, each saying its number."""
    return QuorumLog(entries=[entry(e, str(n)) for n, e in enumerate(epochs, 1)])


def epochs_of(log: QuorumLog) -> list[int]:
    """Return the epochs of all entries."""
    return [
        each.epoch
        for each in log.after(log.base.number, entries_max=MANY, bytes_max=MANY)
    ]


ascending = st.lists(st.integers(1, 5), max_size=8).map(sorted)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[QuorumLog, QuorumLog]:
    """
    Two logs that leaders of different epochs can have made.

    Equal up to somewhere; from there on no epoch is in both.
    """
    same = draw(ascending)
    least = same[-1] if same else 1
    mine = sorted(draw(st.lists(st.integers(least, 9), max_size=6)))
    theirs = sorted(draw(st.lists(st.integers(least, 9), max_size=6)))
    mine, theirs = [2 * e for e in mine], [2 * e + 1 for e in theirs]
    shared = [2 * e for e in same]
    return log_of(*shared, *mine), log_of(*shared, *theirs)


def equal_until(one: QuorumLog, other: QuorumLog) -> int:
    """Return up to which number two logs are equal."""
    count = 0
    for mine, theirs in zip(epochs_of(one), epochs_of(other), strict=False):
        if mine != theirs:
            break
        count += 1
    return count


@given(pairs())
def test_two_logs_find_where_they_part(logs: tuple[QuorumLog, QuorumLog]) -> None:
    """In as many steps as there are epochs at most, and at the very place."""
    one, other = logs
    asked = one.last
    for _ in range(20):
        answer = other.common(asked)
        if answer == asked:
            break
        asked = one.common(answer)
    else:
        raise AssertionError

    assert asked.number == equal_until(one, other)
    assert one.has(asked)
    assert other.has(asked)


@given(pairs())
def test_log_that_takes_what_follows_equals_the_other(
    logs: tuple[QuorumLog, QuorumLog],
) -> None:
    """What was beyond the common part, and never committed, is gone."""
    one, other = logs
    until = equal_until(one, other)
    theirs = epochs_of(other)
    assume(len(theirs) > until)

    first = one.append(
        Position(one.epoch_at(until), until),
        other.after(until, entries_max=MANY, bytes_max=MANY),
    )

    assert first == until + 1
    assert epochs_of(one) == theirs


@given(epochs=ascending, since=st.integers(0, 8), count=st.integers(0, 8))
def test_entries_that_are_here_change_nothing(
    epochs: list[int], since: int, count: int
) -> None:
    """A message that comes late must not cut off what came after it."""
    log = log_of(*epochs)
    assume(since <= len(epochs))
    again = log.after(since, entries_max=count + 1, bytes_max=MANY)

    assert log.append(Position(log.epoch_at(since), since), again) is None
    assert epochs_of(log) == epochs


@given(epochs=ascending, until=st.integers(0, 8))
def test_log_behind_a_snapshot_goes_on_as_before(epochs: list[int], until: int) -> None:
    """Numbers and epochs stay; only the entries are gone."""
    assume(until <= len(epochs))
    log, whole = log_of(*epochs), log_of(*epochs)

    log.forget(until)

    assert log.last == whole.last
    assert epochs_of(log) == epochs[until:]
    assert [log.epoch_at(n) for n in range(until, len(epochs) + 1)] == [
        whole.epoch_at(n) for n in range(until, len(epochs) + 1)
    ]
    assert log.common(ORIGIN) == log.base


def test_part_of_a_log_is_bounded_by_number_and_size() -> None:
    """One entry comes however large it is, or nothing ever would."""
    log = QuorumLog(entries=[entry(1, "x" * 100) for _ in range(5)])

    assert len(log.after(0, entries_max=2, bytes_max=MANY)) == 2
    assert len(log.after(0, entries_max=9, bytes_max=117)) == 2
    assert len(log.after(3, entries_max=9, bytes_max=1)) == 1
    assert log.after(5, entries_max=9, bytes_max=1) == ()


def test_log_that_restarts_has_the_snapshot_alone() -> None:
    """A replica that lags behind the leader's snapshot."""
    log = log_of(1, 1)

    log.restart(Position(4, 90))

    assert log.last == Position(4, 90)
    assert log.has(Position(4, 90))
    assert not log.has(Position(1, 1))
