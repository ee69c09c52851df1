"""Announcements: every push in every round, batched, never much too late."""

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.dissemination.announcements import (
    ROUND_DELAYS,
    WAITING_MAX,
    Announcements,
    Item,
)
from kvnode.types import Millis
from tests.core.dissemination.members import name


def item(seq: int) -> Item:
    """Return an announcement of a push."""
    return Item(name(1, seq), is_ours=False, entered_here=False)


@given(gaps=st.lists(st.integers(0, 60), min_size=1, max_size=30))
def test_each_push_is_announced_once_in_each_round_and_in_time(
    gaps: list[int],
) -> None:
    """At most a round's delay after the round before, at least half of it."""
    announcements, now = Announcements(), Millis(0)
    before: dict[int, Millis] = {}
    rounds: dict[int, list[int]] = {}

    def take_until(end: Millis | None) -> None:
        while (due := announcements.due) is not None and (end is None or due <= end):
            for number, items in announcements.take(due):
                for item in items:
                    waited = due - before[item.id.first]
                    delay = ROUND_DELAYS[number]
                    assert delay // 2 <= waited <= delay
                    before[item.id.first] = due
                    rounds[item.id.first].append(number)

    for seq, gap in enumerate(gaps, start=1):
        now = Millis(now + gap)
        take_until(now)
        before[seq], rounds[seq] = now, []
        announcements.add(item(seq), now)
    take_until(None)

    assert all(r == list(range(len(ROUND_DELAYS))) for r in rounds.values())


def test_what_comes_together_is_announced_together() -> None:
    """The busier a cluster, the fewer messages a push costs."""
    announcements = Announcements()
    for seq in range(1, 101):
        announcements.add(item(seq), Millis(seq // 20))

    [(number, items)] = announcements.take(Millis(ROUND_DELAYS[0]))

    assert number == 0
    assert len(items) == 100


def test_waiting_pushes_are_bounded() -> None:
    """The oldest are dropped: comparing clocks finds them."""
    announcements = Announcements()
    for seq in range(1, WAITING_MAX + 11):
        announcements.add(item(seq), Millis(0))

    [(_, items)] = announcements.take(Millis(ROUND_DELAYS[0]))

    assert [item.id.first for item in items] == list(range(11, WAITING_MAX + 11))
