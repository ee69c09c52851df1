"""Outboxes: bounded, and no push is forgotten or counted twice."""

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.replication.messages import Push, PushAcknowledgement, wire_entry
from kvnode.core.replication.outbox import Outbox
from kvnode.types import Dot
from tests.core.replication.entries import A, at, register

BYTES_MAX = 1000


def push(seq: int, value_bytes: int = 100) -> Push:
    """Return a push of A's write *seq*."""
    entry = register(Dot(A, seq), bytes(value_bytes))
    return Push(A, seq, seq, (wire_entry(at(b"k"), entry),))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 600)), max_size=40))
def test_outbox_counts_what_a_naive_list_counts(
    steps: list[tuple[bool, int]],
) -> None:
    """Whatever is offered and acknowledged, its size is that of what is in flight."""
    outbox, in_flight, behind = Outbox(BYTES_MAX), list[Push](), False

    for seq, (is_offer, number) in enumerate(steps, start=1):
        if is_offer:
            offered = push(seq, number)
            size = sum(p.size_bytes for p in in_flight)
            fits = not in_flight or size + offered.size_bytes <= BYTES_MAX
            behind = behind or not fits
            assert outbox.offer(offered) is not behind
            if not behind:
                in_flight.append(offered)
        elif in_flight:
            taken = in_flight.pop(number % len(in_flight))
            resumes = behind and sum(p.size_bytes for p in in_flight) <= BYTES_MAX // 2
            message = PushAcknowledgement(A, taken.first, taken.last)
            assert outbox.acknowledge(message) is resumes
            behind = behind and not resumes
        assert outbox.size_bytes == sum(p.size_bytes for p in in_flight)
        assert outbox.behind is behind


def test_push_larger_than_the_bound_travels_alone() -> None:
    """A bound below one push must not stop pushing for good."""
    outbox = Outbox(BYTES_MAX)

    assert outbox.offer(push(1, 5000))
    assert not outbox.offer(push(2))


def test_acknowledgement_of_nothing_in_flight_counts_as_received_only() -> None:
    """After a stop the counts start afresh, and late acknowledgements come."""
    outbox = Outbox(BYTES_MAX)
    outbox.offer(push(1))
    outbox.forget()

    assert not outbox.acknowledge(PushAcknowledgement(A, 1, 1))

    assert outbox.size_bytes == 0
    assert outbox.received(Dot(A, 1), Dot(A, 1))


def test_push_that_a_delta_overtook_is_released_by_the_peers_clock() -> None:
    """Nobody acknowledges it: it would count for ever, and pushing end for good."""
    outbox = Outbox(BYTES_MAX)
    outbox.offer(push(1, 400))
    outbox.offer(push(2, 400))
    assert not outbox.offer(push(3, 400))

    assert not outbox.covered(VersionVector())
    assert outbox.covered(VersionVector.of({A: 1}))

    assert outbox.size_bytes == push(2, 400).size_bytes
    assert outbox.offer(push(4, 10))


def test_received_asks_for_the_whole_range() -> None:
    """A batch whose middle was not acknowledged is not at the peer."""
    outbox = Outbox(BYTES_MAX)
    for seq in (1, 3):
        outbox.acknowledge(PushAcknowledgement(A, seq, seq))

    assert not outbox.received(Dot(A, 1), Dot(A, 3))

    outbox.acknowledge(PushAcknowledgement(A, 2, 2))
    assert outbox.received(Dot(A, 1), Dot(A, 3))


def test_push_that_is_offered_again_counts_once() -> None:
    """A peer may ask for what is on its way to it."""
    outbox = Outbox(BYTES_MAX)
    for _ in range(2):
        assert outbox.offer(push(1))

    outbox.acknowledge(PushAcknowledgement(A, 1, 1))

    assert outbox.size_bytes == 0


def test_push_passed_on_for_another_is_released_and_not_remembered() -> None:
    """Who waits for replicas waits for writes of this node."""
    outbox = Outbox(BYTES_MAX)
    outbox.offer(push(1))

    outbox.acknowledge(PushAcknowledgement(A, 1, 1), ours=False)

    assert outbox.size_bytes == 0
    assert not outbox.received(Dot(A, 1), Dot(A, 1))
