"""Each row of the table in kvnode.client.retry."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.client.retry import (
    ATTEMPT_SECONDS_MIN,
    PAUSE_SECONDS_MAX,
    Decision,
    decide,
    pause_seconds,
)
from kvnode.errors import (
    ConnectionLostError,
    DeadlineError,
    IndeterminateError,
    InvalidArgumentError,
    KvError,
    NotCoveredError,
    NotLeaderError,
    ObjectEndedError,
    ObjectRaisedError,
    Outcome,
    OverloadedError,
    PeerProtocolError,
    ReplicasTimeoutError,
    StoreFullError,
    UnavailableError,
)

GIVE_UP, AT_ONCE, AFTER_PAUSE = Decision

FAILURES: list[KvError] = [
    InvalidArgumentError("x"),
    UnavailableError("x"),
    OverloadedError("x"),
    StoreFullError("x"),
    NotCoveredError("x"),
    IndeterminateError("x"),
    ConnectionLostError("x"),
    DeadlineError("x"),
    ReplicasTimeoutError("x", acknowledged=1, needed=2),
    NotLeaderError("x"),
    ObjectEndedError("x"),
    ObjectRaisedError("x", type_name="ValueError"),
]


@pytest.mark.parametrize(
    ("failure", "read", "write", "keyed"),
    [
        (InvalidArgumentError("x"), GIVE_UP, GIVE_UP, GIVE_UP),
        (ObjectRaisedError("x", type_name="y"), GIVE_UP, GIVE_UP, GIVE_UP),
        (DeadlineError("x"), GIVE_UP, GIVE_UP, GIVE_UP),
        (ConnectionLostError("x"), AT_ONCE, GIVE_UP, AT_ONCE),
        (IndeterminateError("x"), GIVE_UP, GIVE_UP, AT_ONCE),
        (StoreFullError("x"), AT_ONCE, AT_ONCE, AT_ONCE),
        (NotCoveredError("x"), AT_ONCE, AT_ONCE, AT_ONCE),
        (NotLeaderError("x"), AT_ONCE, AT_ONCE, AT_ONCE),
        (UnavailableError("x"), AT_ONCE, AT_ONCE, AT_ONCE),
        (OverloadedError("x"), AT_ONCE, AT_ONCE, AT_ONCE),
        (ObjectEndedError("x"), GIVE_UP, GIVE_UP, GIVE_UP),
        (
            ReplicasTimeoutError("x", acknowledged=1, needed=2),
            GIVE_UP,
            GIVE_UP,
            AT_ONCE,
        ),
        (PeerProtocolError("x"), GIVE_UP, GIVE_UP, GIVE_UP),
    ],
    ids=lambda value: type(value).__name__,
)
def test_decision_with_an_endpoint_untried_is_the_tables(
    failure: KvError, read: Decision, write: Decision, keyed: Decision
) -> None:
    """The first of two endpoints has failed, with time left."""
    assert _decisions(failure, attempts=1) == (read, write, keyed)


@pytest.mark.parametrize(
    ("failure", "read", "write", "keyed"),
    [
        (ConnectionLostError("x"), AFTER_PAUSE, GIVE_UP, AFTER_PAUSE),
        (IndeterminateError("x"), GIVE_UP, GIVE_UP, AFTER_PAUSE),
        (StoreFullError("x"), GIVE_UP, GIVE_UP, GIVE_UP),
        (NotCoveredError("x"), GIVE_UP, GIVE_UP, GIVE_UP),
        (UnavailableError("x"), AFTER_PAUSE, AFTER_PAUSE, AFTER_PAUSE),
    ],
    ids=lambda value: type(value).__name__,
)
def test_decision_with_all_endpoints_tried_is_the_tables(
    failure: KvError, read: Decision, write: Decision, keyed: Decision
) -> None:
    """Both endpoints have failed, with time left."""
    assert _decisions(failure, attempts=2) == (read, write, keyed)


def _decisions(failure: KvError, *, attempts: int) -> tuple[Decision, ...]:
    """Return what is decided of a read, a write, and a call with a key."""
    return tuple(
        decide(
            failure,
            writes=writes,
            repeatable=repeatable,
            attempts=attempts,
            endpoint_count=2,
            remaining=1,
        )
        for writes, repeatable in ((False, False), (True, False), (True, True))
    )


@given(
    failure=st.sampled_from(FAILURES),
    writes=st.booleans(),
    repeatable=st.booleans(),
    attempts=st.integers(1, 5),
    endpoint_count=st.integers(1, 5),
    remaining=st.floats(-1, ATTEMPT_SECONDS_MIN, exclude_max=True),
)
def test_nothing_is_repeated_without_time(
    failure: KvError,
    *,
    writes: bool,
    repeatable: bool,
    attempts: int,
    endpoint_count: int,
    remaining: float,
) -> None:
    """The deadline covers retries, whatever the failure."""
    decision = decide(
        failure,
        writes=writes,
        repeatable=repeatable,
        attempts=attempts,
        endpoint_count=endpoint_count,
        remaining=remaining,
    )

    assert decision is GIVE_UP


@given(
    failure=st.sampled_from(FAILURES),
    attempts=st.integers(1, 5),
    endpoint_count=st.integers(1, 5),
)
def test_write_is_repeated_only_if_it_did_not_happen(
    failure: KvError, attempts: int, endpoint_count: int
) -> None:
    """No acknowledged or possible write is ever applied twice."""
    decision = decide(
        failure,
        writes=True,
        attempts=attempts,
        endpoint_count=endpoint_count,
        remaining=1,
    )

    assert decision is GIVE_UP or failure.outcome is Outcome.FAILED


@given(failures=st.integers(1, 10_000), chance=st.floats(0, 1, exclude_max=True))
def test_pause_stays_within_its_bounds(failures: int, chance: float) -> None:
    """However long the trouble lasts."""
    assert 0 <= pause_seconds(failures, chance) <= PAUSE_SECONDS_MAX


def test_pause_doubles_until_the_maximum() -> None:
    """20 ms, 40 ms, ... 1 s, at the upper end of chance."""
    assert [pause_seconds(n, 1.0) for n in (1, 2, 3, 6, 7, 50)] == [
        0.02,
        0.04,
        0.08,
        0.64,
        1.0,
        1.0,
    ]
