"""The PN-counter counts, keeps within its limits and names them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.crdt import PnCounter
from kvnode.errors import CorruptRecordError, InvalidArgumentError
from kvnode.limits import COUNTER_ABS_MAX
from kvnode.types import ReplicaId
from tests.strategies import REPLICAS

A, B, C = REPLICAS


@given(
    adds=st.lists(st.tuples(st.sampled_from(REPLICAS), st.integers(-1000, 1000))),
)
def test_value_is_the_sum_of_all_that_was_added(
    adds: list[tuple[ReplicaId, int]],
) -> None:
    """Against a plain integer; and each replica's own count may travel alone."""
    together, alone = PnCounter(), dict.fromkeys(REPLICAS, PnCounter())
    for replica, delta in adds:
        together = together.add(replica, delta)
        alone[replica] = alone[replica].add(replica, delta)

    assert together.value == sum(delta for _, delta in adds)
    assert alone[A].merge(alone[B]).merge(alone[C]) == together


def test_concurrent_additions_all_count() -> None:
    """What last-writer-wins would lose."""
    start = PnCounter().add(A, 10)

    assert start.add(A, 1).merge(start.add(B, -4)).value == 7


def test_adding_nothing_leaves_no_trace() -> None:
    """A read is an addition of zero, and must not name its replica."""
    assert PnCounter().add(A, 0) == PnCounter()


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_may_reach_its_limit_and_not_pass_it(sign: int) -> None:
    """The error names the limit, and the counter stays what it was."""
    full = PnCounter().add(A, sign * COUNTER_ABS_MAX)

    assert full.value == sign * COUNTER_ABS_MAX
    with pytest.raises(InvalidArgumentError, match=f"{COUNTER_ABS_MAX} .COUNTER_ABS"):
        full.add(A, sign)
    with pytest.raises(InvalidArgumentError, match="COUNTER_ABS_MAX"):
        full.add(B, sign)


def test_what_one_replica_ever_added_is_limited_though_it_took_it_away_again() -> None:
    """Both sums only grow: the limit holds for each."""
    spent = PnCounter().add(A, COUNTER_ABS_MAX).add(A, -COUNTER_ABS_MAX)

    assert spent.value == 0
    with pytest.raises(InvalidArgumentError, match="start a new counter"):
        spent.add(A, 1)
    assert spent.add(B, 1).value == 1


def test_a_value_that_concurrent_additions_took_too_far_can_be_brought_back() -> None:
    """Each was within the limit where it was made; the way back is open."""
    high = PnCounter().add(A, COUNTER_ABS_MAX).merge(PnCounter().add(B, 5))

    assert high.value == COUNTER_ABS_MAX + 5
    assert high.add(C, -3).value == COUNTER_ABS_MAX + 2
    with pytest.raises(InvalidArgumentError):
        high.add(C, 1)


def test_encoding_is_compact() -> None:
    """Two bytes, and for each replica its number and two small integers."""
    assert len(PnCounter().encode()) == 2
    assert len(PnCounter().add(A, 5).add(B, -300).encode()) == 2 + 10 + 11


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x02\x00", id="unknown format"),
        pytest.param(b"\x01\x00\x00", id="trailing bytes"),
        pytest.param(b"\x01\x80\x00", id="integer not in its shortest form"),
        pytest.param(b"\x01\x01" + bytes(10), id="a replica that counted nothing"),
        pytest.param(
            b"\x01\x01" + bytes(8) + b"\x81" + b"\x80" * 8 + b"\x40\x00",
            id="a sum beyond the limit",
        ),
        pytest.param(b"\x01\x01" + bytes(8) + b"\xff" * 11, id="an endless integer"),
        pytest.param(
            b"\x01\x02" + bytes(7) + b"\x02\x01\x00" + bytes(7) + b"\x01\x01\x00",
            id="replicas not ascending",
        ),
        pytest.param(
            b"\x01\x02" + (bytes(7) + b"\x02\x01\x00") * 2, id="a replica twice"
        ),
    ],
)
def test_bytes_that_no_node_wrote_are_refused(data: bytes) -> None:
    """There is one encoding of a state, so anything else is damage."""
    with pytest.raises(CorruptRecordError):
        PnCounter.decode(data)
