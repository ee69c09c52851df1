"""Rumors: how often each is sent, in which order, and how many are kept."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.membership.messages import Update
from kvnode.core.membership.rumors import Rumors, retransmissions
from tests.core.membership.updates import A, B, C, alive, dead, suspect, updates


@given(
    added=st.lists(updates(), max_size=12),
    room=st.integers(1, 5),
    times=st.integers(1, 6),
)
def test_each_rumor_is_sent_as_often_as_asked_then_never_again(
    added: list[Update], room: int, times: int
) -> None:
    """The newest about each member; what it replaced is not sent."""
    rumors = Rumors()
    for update in added:
        rumors.add(update)
    newest = {update.replica: update for update in added}

    sent: Counter[Update] = Counter()
    while message := rumors.take(room, times):
        assert len(message) <= room
        sent.update(message)

    assert sent == dict.fromkeys(newest.values(), times)
    assert len(rumors) == 0


@given(
    batches=st.lists(st.lists(updates(), max_size=4), min_size=1, max_size=8),
    room=st.integers(1, 4),
)
def test_what_was_sent_least_goes_first(batches: list[list[Update]], room: int) -> None:
    """No message leaves out a rumor for one that was sent more often."""
    rumors = Rumors()
    sent: dict[Update, int] = {}
    for batch in batches:
        for update in batch:
            for old in [known for known in sent if known.replica == update.replica]:
                del sent[old]
            rumors.add(update)
            sent[update] = 0
        message = rumors.take(room, 100)

        left_out = [sent[update] for update in sent if update not in message]
        assert all(sent[update] <= min(left_out, default=100) for update in message)
        assert len(message) == min(room, len(sent))
        for update in message:
            sent[update] += 1


def test_newer_rumor_about_a_member_replaces_the_older() -> None:
    """There are never more rumors than members."""
    rumors = Rumors()
    for update in (suspect(A, 0, B), dead(A, 0), alive(B, 3), alive(A, 1)):
        rumors.add(update)

    assert len(rumors) == 2
    assert rumors.take(10, 1) == (alive(B, 3), alive(A, 1))


def test_dropped_rumor_is_not_sent() -> None:
    """Nobody talks about who was removed (M2)."""
    rumors = Rumors()
    rumors.add(alive(A, 1))
    rumors.add(alive(B, 1))
    rumors.take(1, 5)
    rumors.drop(A)
    rumors.drop(C)

    assert rumors.take(10, 5) == (alive(B, 1),)


def test_rumor_already_sent_more_often_than_a_smaller_cluster_needs_is_dropped() -> (
    None
):
    """Members may leave while a rumor is under way."""
    rumors = Rumors()
    rumors.add(alive(A, 1))
    for _ in range(5):
        rumors.take(1, 10)
    rumors.take(1, 2)

    assert len(rumors) == 0


def test_retransmissions_grow_with_the_logarithm_of_the_members() -> None:
    """One node alone still gives each rumor a chance."""
    assert [retransmissions(n, 4) for n in (1, 3, 100, 1000)] == [4, 8, 28, 40]
