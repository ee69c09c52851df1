"""Range-based reconciliation: both sides learn what the other lacks, and stop."""

from collections.abc import Mapping
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.replication import range_message, range_reconciliation
from kvnode.core.replication.entry_scan import finished
from kvnode.core.replication.item_index import ItemIndex
from kvnode.core.replication.range_message import (
    LISTED_MAX,
    SHORT_BYTES,
    STEPS_MAX,
    Group,
    RangeMessage,
    short,
)
from kvnode.core.replication.range_reconciliation import RangeSession
from kvnode.errors import PeerProtocolError
from tests.core.replication.sessions import (
    SALT,
    fingerprints,
    index_of,
    item,
    talk,
)

Items = dict[tuple[int, int], int]

places = st.one_of(
    st.integers(0, 2**32 - 1),
    st.integers(0, 9),
    st.integers(2**32 - 9, 2**32 - 1),
    st.integers(0, 99).map(lambda n: 0xABCD_0000 + n),
    st.just(0x8000_0000),
)
"""Anywhere, at both ends, and crowded together as no hash would do."""


@st.composite
def two_sides(draw: st.DrawFn) -> tuple[Items, Items]:
    """Two sets of items that have nothing, something or everything in common."""
    spots = draw(st.lists(st.tuples(places, st.integers(0, 30)), unique=True))
    sides: tuple[Items, Items] = ({}, {})
    fate = st.sampled_from(("both", "changed", "first", "second"))
    favoured = draw(st.sampled_from(("both", "changed", "first", "second")))
    for number, spot in enumerate(spots):
        drawn = draw(st.just(favoured) | fate)
        if drawn != "second":
            sides[0][spot] = item(number)
        if drawn != "first":
            sides[1][spot] = item(number + (1_000_000 if drawn == "changed" else 0))
    return sides


def check(first: Mapping[tuple[int, int], int], second: Items) -> None:
    """Assert that a session finds what a difference of sets does."""
    a, b = index_of(first), index_of(second)

    said = talk(a, b)

    assert fingerprints(a, said.a.lacked) == sorted(
        set(first.values()) - set(second.values())
    )
    assert fingerprints(b, said.b.lacked) == sorted(
        set(second.values()) - set(first.values())
    )
    assert len(said.sizes) <= STEPS_MAX


@given(sides=two_sides())
def test_session_finds_what_a_difference_of_sets_finds(
    sides: tuple[Items, Items],
) -> None:
    """Both sides, wherever the items are."""
    check(*sides)


def scattered(rng: Random, count: int, bits: int, start: int) -> Items:
    """Return items whose positions differ in the low *bits* only."""
    shared = rng.getrandbits(32) >> bits << bits
    return {
        (shared | rng.getrandbits(bits), number): item(start + number)
        for number in range(count)
    }


@pytest.mark.parametrize("seed", range(12))
def test_session_finds_differences_of_large_and_crowded_sets(seed: int) -> None:
    """Through several steps of splits, some of them with few positions left."""
    rng = Random(seed)
    first = scattered(rng, rng.choice((300, 3000)), rng.choice((8, 14, 32)), 0)
    second = dict(first)
    for spot in rng.sample(sorted(first), rng.choice((1, 20, 250))):
        second[spot] = item(10_000 + spot[1])
    for spot in rng.sample(sorted(first), rng.choice((0, 30))):
        second.pop(spot)
    second.update(scattered(rng, rng.choice((0, 1, 500)), 10, 50_000))

    check(first, second)
    check(second, first)


def test_equal_sets_cost_one_message_each_way() -> None:
    """A digest that differs for a moment, as after a write, is no alarm yet."""
    index = index_of(scattered(Random(1), 5000, 32, 0))

    assert talk(index, index).sizes == [[94], [5]]


@pytest.mark.parametrize("turned", [False, True])
def test_side_without_items_learns_nothing_and_is_sent_everything(
    turned: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    """And says so in a few bytes."""
    items = scattered(Random(2), 3000, 32, 0)
    full, empty = index_of(items), index_of({})

    said = talk(full, empty) if turned else talk(empty, full)

    own, other = (said.a, said.b) if turned else (said.b, said.a)
    assert len(own.lacked) == 3000
    assert not other.lacked
    assert said.total_bytes < 200


def changed_keys(count: int, changes: int) -> tuple[ItemIndex, ItemIndex]:
    """Return two sides of *count* keys, so many of them with other entries."""
    rng = Random(20_240_229)
    first = scattered(rng, count, 32, 0)
    second = dict(first)
    for spot in rng.sample(sorted(first), changes):
        second[spot] = item(count + spot[1])
    return index_of(first), index_of(second)


@pytest.mark.parametrize(
    ("changes", "bytes_max", "messages_max"),
    [(1, 600, 6), (100, 16_000, 7), (1000, 90_000, 7)],
)
def test_cost_goes_with_the_number_of_differences(
    changes: int, bytes_max: int, messages_max: int
) -> None:
    """Of 20,000 keys; a million cost a step more (cluster.scale.differences)."""
    said = talk(*changed_keys(20_000, changes))

    assert len(said.a.lacked) == len(said.b.lacked) == changes
    assert said.total_bytes <= bytes_max
    assert said.message_count <= messages_max


def test_step_larger_than_a_message_is_sent_in_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of them bounded, and all but the last of them full."""
    monkeypatch.setattr(range_message, "MESSAGE_BYTES_MAX", 2000)
    monkeypatch.setattr(range_reconciliation, "MESSAGE_BYTES_MAX", 2000)

    said = talk(*changed_keys(20_000, 3000))

    assert len(said.a.lacked) == len(said.b.lacked) == 3000
    assert max(map(max, said.sizes)) <= 2000
    assert said.message_count > 50


def test_another_salt_finds_what_looked_alike() -> None:
    """What two ranges have in common by chance, they have for few salts only."""
    one, other = item(1), item(2)
    salt = next(
        s for s in range(1, 10**6, 2) if short(one, s)[:2] == short(other, s)[:2]
    )

    assert short(one, salt + 2)[:2] != short(other, salt + 2)[:2]


def test_work_on_a_message_is_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop gets its turn, however much has come."""
    monkeypatch.setattr(range_reconciliation, "COMPARED_PER_STEP", 10)
    a, b = changed_keys(20_000, 1000)
    first, second = RangeSession(a), RangeSession(b)
    [said] = first.begin(SALT)
    [said] = finished(second.receive(said))
    steps = first.receive(said)

    assert sum(1 for _ in steps) > 50


def test_more_items_at_one_position_than_are_listed_end_the_session_too() -> None:
    """It takes 2^40 hashes to bring that about, and must not harm others."""
    crowd = {(7, number): item(number) for number in range(LISTED_MAX + 44)}
    other = {(2**31, 0): item(10**6)}
    a, b = index_of(crowd | other), index_of({(7, 0): item(10**7)})

    said = talk(a, b)

    found = set(fingerprints(a, said.a.lacked))
    assert item(10**6) in found
    assert len(found) >= LISTED_MAX


# -- what no correct peer sends -------------------------------------------------


CROWDED = index_of({(number % 64, number): item(number) for number in range(3000)})
SCATTERED = index_of(scattered(Random(4), 200, 32, 0))


def heard_by_a_beginner(*messages: RangeMessage) -> RangeSession:
    """Let *messages* arrive at a side that has begun; its items are crowded."""
    session = RangeSession(CROWDED)
    session.begin(SALT)
    for message in messages:
        finished(session.receive(RangeMessage.decode(message.encode())))
    return session


def message(step: int = 1, **changes: object) -> RangeMessage:
    """Return a message that says nothing, but for *changes*."""
    said = RangeMessage(step, last=True, salt=0, bits=0, answers=b"", groups=b"")
    return said._replace(**changes)  # type: ignore[arg-type]  # as named


def split(gap: int, bits: int) -> bytes:
    """Return a group of a range of which all parts differ."""
    return Group(gap, listed=False, shorts=b"\xa5" * (SHORT_BYTES << bits)).encode()


def listing(gap: int, count: int) -> bytes:
    """Return a group that lists items which nobody has."""
    return Group(gap, listed=True, shorts=b"\xa5" * (SHORT_BYTES * count)).encode()


BAD: dict[str, tuple[str, tuple[RangeMessage, ...]]] = {
    "earlier step": ("0 came, 1 was due", (message(0, salt=SALT),)),
    "later step": ("3 came, 1 was due", (message(3),)),
    "no such step": ("out of bounds", (message(STEPS_MAX + 1),)),
    "after the end": ("none was due", (message(), message(3))),
    "same step twice": (
        "1 came, 3 was due",
        (message(bits=2, groups=split(0, 2)), message(bits=2, groups=split(0, 2))),
    ),
    "not full, not last": ("not its step's last", (message(last=False),)),
    "unasked answers": ("the 0 items listed", (message(answers=b"\0"),)),
    "unnamed range": ("range 16 of 16", (message(groups=listing(16, 1)),)),
    "ranges again": ("of 16", (message(groups=listing(15, 1) + listing(0, 1)),)),
    "gap beyond all": ("of 16", (message(groups=listing(2**62, 1)),)),
    "too many parts": ("out of bounds", (message(bits=7, groups=split(0, 7)),)),
    "one part": ("group of 1", (message(bits=0, groups=split(0, 0)),)),
    "parts cut short": ("group of 16", (message(bits=4, groups=split(0, 4)[:-1]),)),
    "list too long": ("of 257", (message(groups=listing(0, LISTED_MAX + 1)),)),
    "list cut short": ("group of 3", (message(groups=listing(0, 3)[:-1]),)),
    "endless number": ("does not parse", (message(groups=b"\xff" * 11),)),
    "number cut short": ("does not parse", (message(groups=b"\xff"),)),
    "deeper than keys": (
        "splits by 6 bits at 3[3-8]",
        tuple(message(step, bits=6, groups=split(0, 6)) for step in range(1, 13, 2)),
    ),
}


@pytest.mark.parametrize("case", list(BAD))
def test_message_that_no_correct_peer_sends_ends_the_session(case: str) -> None:
    """An exception of its own, whatever is wrong."""
    reason, said = BAD[case]
    with pytest.raises(PeerProtocolError, match=reason):
        heard_by_a_beginner(*said)


def test_items_that_were_listed_must_be_answered_for() -> None:
    """Else a side would not know what the other lacks."""
    session = RangeSession(index_of({(1, 0): item(1)}))
    session.begin(SALT)  # one item: it is listed at once

    with pytest.raises(PeerProtocolError, match="answer"):
        finished(session.receive(message()))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\1",
        b"\2\0\1\0" + bytes(9),
        b"\1\1\2\0\0",
        b"\1\1\1\7\0",
        b"\1\1\1\0",
        b"\1\1\1\0\5abcd",
        b"\1\0\1\0" + bytes(9),
        b"\1\0\1\0" + bytes(4),
        bytes(range_message.MESSAGE_BYTES_MAX + 1),
    ],
)
def test_bytes_that_are_no_message_are_refused(raw: bytes) -> None:
    """Formats, flags and sizes out of bounds, and a salt that is even."""
    with pytest.raises(PeerProtocolError):
        RangeMessage.decode(raw)


@given(
    step=st.integers(0, STEPS_MAX),
    bits=st.integers(0, 6),
    answers=st.binary(max_size=9),
    groups=st.binary(max_size=9),
)
def test_message_survives_encoding(
    step: int, bits: int, answers: bytes, groups: bytes
) -> None:
    """Every field comes back."""
    said = RangeMessage(step, bits > 2, 0 if step else SALT, bits, answers, groups)

    assert RangeMessage.decode(said.encode()) == said


@given(
    raw=st.lists(
        st.builds(
            lambda bits, groups, answers: (bits, b"".join(groups), answers),
            st.integers(0, 6),
            st.lists(
                st.builds(split, st.integers(0, 3), st.integers(0, 6))
                | st.builds(listing, st.integers(0, 20), st.integers(0, 9))
                | st.binary(max_size=4),
                max_size=4,
            ),
            st.binary(max_size=3),
        ),
        max_size=STEPS_MAX,
    )
)
def test_nonsense_ends_a_session_in_an_orderly_way(
    raw: list[tuple[int, bytes, bytes]],
) -> None:
    """By the one exception that the shell expects, or by coming to its end."""
    session = RangeSession(SCATTERED)
    session.begin(SALT)
    try:
        for number, (bits, groups, answers) in enumerate(raw):
            said = message(2 * number + 1, bits=bits, groups=groups, answers=answers)
            finished(session.receive(said))
    except PeerProtocolError:
        return
    assert session.finished or len(raw) < STEPS_MAX


def test_peer_that_always_differs_is_through_in_a_bounded_number_of_steps() -> None:
    """Ranges only get narrower: where none can, there are lists."""
    session = RangeSession(CROWDED)
    due = session.begin(SALT)
    step = 1
    while not session.finished:
        named = sum(
            0 if group.listed else 1 << due[-1].bits
            for each in due
            for group in range_message.read_groups(each)
        )
        listed = sum(
            len(group.shorts) // SHORT_BYTES
            for each in due
            for group in range_message.read_groups(each)
            if group.listed
        )
        groups = b"".join(split(0, 1) for _ in range(named))
        answers = b"\0" * ((listed + 7) // 8)
        try:
            due = finished(
                session.receive(message(step, bits=1, groups=groups, answers=answers))
            )
        except PeerProtocolError:
            break  # no range is left to be split
        step += 2
    assert step <= STEPS_MAX


def test_peer_that_sends_more_than_there_is_to_say_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A session costs no more than the index does."""
    monkeypatch.setattr(range_reconciliation, "RECEIVED_BYTES_BASE", 0)
    session = RangeSession(index_of({}))

    with pytest.raises(PeerProtocolError, match="more than 0 bytes"):
        finished(session.receive(message(0, salt=SALT)))
