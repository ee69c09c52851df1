"""Writes: stamps above all that was seen, conditions, and no seq skipped."""

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.clocks.hybrid_logical_clock import from_millis
from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.node.commands import (
    AddToCounter,
    Applied,
    Command,
    ConditionFailed,
    Delete,
    Put,
    Reason,
    Refused,
    UpdateDocument,
    UpdateSet,
)
from kvnode.core.replication.messages import Push, wire_entry
from kvnode.core.versions.session import Session
from kvnode.core.versions.version import NEVER, Kind
from kvnode.types import Dot, HlcTimestamp, Millis
from tests.core.node.bench import START, Bench
from tests.core.replication.entries import A, B, at, register

KEY = at(b"k")
FUTURE = 10**9


@given(
    stored=st.integers(-FUTURE, FUTURE),
    seen=st.integers(-FUTURE, FUTURE),
    first_at=st.integers(-FUTURE, FUTURE),
)
def test_stamp_is_above_the_clock_the_stored_and_the_session(
    stored: int, seen: int, first_at: int
) -> None:
    """R1, whatever the wall clocks of others say, and if the own one goes back."""
    bench = Bench()
    bench.connect(B)
    theirs = register(Dot(B, 1), hlc=from_millis(Millis(START + stored)))
    bench.hear(B, Push(B, 1, 1, (wire_entry(KEY, theirs),)))
    bench.now = Millis(START + first_at)
    [own] = bench.write(Put(at(b"other"), b""))
    bench.now = START
    session = Session((), from_millis(Millis(START + seen)))

    [outcome] = bench.write(Put(KEY, b"mine"), session=session)

    assert isinstance(own, Applied)
    assert isinstance(outcome, Applied)
    version = outcome.entry.version
    assert version.hlc > theirs.version.hlc
    assert version.hlc > session.hlc
    assert version.hlc > own.entry.version.hlc
    assert version.hlc >= from_millis(START)
    assert version.key_clock == (Dot(B, 1), version.dot)
    assert bench.entry(KEY) == outcome.entry


commands = st.one_of(
    st.builds(
        Put,
        st.just(KEY),
        st.binary(max_size=3),
        st.just(""),
        st.just(NEVER),
        st.booleans(),
        st.none() | st.builds(Dot, st.just(A), st.integers(1, 9)),
    ),
    st.just(Delete(KEY)),
    st.just(AddToCounter(KEY, 1)),
    st.just(AddToCounter(KEY, 2**63)),  # over the limit: refused
    st.sampled_from((UpdateSet(KEY, (b"m",), ()), UpdateSet(KEY, (), (b"m", b"n")))),
    st.just(UpdateSet(KEY, (b"x" * 600,), ())),  # too long: refused
    st.just(UpdateDocument(KEY, b"\xff\xff\xff")),  # no Yjs update: refused
)


@given(turns=st.lists(st.lists(commands, min_size=1, max_size=4), max_size=6))
def test_seqs_count_what_happened_and_nothing_else(
    turns: list[list[Command]],
) -> None:
    """A seq skipped would be a gap that no peer ever closes."""
    bench, expected = Bench(), 0

    for written in turns:
        for outcome in bench.write(*written):
            if (
                isinstance(outcome, Applied)
                and outcome.entry.version.dot.seq > expected
            ):
                expected += 1
                assert outcome.entry.version.dot == Dot(A, expected)
        assert bench.store.state().seq == expected

    assert bench.clock == VersionVector.of({A: expected})


def test_put_if_absent_sees_deleted_and_expired_entries_as_absent() -> None:
    """They are hidden from readers, too."""
    bench = Bench()
    put = Put(KEY, b"new", if_absent=True)

    [first] = bench.write(Put(KEY, b"old", deadline=Millis(START + 10)))
    assert isinstance(first, Applied)
    assert bench.write(put) == [ConditionFailed(first.entry)]

    bench.now = Millis(START + 10)
    assert isinstance(bench.write(put)[0], Applied)
    bench.write(Delete(KEY))
    assert isinstance(bench.write(put)[0], Applied)


def test_condition_on_a_version_asks_for_exactly_that_one() -> None:
    """Compare-and-set against this replica alone."""
    bench = Bench()
    [first] = bench.write(Put(KEY, b"1"))
    [second] = bench.write(Put(KEY, b"2", if_dot=Dot(A, 1)))
    assert isinstance(first, Applied)
    assert isinstance(second, Applied)

    assert bench.write(Put(KEY, b"3", if_dot=Dot(A, 1))) == [
        ConditionFailed(second.entry)
    ]
    assert bench.write(Delete(KEY, Dot(A, 1))) == [ConditionFailed(second.entry)]
    assert isinstance(bench.write(Delete(KEY, Dot(A, 2)))[0], Applied)


def test_failed_condition_shows_the_tombstone_to_the_session() -> None:
    """S1: a session that learnt of a deletion carries it on."""
    bench = Bench()
    bench.write(Put(KEY, b"1"), Delete(KEY))

    [outcome] = bench.write(Put(KEY, b"2", if_dot=Dot(A, 1)))

    assert isinstance(outcome, ConditionFailed)
    assert outcome.entry is not None
    assert outcome.entry.version.kind is Kind.TOMBSTONE


def test_delete_of_nothing_is_stored_all_the_same() -> None:
    """Others may have what it deletes."""
    bench = Bench()

    [outcome] = bench.write(Delete(KEY))

    assert isinstance(outcome, Applied)
    assert bench.entry(KEY) == outcome.entry


def test_operation_of_another_type_is_refused_until_the_key_is_deleted() -> None:
    """R5: the type is part of what the key holds."""
    bench = Bench()
    bench.write(Put(KEY, b"1"))

    [outcome] = bench.write(AddToCounter(KEY, 1))
    assert isinstance(outcome, Refused)
    assert outcome.reason is Reason.WRONG_TYPE
    assert "register" in outcome.message

    bench.write(Delete(KEY))
    assert isinstance(bench.write(AddToCounter(KEY, 1))[0], Applied)


def test_new_counter_starts_above_what_it_replaces() -> None:
    """Its base is the tombstone's stamp: contributions from before stay dead."""
    bench = Bench()
    bench.write(AddToCounter(KEY, 5))
    [deleted] = bench.write(Delete(KEY))
    [outcome] = bench.write(AddToCounter(KEY, 1))

    assert isinstance(deleted, Applied)
    assert isinstance(outcome, Applied)
    assert outcome.entry.version.base == deleted.entry.version.stamp
    assert outcome.entry.version.rank > deleted.entry.version.rank


def test_set_update_that_changes_nothing_writes_nothing() -> None:
    """It is answered with what the set holds already."""
    bench = Bench()
    [added] = bench.write(UpdateSet(KEY, (b"m",), ()))
    commit = bench.staged(bench.request(UpdateSet(KEY, (), (b"gone",))))

    assert commit is None
    assert bench.node.state.seq == 1
    assert isinstance(added, Applied)


def test_dependencies_are_what_the_session_saw_of_others() -> None:
    """The own earlier writes need no mention: pushes are covered in order."""
    bench = Bench()
    bench.write(Put(KEY, b"1"))
    session = Session((Dot(A, 1), Dot(B, 4)), HlcTimestamp(1))

    [outcome] = bench.write(Put(KEY, b"2"), session=session)

    assert isinstance(outcome, Applied)
    assert outcome.entry.version.dependencies == (Dot(B, 4),)


def test_overwriting_in_one_turn_keeps_the_dependencies_of_both() -> None:
    """I2: the newest entry travels for the earlier one, and for its session."""
    bench = Bench()
    first = bench.request(Put(KEY, b"1"), session=Session((Dot(B, 4),)))
    second = bench.request(Put(KEY, b"2"))

    bench.turn(first, second)

    entry = bench.entry(KEY)
    assert entry is not None
    assert entry.value == b"2"
    assert entry.version.dependencies == (Dot(B, 4),)


def test_overwriting_a_version_from_the_future_leaves_the_clock_alone() -> None:
    """C2, C3: the overwrite wins, and no other key is stamped ahead."""
    bench = Bench()
    bench.connect(B)
    theirs = register(Dot(B, 1), hlc=from_millis(Millis(START + FUTURE)))
    bench.hear(B, Push(B, 1, 1, (wire_entry(KEY, theirs),)))

    [overwrite] = bench.write(Put(KEY, b"mine"))
    [other] = bench.write(Put(at(b"other"), b""))

    assert isinstance(overwrite, Applied)
    assert isinstance(other, Applied)
    assert bench.entry(KEY) == overwrite.entry
    assert other.entry.version.hlc < from_millis(Millis(START + 1000))


def test_update_of_a_state_that_does_not_parse_skips_no_seq() -> None:
    """A peer with a bug wrote it, and its record is whole."""
    bench = Bench()
    bench.connect(B)
    counter = register(Dot(B, 1), b"no counter")
    broken = counter._replace(version=counter.version._replace(kind=Kind.COUNTER))
    bench.hear(B, Push(B, 1, 1, (wire_entry(KEY, broken),)))

    [refused] = bench.write(AddToCounter(KEY, 1))

    assert isinstance(refused, Refused)
    assert refused.reason is Reason.INVALID
    assert bench.node.state.seq == 0
