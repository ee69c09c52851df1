"""Clocks that are wrong, on roads that are slow, and one node that probes them."""

from collections.abc import Mapping
from typing import NamedTuple

from hypothesis import strategies as st

from kvnode.core.clocks.clock_reading import ClockReading
from kvnode.core.membership.clock_offset import ClockOffset, Verdict
from kvnode.types import Millis, ReplicaId

LIMIT = Millis(500)
EPOCH = 1_700_000_000_000
HOUR = 3_600_000

offsets = st.one_of(
    st.integers(-2 * LIMIT, 2 * LIMIT),
    st.sampled_from((-HOUR, HOUR, -LIMIT, LIMIT)),
    st.integers(-(10**10), 10**10),
)


class Probe(NamedTuple):
    """The *peer*-th peer is asked: *out* ms there, *back* ms home, then a pause."""

    peer: int
    out: int
    back: int
    pause: int = 50


def probes(one_way_max: int) -> st.SearchStrategy[list[Probe]]:
    """Probes of up to nine peers."""
    way = st.integers(0, one_way_max) | st.just(0) | st.just(one_way_max)
    probe = st.builds(Probe, st.integers(0, 8), way, way, st.integers(0, 3000))
    return st.lists(probe, max_size=30)


class World:
    """
    True time, this node's wall clock, and those of its peers.

    All that is off, is off true time by so many ms.
    """

    def __init__(self, peers: Mapping[ReplicaId, int], *, own: int = 0) -> None:
        self.true = 10_000
        self.slept = 0  # so long the steady clock has stood still
        self.own = own
        self.peers = dict(peers)
        self.offsets = ClockOffset(offset_max=LIMIT)

    @classmethod
    def of(cls, *peers: int, own: int = 0) -> "World":
        """Return a world whose peers' clocks are off by *peers*."""
        return cls({ReplicaId(n): off for n, off in enumerate(peers, 1)}, own=own)

    @property
    def now(self) -> ClockReading:
        """Return what this node's clocks say."""
        wall = EPOCH + self.true + self.own
        return ClockReading(Millis(wall), Millis(self.true - self.slept))

    def probe(self, probe: Probe) -> None:
        """Measure a peer; true time goes on by the round trip and the pause."""
        peer = sorted(self.peers)[probe.peer % len(self.peers)]
        sent = self.now.wall
        self.true += probe.out
        theirs = EPOCH + self.true + self.peers[peer]
        self.true += probe.back
        at = self.now
        self.offsets.measured(
            peer,
            rtt=Millis(probe.out + probe.back),
            offset=Millis(theirs - (sent + at.wall) // 2),
            at=at,
        )
        self.true += probe.pause

    def probe_all(self, out: int = 5, back: int = 5) -> None:
        """Measure each peer once."""
        for n in range(len(self.peers)):
            self.probe(Probe(n, out, back))

    def judge(self) -> Verdict:
        """Return what the node thinks of its clock now."""
        return self.offsets.judge(self.now)

    def wait(self, span: int, *, probing: bool = True) -> Verdict:
        """Let *span* ms pass in steps of 250 or less; probe all four times a second."""
        end = self.true + span
        verdict = self.judge()
        while self.true < end:
            if probing:
                self.probe_all()
            self.true += min(250, max(0, end - self.true))
            verdict = self.judge()
        return verdict
