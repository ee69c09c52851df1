"""The histories that measure transactional checkers are what they claim to be."""

import pytest

from jepsen_like.benchmarks import elle
from jepsen_like.history.operation import Operation


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same histories, a hundred times shorter."""
    monkeypatch.setattr(elle, "TRANSACTIONS", 1000)


def test_section_has_the_verdict_that_it_expects() -> None:
    """A quick wrong answer is worth nothing."""
    for section in elle.sections():
        assert section.judge(section.make()).verdict is section.expected, section.name


def test_history_is_the_same_every_time_and_as_long_as_said() -> None:
    """Two commits measure the same work."""
    for write, share in (("append", 0.0), ("append", 0.02), ("w", 0.02)):
        once, again = elle.history_of(write, share), elle.history_of(write, share)
        assert once == again
        assert len(once.operations) == 1000
        assert sum(map(_length, once.operations)) == 2500


def _length(operation: Operation) -> int:
    assert isinstance(operation.result, tuple)
    return len(operation.result)


def test_client_has_one_transaction_at_a_time() -> None:
    """Processes of a history never overlap themselves."""
    ended: dict[int, int] = {}
    for operation in elle.history_of("append", 0.0).operations:
        assert ended.get(operation.process, -1) < operation.called
        ended[operation.process] = operation.returned
