"""The observed-remove set: additions win, removals remove what they saw."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.crdt import ObservedRemoveSet
from kvnode.errors import CorruptRecordError, InvalidArgumentError
from kvnode.limits import SET_MEMBER_BYTES_MAX
from kvnode.types import Dot, ReplicaId
from tests.strategies import REPLICAS

A, B, _ = REPLICAS
EMPTY = ObservedRemoveSet()


def added(state: ObservedRemoveSet, dot: Dot, *members: bytes) -> ObservedRemoveSet:
    """Return *state* after *dot* added *members*."""
    return state.update(dot, add=members, remove=())


def removed(state: ObservedRemoveSet, dot: Dot, *members: bytes) -> ObservedRemoveSet:
    """Return *state* after *dot* removed *members*."""
    return state.update(dot, add=(), remove=members)


steps = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from([b"x", b"y"]),
        st.sampled_from(["add", "remove", "hear"]),
    ),
    max_size=25,
)


@given(steps=steps)
def test_set_agrees_with_the_textbook_set_with_tombstones(
    steps: list[tuple[int, bytes, str]],
) -> None:
    """The twin keeps every tag and every removed tag for ever (Shapiro et al.)."""
    optimised = [EMPTY] * 3
    naive: list[tuple[set[tuple[bytes, Dot]], set[tuple[bytes, Dot]]]]
    naive = [(set(), set()) for _ in range(3)]
    for number, (at, member, act) in enumerate(steps, 1):
        tags, tombstones = naive[at]
        dot = Dot(REPLICAS[at], number)
        if act == "hear":
            other = (at + 1 + number % 2) % 3
            optimised[at] = optimised[at].merge(optimised[other])
            naive[at] = (tags | naive[other][0], tombstones | naive[other][1])
        elif act == "add":
            optimised[at] = added(optimised[at], dot, member)
            naive[at] = (tags | {(member, dot)}, tombstones)
        else:
            optimised[at] = removed(optimised[at], dot, member)
            naive[at] = (tags, tombstones | {tag for tag in tags if tag[0] == member})

    for state, (tags, tombstones) in zip(optimised, naive, strict=True):
        assert state.value == sorted({member for member, _ in tags - tombstones})


def test_an_addition_wins_over_a_concurrent_removal() -> None:
    """The remover had not seen the new tag."""
    start = added(EMPTY, Dot(A, 1), b"x")

    merged = removed(start, Dot(A, 2), b"x").merge(added(start, Dot(B, 1), b"x"))

    assert merged.value == [b"x"]


def test_a_removal_that_saw_the_addition_wins_on_every_replica() -> None:
    """The context tells a removed tag from one that never arrived."""
    there = added(EMPTY, Dot(A, 1), b"x", b"y")
    here = removed(EMPTY.merge(there), Dot(B, 7), b"x")

    assert here.merge(there).value == [b"y"]
    assert there.merge(here).value == [b"y"]


def test_a_removal_alone_puts_no_dot_into_the_context() -> None:
    """What it removed is covered already; nothing is tagged with its own dot."""
    state = removed(added(EMPTY, Dot(A, 1), b"x"), Dot(B, 7), b"x", b"unknown")

    assert state == ObservedRemoveSet({}, {A: 1})
    assert removed(EMPTY, Dot(B, 7), b"x") == EMPTY


def test_one_write_tags_all_that_it_adds_and_removes_first() -> None:
    """A member both removed and added is in, by the new tag alone."""
    state = added(EMPTY, Dot(A, 1), b"x", b"y", b"z")

    state = state.update(Dot(A, 5), add=[b"x", b"w"], remove=[b"x", b"y"])

    own, first = frozenset({Dot(A, 5)}), frozenset({Dot(A, 1)})
    assert dict(state.tags) == {b"x": own, b"w": own, b"z": first}
    assert state.value == [b"w", b"x", b"z"]


def test_state_does_not_grow_with_what_was_removed_or_added_again() -> None:
    """Without tombstones: a thousand rounds leave one tag and one number."""
    state = EMPTY
    for seq in range(1, 1000, 2):
        state = added(state, Dot(A, seq), b"x")
        state = removed(
            added(state, Dot(A, seq + 1), b"x", b"y"), Dot(A, seq + 2), b"y"
        )

    assert len(state.tags) == 1
    assert len(state.encode()) == 2 + 8 + 2 + 1 + 1 + 1 + 1 + 1 + 2


@pytest.mark.parametrize("member", [b"", b"m" * (SET_MEMBER_BYTES_MAX + 1)])
def test_a_member_beyond_its_limits_is_refused_by_name(member: bytes) -> None:
    """Whether it is to be added or to be removed."""
    with pytest.raises(InvalidArgumentError, match="SET_MEMBER_BYTES_MAX"):
        added(EMPTY, Dot(A, 1), member)
    with pytest.raises(InvalidArgumentError, match="SET_MEMBER_BYTES_MAX"):
        removed(EMPTY, Dot(A, 1), member)


def test_a_set_beyond_a_values_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit on values holds for the members together."""
    monkeypatch.setattr("kvnode.core.crdt.set.VALUE_BYTES_MAX", 10)
    state = added(EMPTY, Dot(A, 1), b"12345", b"67890")

    with pytest.raises(InvalidArgumentError, match="VALUE_BYTES_MAX"):
        added(state, Dot(A, 2), b"x")


def test_using_a_dot_twice_is_a_fault_of_the_program() -> None:
    """Dots are never reused; a context would take the second for known."""
    with pytest.raises(AssertionError, match="used once"):
        added(added(EMPTY, Dot(A, 1), b"x"), Dot(A, 1), b"y")


REPLICA = bytes(7) + b"\x05"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x09\x00\x00", id="unknown format"),
        pytest.param(b"\x01\x00\x00\x00", id="trailing bytes"),
        pytest.param(b"\x01\x00\x01\x01x\x00", id="a member without a tag"),
        pytest.param(b"\x01\x00\x01\x01x\x01\x00\x01", id="a tag of nobody"),
        pytest.param(
            b"\x01\x01" + REPLICA + b"\x02\x01\x01x\x01\x00\x03", id="a tag not covered"
        ),
        pytest.param(
            b"\x01\x01" + REPLICA + b"\x02\x01\x01x\x02\x00\x02\x00\x01",
            id="tags not ascending",
        ),
        pytest.param(
            b"\x01\x01" + REPLICA + b"\x02\x02\x01y\x01\x00\x01\x01x\x01\x00\x01",
            id="members not ascending",
        ),
    ],
)
def test_bytes_that_no_node_wrote_are_refused(data: bytes) -> None:
    """There is one encoding of a state, so anything else is damage."""
    with pytest.raises(CorruptRecordError):
        ObservedRemoveSet.decode(data)


def test_the_example_next_to_the_damaged_ones_is_read() -> None:
    """So that each of those is refused for the one thing that is wrong with it."""
    data = b"\x01\x01" + REPLICA + b"\x02\x02\x01x\x01\x00\x01\x01y\x02\x00\x01\x00\x02"

    state = ObservedRemoveSet.decode(data)

    assert state.value == [b"x", b"y"]
    assert dict(state.context) == {ReplicaId(5): 2}
