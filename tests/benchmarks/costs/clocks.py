"""
What a clock of many replicas takes: in memory, on the wire, and of the CPU.

Nothing is started here; the values and messages are the node's own.
"""

import gc
import tracemalloc
from dataclasses import dataclass
from random import Random
from time import process_time_ns

from kvnode._pb import peer_pb2 as pb
from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.replication.messages import Report
from kvnode.transport.wire import decode_message, encode_message
from kvnode.types import Millis, ReplicaId
from tests.benchmarks.costs.idle_peers import WRITES_EACH
from tests.benchmarks.dataset import SEED

REPLICAS = 1000
REPEATS = 50
NOW = Millis(1_700_000_000_000)


@dataclass(frozen=True, slots=True)
class ClockCosts:
    """Of one entry, in a clock of a thousand."""

    memory_bytes: float
    wire_bytes: float
    micros: float  # to encode it once and decode it once, in a report


def clock_of(replicas: int) -> VersionVector:
    """Return a clock in which *replicas* have written, a million times each."""
    rng = Random(SEED)
    seqs = (WRITES_EACH + rng.randrange(WRITES_EACH) for _ in range(replicas))
    return VersionVector.of({ReplicaId(rng.getrandbits(64)): seq for seq in seqs})


def measure_clocks() -> ClockCosts:
    """Return what entries and members cost."""
    clock = clock_of(REPLICAS)
    empty = len(encode_message(Report(VersionVector(), NOW)).SerializeToString())
    report = Report(clock, NOW)
    full = encode_message(report).SerializeToString()
    read = decode_message(pb.PeerMessage.FromString(full))
    assert read == report, "a report is read as it was written"
    began = process_time_ns()
    for _ in range(REPEATS):
        encode_message(report).SerializeToString()
        decode_message(pb.PeerMessage.FromString(full))
    micros = (process_time_ns() - began) / 1000 / REPEATS / REPLICAS
    return ClockCosts(
        memory_bytes=_memory_bytes(REPLICAS) / REPLICAS,
        wire_bytes=(len(full) - empty) / REPLICAS,
        micros=micros,
    )


def _memory_bytes(replicas: int) -> int:
    """Return what a clock takes that came from a peer, as all but one's own do."""
    data = encode_message(Report(clock_of(replicas), NOW)).SerializeToString()
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    report = decode_message(pb.PeerMessage.FromString(data))
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(report, Report), "it was one"
    return after - before
