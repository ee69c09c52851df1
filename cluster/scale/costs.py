"""
What was measured of one node, as the arithmetic for many nodes needs it.

`python -m tests.benchmarks --only costs` measures all of it; `docs/scale.md` says how.
"""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Costs:
    """
    Costs of one node; CPU in microseconds, sizes in bytes; none is negative.

    Attributes:
        write_micros: CPU for a client's write, pushing it not included.
        push_micros: More of it for each peer that it is pushed to, the peer's
            acknowledgement included.
        receive_micros: CPU for a write that a peer pushes here.
        idle_micros: CPU each second of a node without peers.
        link_micros: More of it for each connected peer.
        digest_micros: More of it for each peer that digests are compared with, both
            ways.
        probe_micros: More of it for probing one member, and answering one.
        entry_micros: CPU to write one replica's entry of a clock into a report, and to
            read one.
        push_bytes: Of one write, as a peer receives it.
        link_bytes: Received each second of a connected peer.
        digest_bytes: More of it of each that digests are compared with (D8).
        probe_bytes: More of it by probes.
        node_bytes: Memory of a node without peers and entries.
        peer_bytes: More of it for each connected peer.
        clock_entry_bytes: Memory of one replica's entry in a clock.
        clock_entry_wire_bytes: The same on the wire.

    Raises:
        ValueError: A cost is negative.
    """

    write_micros: float
    push_micros: float
    receive_micros: float
    idle_micros: float
    link_micros: float
    digest_micros: float
    probe_micros: float
    entry_micros: float
    push_bytes: float
    link_bytes: float
    digest_bytes: float
    probe_bytes: float
    node_bytes: float
    peer_bytes: float
    clock_entry_bytes: float
    clock_entry_wire_bytes: float

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value < 0:
                msg = f"{field.name} is {value}: a cost is not negative"
                raise ValueError(msg)
