"""Tests of kvnode.storage.meta_codec."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.record import NumberedDots
from kvnode.core.versions.rolling_digest import RollingDigest
from kvnode.core.versions.roster import NOT_CLOSED, Member, Roster, Standing
from kvnode.core.versions.store_view import (
    ConflictRecord,
    DurableState,
    Filling,
    PeerAddress,
    StartOver,
)
from kvnode.errors import CorruptRecordError
from kvnode.storage.meta_codec import (
    decode_conflicts,
    decode_state,
    encode_conflicts,
    encode_state,
    encode_surroundings,
    seal,
    unseal,
)
from kvnode.types import Dot, EntryKey, HlcTimestamp, Millis, Namespace, ReplicaId
from tests.storage.stores import OWN, register

u64 = st.integers(0, 2**64 - 1)
replicas = st.builds(ReplicaId, u64)
intervals = st.lists(st.integers(1, 2**48), max_size=6, unique=True).map(
    lambda bounds: tuple(
        zip(sorted(bounds)[::2], sorted(bounds)[1::2], strict=False),
    )
)
vectors = st.builds(
    VersionVector, st.dictionaries(replicas, intervals.filter(bool), max_size=4)
).map(VersionVector().join)  # which fuses intervals that touch
texts = st.text(max_size=70)
floors = st.builds(Floor, vectors, st.builds(HlcTimestamp, u64))
members = st.builds(
    Member,
    replicas,
    texts,
    texts,
    texts,
    u64,
    st.sampled_from(Standing),
    st.integers(0, NOT_CLOSED),
    u64,
    u64,
    st.integers(0, NOT_CLOSED),
)
states = st.builds(
    DurableState,
    replica=replicas,
    clock=vectors,
    pending=vectors,
    seq=u64,
    hlc=st.builds(HlcTimestamp, u64),
    conflicts_ever=u64,
    peers=st.lists(
        st.builds(PeerAddress, texts, texts, replicas, texts), max_size=4
    ).map(tuple),
    roster=st.lists(members, max_size=4).map(lambda found: Roster().join(found)),
    floor=floors,
    digest=st.builds(RollingDigest, u64, u64, st.booleans()),
    filling=st.none()
    | st.builds(
        Filling,
        st.none()
        | st.builds(
            EntryKey, st.builds(Namespace, texts), st.binary(min_size=1, max_size=9)
        ),
        st.none() | vectors,
        floors,
        u64,
        u64,
    ),
    start_over=st.none() | st.builds(StartOver, vectors, floors),
)
logs = st.lists(
    st.builds(
        ConflictRecord,
        loser=st.builds(
            register,
            st.integers(1, 2**48 - 1),
            st.binary(max_size=20),
            replica=replicas.filter(bool),
            hlc=st.integers(0, 2**63 - 1),
        ),
        winner=st.builds(Dot, replicas.filter(bool), st.integers(0, 2**48 - 1)),
        noticed_at=st.builds(Millis, st.integers(0, 2**48)),
    ),
    max_size=4,
).map(tuple)


@given(state=states)
def test_state_survives_encoding(state: DurableState) -> None:
    """Every field comes back."""
    assert decode_state(encode_state(state), encode_surroundings(state)) == state


@given(log=logs)
def test_conflict_log_survives_encoding(log: tuple[ConflictRecord, ...]) -> None:
    """Every loser comes back, in order."""
    dots = NumberedDots()

    assert decode_conflicts(encode_conflicts(log, dots), dots) == log


@given(state=states, data=st.data())
def test_state_with_any_bit_turned_is_refused(
    state: DurableState, data: st.DataObject
) -> None:
    """A checksum of 32 bits misses no single one."""
    raw = bytearray(encode_state(state))
    at = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[at // 8] ^= 1 << at % 8

    with pytest.raises(CorruptRecordError, match="state"):
        decode_state(bytes(raw), encode_surroundings(state))


@given(data=st.binary(max_size=40))
def test_well_sealed_nonsense_is_refused_or_read_but_never_crashes(
    data: bytes,
) -> None:
    """A checksum made by someone else's code proves nothing about the rest."""
    sound = encode_state(DurableState(OWN))
    for decode in (
        lambda raw: decode_state(raw, None),
        lambda raw: decode_state(sound, raw),
        lambda raw: decode_conflicts(raw, NumberedDots()),
    ):
        try:
            decode(seal(data))
        except CorruptRecordError:
            continue


def test_cut_short_row_is_refused_with_its_name() -> None:
    """Even one shorter than the checksum itself."""
    for raw in (b"", b"abc", seal(b"payload")[:-1]):
        with pytest.raises(CorruptRecordError, match="row 7"):
            unseal(raw, "row 7")


def test_state_of_a_later_format_is_refused_by_number() -> None:
    """A downgrade must not misread what it does not know."""
    payload = bytearray(unseal(encode_state(DurableState(OWN)), "state"))
    payload[0] = 200

    with pytest.raises(CorruptRecordError, match="format 200; this version reads 2"):
        decode_state(seal(bytes(payload)), None)
