"""
The merge laws of kvnode.core.crdt.base, for every CRDT we have.

A new CRDT joins by one line in CRDTS; it gets all the laws and needs no test
file of its own for them.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.crdt import kinds
from kvnode.core.crdt.base import StateCrdt
from kvnode.core.versions.version import Kind
from kvnode.errors import CorruptRecordError
from tests import strategies

pytestmark = pytest.mark.no_cover  # see tests/conftest.py

CRDTS: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.COUNTER: strategies.pn_counters(),
    Kind.SET: strategies.observed_remove_sets(),
    Kind.DOCUMENT: strategies.documents(),
}
CANONICAL = (Kind.COUNTER, Kind.SET)

States = st.SearchStrategy[StateCrdt[object]]


@pytest.fixture(params=list(CRDTS), ids=lambda kind: kind.name, scope="module")
def kind(request: pytest.FixtureRequest) -> Kind:
    """A CRDT kind."""
    chosen: Kind = request.param
    return chosen


@pytest.fixture(scope="module")
def states(kind: Kind) -> States:
    """A strategy for states of one CRDT."""
    return CRDTS[kind]


@given(data=st.data())
def test_replicas_with_same_updates_hold_equal_states(
    states: States, data: st.DataObject
) -> None:
    """Order, grouping and repetition of delivery do not show in the result."""
    updates = data.draw(st.lists(states, min_size=1, max_size=5))
    redelivered = updates + data.draw(st.lists(st.sampled_from(updates), max_size=3))
    shuffled = data.draw(st.permutations(redelivered))

    in_order, out_of_order = updates[0], shuffled[0]
    for update in updates[1:]:
        in_order = in_order.merge(update)
    for update in shuffled[1:]:
        out_of_order = update.merge(out_of_order)

    assert in_order == out_of_order


@given(data=st.data())
def test_merge_is_associative(states: States, data: st.DataObject) -> None:
    """Merging a batch as a whole or one by one gives the same state."""
    a, b, c = data.draw(st.tuples(states, states, states))

    assert a.merge(b).merge(c) == a.merge(b.merge(c))


@given(data=st.data())
def test_merge_is_commutative(states: States, data: st.DataObject) -> None:
    """Two replicas that hear each other's state agree."""
    a, b = data.draw(st.tuples(states, states))

    assert a.merge(b) == b.merge(a)


@given(data=st.data())
def test_merge_is_idempotent_and_an_upper_bound(
    states: States, data: st.DataObject
) -> None:
    """A merge holds both sides, so merging either again changes nothing."""
    a, b = data.draw(st.tuples(states, states))

    assert a.merge(a) == a
    assert a.merge(b).merge(b) == a.merge(b)


@given(data=st.data())
def test_equal_fingerprints_are_equal_states_and_equal_values(
    states: States, data: st.DataObject
) -> None:
    """A digest of fingerprints tells states apart and only those."""
    a, b = data.draw(st.tuples(states, states))

    assert (a.fingerprint() == b.fingerprint()) == (a == b)
    if a == b:
        assert a.value == b.value


@given(data=st.data())
def test_encoding_round_trips(states: States, data: st.DataObject) -> None:
    """Decoding gives the same state back, and encoding the same bytes."""
    state = data.draw(states)

    decoded = type(state).decode(state.encode())

    assert decoded == state
    assert decoded.encode() == state.encode()


@given(data=st.data())
def test_join_of_encodings_is_the_encoding_of_the_merge(
    kind: Kind, states: States, data: st.DataObject
) -> None:
    """The function that versions are merged by adds nothing of its own."""
    a, b = data.draw(st.tuples(states, states))

    joined = kinds.join(kind, a.encode(), b.encode())

    assert kinds.fingerprint(kind, joined) == a.merge(b).fingerprint()
    assert kinds.fingerprint(kind, a.encode()) == a.fingerprint()


@pytest.mark.parametrize("canonical", CANONICAL, ids=lambda kind: kind.name)
@given(data=st.data())
def test_damaged_bytes_are_refused_or_canonical(
    canonical: Kind, data: st.DataObject
) -> None:
    """No two encodings stand for one state, whatever a disk or a peer made of it."""
    state: StateCrdt[object] = data.draw(CRDTS[canonical])
    damaged = bytearray(state.encode())
    position = data.draw(st.integers(0, len(damaged) - 1))
    damaged[position] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(1, len(damaged)))

    try:
        decoded = type(state).decode(bytes(damaged[:cut]))
    except CorruptRecordError:
        return
    assert decoded.encode() == damaged[:cut]
