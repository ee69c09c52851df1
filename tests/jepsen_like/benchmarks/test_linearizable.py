"""The histories that are measured are what they claim to be, in small."""

import pytest

from jepsen_like.benchmarks.linearizable import (
    etcd_like_logs,
    key_value,
    sections,
    unique_registers,
)
from jepsen_like.checkers.linearizable import check
from jepsen_like.history import Outcome
from jepsen_like.verdict import Verdict


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("keys", [1, 5])
def test_registers_are_good_or_bad_as_asked(keys: int, *, broken: bool) -> None:
    """And the bad ones are so near the end."""
    history = unique_registers(2_000, keys, broken=broken)

    judgement = check(history, "register")

    assert judgement.verdict is (Verdict.INVALID if broken else Verdict.VALID)
    assert len(history.operations) == 2_000
    for witness in judgement.witnesses:
        last = max(operation.called for operation in witness.operations)
        assert last >= 0.9 * history.operations[-1].called


@pytest.mark.parametrize("broken", [False, True])
def test_key_value_history_is_good_or_bad_as_asked(*, broken: bool) -> None:
    """Fifty clients are active at once."""
    history = key_value(1_000, 50, broken=broken)

    judgement = check(history, "key-value")

    assert judgement.verdict is (Verdict.INVALID if broken else Verdict.VALID)
    assert len({operation.process for operation in history.operations}) == 50


@pytest.mark.parametrize("broken", [False, True])
def test_each_log_is_good_or_bad_as_asked(*, broken: bool) -> None:
    """Also with answers that never came."""
    history = etcd_like_logs(broken=broken)
    expected = Verdict.INVALID if broken else Verdict.VALID

    for log in range(49):
        part = type(history).of(
            operation for operation in history.operations if operation.key == log
        )
        assert check(part, "cas-register").verdict is expected, log
        assert any(each.outcome is Outcome.INFO for each in part.operations), log


def test_histories_are_the_same_every_time() -> None:
    """Two measurements are of the same thing."""
    assert key_value(300, 9, broken=True) == key_value(300, 9, broken=True)
    assert unique_registers(300, 9, broken=True) == unique_registers(
        300, 9, broken=True
    )


def test_every_kind_is_measured_good_and_bad() -> None:
    """Bad histories must be as fast as good ones."""
    verdicts = [section.expected for section in sections()]

    assert verdicts == [Verdict.VALID, Verdict.INVALID] * 4
