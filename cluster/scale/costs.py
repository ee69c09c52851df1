"""
What was measured of one node, as the arithmetic for many nodes needs it.

`python -m tests.benchmarks --only costs` measures all of it; `docs/scale.md` says
how.  What no layer does yet is None, and so is whatever would follow from it.
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
        peer_micros: More of it for each connected peer.
        report_member_micros: More of it for each peer and each member that the
            reports to and from it name.
        push_bytes: Of one write, as a peer receives it.
        report_bytes: Each second, of a peer's report that names nobody.
        report_member_bytes: More of it for each member named.
        node_bytes: Memory of a node without peers and entries.
        peer_bytes: More of it for each connected peer.
        clock_entry_bytes: Memory of one replica's entry in a clock.
        clock_entry_wire_bytes: The same on the wire.
        round_micros: CPU each second of comparing digests with one random peer,
            both sides' part; None before it is measured.
        round_bytes: Of the same, as one side receives it (D8).
        probe_micros: CPU each second of probing one member and being probed.
        link_micros: CPU each second of a connected peer that is not reported to.

    Raises:
        ValueError: A cost is negative.
    """

    write_micros: float
    push_micros: float
    receive_micros: float
    idle_micros: float
    peer_micros: float
    report_member_micros: float
    push_bytes: float
    report_bytes: float
    report_member_bytes: float
    node_bytes: float
    peer_bytes: float
    clock_entry_bytes: float
    clock_entry_wire_bytes: float
    round_micros: float | None = None
    round_bytes: float | None = None
    probe_micros: float | None = None
    link_micros: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and value < 0:
                msg = f"{field.name} is {value}: a cost is not negative"
                raise ValueError(msg)
