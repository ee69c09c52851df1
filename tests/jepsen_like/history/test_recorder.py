"""The recorder: order is never lost, nothing is beyond its bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsen_like.history import (
    FOREVER,
    FaultSpan,
    Header,
    Outcome,
    Recorder,
    RecorderFullError,
)


class Clock:
    """A clock that is where it was put."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        """Return it."""
        return self.now


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 3), st.integers(-2, 5), st.sampled_from(Outcome)),
        max_size=30,
    )
)
def test_times_tell_the_order_in_which_things_were_recorded(
    steps: list[tuple[int, int, Outcome]],
) -> None:
    """Whatever the clock does, even if it stands still or goes back."""
    clock = Clock()
    recorder = Recorder(clock)
    pending: dict[int, int] = {}
    told: list[tuple[int, bool]] = []  # (token, is the return)
    number = {worker: worker for worker in range(4)}
    for worker, passed, outcome in steps:
        clock.now += passed
        if worker not in pending:
            token = recorder.invoked(number[worker], "n", "read", None, None)
            pending[worker] = token
            told.append((token, False))
        else:
            token = pending.pop(worker)
            recorder.returned(token, outcome)
            if outcome is Outcome.INFO:
                number[worker] += 4
            else:
                told.append((token, True))

    history = recorder.history(Header())

    times = [
        history.operations[token].returned
        if returns
        else history.operations[token].called
        for token, returns in told
    ]
    assert times == sorted(set(times))
    for token in pending.values():
        assert history.operations[token].outcome is Outcome.INFO
        assert history.operations[token].returned == FOREVER


def test_clock_times_are_kept_where_they_differ() -> None:
    """Latency is measured by them."""
    clock = Clock()
    recorder = Recorder(clock)
    clock.now = 100
    token = recorder.invoked(0, "n1", "write", "x", 3)
    clock.now = 250
    recorder.returned(token, Outcome.OK, 4, "v7", "")

    (operation,) = recorder.history(Header()).operations

    assert (operation.called, operation.returned) == (100, 250)
    assert (operation.result, operation.version, operation.node) == (4, "v7", "n1")


def test_fault_lasts_until_it_is_ended_or_the_history_is_taken() -> None:
    """A fault that nobody ended is seen to the end."""
    clock = Clock()
    recorder = Recorder(clock)
    cut = recorder.fault_began("cut", ("n1",), "one way")
    clock.now = 10
    recorder.fault_began("kill", ("n2",))
    clock.now = 20
    recorder.fault_ended(cut)
    clock.now = 30

    assert recorder.history(Header()).faults == (
        FaultSpan("cut", 0, 20, ("n1",), "one way"),
        FaultSpan("kill", 10, 30, ("n2",)),
    )


def test_recorder_refuses_more_than_its_bounds() -> None:
    """And keeps what it has."""
    recorder = Recorder(Clock(), operation_count_max=1, fault_count_max=1)
    recorder.invoked(0, "n", "read", None, None)
    recorder.fault_began("cut")

    with pytest.raises(RecorderFullError, match="operation_count_max"):
        recorder.invoked(1, "n", "read", None, None)
    with pytest.raises(RecorderFullError, match="fault_count_max"):
        recorder.fault_began("cut")

    assert len(recorder) == 1
    assert len(recorder.history(Header()).faults) == 1


def test_process_is_not_used_after_it_crashed() -> None:
    """What it asked for may still happen, so it is not free."""
    recorder = Recorder(Clock())
    recorder.returned(recorder.invoked(0, "n", "read", None, None), Outcome.INFO)

    with pytest.raises(AssertionError, match="INFO"):
        recorder.invoked(0, "n", "read", None, None)
