"""Quarantine: versions from the future are listed, told of, and let go (C2)."""

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.clocks.hybrid_logical_clock import from_millis, millis_of
from kvnode.core.membership.clock_offset import InStep, Off, Offset, Undecided
from kvnode.core.membership.quarantine import (
    ALARM_INTERVAL,
    NAMED_MAX,
    QUARANTINED_MAX,
    Quarantine,
    Quarantined,
    from_the_future,
)
from kvnode.core.versions.version import Kind, Version
from kvnode.types import Dot, HlcTimestamp, Millis, ReplicaId
from tests.core.replication.entries import B, at

NOW = Millis(1_700_000_000_000)
LIMIT = Millis(500)
HOUR = 3_600_000
IN_STEP = InStep(Offset(0, 5), 3)
KEY = at(b"k")


def version(ahead: int, seq: int = 1) -> Version:
    """Return a version that B has stamped *ahead* ms after NOW."""
    hlc = from_millis(Millis(NOW + ahead))
    return Version(Kind.REGISTER, hlc, Dot(B, seq))


def name_of(replica: ReplicaId) -> str:
    """Return what a replica is called here."""
    return "b-site" if replica == B else "another"


stamps = st.integers(-2000, 2000)
events = st.one_of(
    st.tuples(st.integers(0, 3), stamps),  # a key gets a version
    st.tuples(st.just(-1), st.integers(0, 1500)),  # time passes
)


@given(steps=st.lists(events, max_size=40))
def test_list_is_what_a_scan_of_the_store_would_find(
    steps: list[tuple[int, int]],
) -> None:
    """By a dumb twin: noticed when above the limit, let go when its time has come."""
    quarantine, now = Quarantine(ahead_max=LIMIT), NOW
    twin: dict[bytes, Version] = {}
    for seq, (place, amount) in enumerate(steps, 1):
        if place < 0:
            now = Millis(now + amount)
            quarantine.advance(now, IN_STEP, name_of)
            twin = {k: v for k, v in twin.items() if millis_of(v.hlc) > now}
            continue
        name = b"%d" % place
        stored = version(now - NOW + amount, seq)
        quarantine.stored(at(name), stored, now)
        if amount > LIMIT:
            twin[name] = stored
        else:
            twin.pop(name, None)

    held = {each.key.key: (each.hlc, each.dot) for each in quarantine.entries()}
    assert held == {name: (each.hlc, each.dot) for name, each in twin.items()}
    assert len(quarantine) == len(twin)


def test_future_begins_above_the_limit() -> None:
    """A clock may be off by as much as C1 allows."""
    assert not from_the_future(version(500), NOW, ahead_max=LIMIT)
    above = version(500)._replace(hlc=HlcTimestamp(version(500).hlc + 1))
    assert from_the_future(above, NOW, ahead_max=LIMIT)


def test_entry_says_since_when_it_is_known() -> None:
    """An overwrite from the future does not make it news."""
    quarantine = Quarantine(ahead_max=LIMIT)
    quarantine.stored(KEY, version(HOUR, 1), NOW)
    quarantine.stored(KEY, version(HOUR + 1, 2), Millis(NOW + 7))

    stamp = from_millis(Millis(NOW + HOUR + 1))
    assert quarantine.entries() == (Quarantined(KEY, stamp, Dot(B, 2), NOW),)
    assert quarantine.ever == 1


def test_alarm_names_key_stamp_writer_and_cure_once() -> None:
    """Whoever reads it can do something about it."""
    quarantine = Quarantine(ahead_max=LIMIT)
    quarantine.stored(KEY, version(HOUR), NOW)

    [told] = quarantine.advance(NOW, IN_STEP, name_of)
    for said in ("b'k' in namespace default", "3600000 ms ahead", "b-site", "delete"):
        assert said in told
    later = Millis(NOW + ALARM_INTERVAL)
    assert quarantine.advance(later, IN_STEP, name_of) == []


def test_flood_from_the_future_is_a_few_alarms_and_a_bounded_list() -> None:
    """A node with a wrong clock may write many keys a second."""
    quarantine, told = Quarantine(ahead_max=LIMIT), []
    for n in range(QUARANTINED_MAX + 10):
        now = Millis(NOW + 50 * n)
        quarantine.stored(at(b"%d" % n), version(HOUR, n + 1), now)
        told += quarantine.advance(now, IN_STEP, name_of)

    assert len(quarantine) == QUARANTINED_MAX
    assert quarantine.ever == QUARANTINED_MAX + 10
    assert len(told) == 1 + (QUARANTINED_MAX + 9) * 50 // ALARM_INTERVAL
    assert f"and {ALARM_INTERVAL // 50 - NAMED_MAX} more" in told[1]


def test_alarm_blames_the_clock_that_is_known_to_be_wrong() -> None:
    """With two clocks nobody knows, and a node that is off does not accuse others."""
    told = []
    for verdict in (IN_STEP, Undecided(2), Off(Offset(-HOUR, 5), 3)):
        quarantine = Quarantine(ahead_max=LIMIT)
        quarantine.stored(KEY, version(2 * HOUR), NOW)
        told += quarantine.advance(NOW, verdict, name_of)

    assert "The clock of whoever wrote them was ahead." in told[0]
    assert "or this node's is behind" in told[1]
    assert "This node's clock is off, but" in told[2]
