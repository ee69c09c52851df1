"""
What a cluster of N nodes can take, and what it costs to do nothing.

Every node holds every key, so every node applies every write, whoever accepts it:

    writes a second of the whole cluster  <=  CPU of one node / CPU of one write

and no number of nodes raises that.  What N changes is what is paid besides:

    links       a stream to every other node
    digests     compared every second with every peer, up to 32 of them; where there
                are more, with one.  While something is written digests differ, and
                each is answered by a report: a clock with an entry for each node
    probes      one a second, and one answered
    pushes      of a write: to all others in a cluster of up to 8.  In larger ones the
                writer sends to 8 of its region and to one in each other region, and
                whoever has one in a tree sends to 8 (kvnode.core.dissemination)

On average a write is pushed (N - 1) / N times by each node, whatever N is.

A node is one Python process: its budget is one core, of which the idle work goes
off first.  Not in here, because it was not measured for it: that a busier node has
larger turns, which make a write cheaper; that disks and networks end too.

References:
    Leitao, Pereira & Rodrigues, 2007.  Epidemic broadcast trees.
    Das, Gupta & Motivala, 2002.  SWIM: a member's load is the same for any N.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cluster.scale.costs import Costs
from kvnode.core.dissemination.overlay import DIRECT_MEMBERS_MAX
from kvnode.core.dissemination.ring import FAN_OUT
from kvnode.core.node.comparing import COMPARED_WITH_ALL_MAX

MICROS_PER_SECOND = 1_000_000
NODES_MAX = 10_000
"""Where the search for what breaks ends."""

REGIONS = 19
"""As in the simulation of how writes spread; nodes are spread over all of them."""


@dataclass(frozen=True, slots=True)
class Load:
    """
    What one node of N has to do and to keep.

    Attributes:
        connections: Streams that it holds.
        idle_cores: CPU with no writes at all, of one core.
        idle_bytes_per_second: Received with no writes at all.
        memory_bytes: Without entries.
        clock_wire_bytes: Of a clock in which every member has written.
        compared_cores: CPU more while somebody writes: digests differ.
        writes_at_one: Writes a second that the cluster takes, all at one node.
        writes_at_all: The same, spread evenly over all nodes.
    """

    nodes: int
    connections: int
    idle_cores: float
    idle_bytes_per_second: float
    memory_bytes: float
    clock_wire_bytes: float
    compared_cores: float
    writes_at_one: float | None
    writes_at_all: float | None


def compared_with(peers: int) -> int:
    """Return with how many of *peers* digests are compared each second (D8)."""
    return peers if peers <= COMPARED_WITH_ALL_MAX else 1


def load_at(costs: Costs, nodes: int) -> Load:
    """
    Return what *costs* come to in a cluster of *nodes*, all up.

    Raises:
        ValueError: There are no nodes.
    """
    if nodes < 1:
        msg = f"a cluster of {nodes} nodes is none"
        raise ValueError(msg)
    links = nodes - 1
    compared = compared_with(links)
    probed = 1 if links else 0
    idle = costs.idle_micros + links * costs.link_micros
    idle += compared * costs.digest_micros + probed * costs.probe_micros
    comparing = compared * nodes * costs.entry_micros
    budget = max(0.0, MICROS_PER_SECOND - idle - comparing)
    average = costs.write_micros / nodes
    average += (costs.push_micros + costs.receive_micros) * links / nodes
    clocks = (1 + links) * nodes * costs.clock_entry_bytes
    return Load(
        nodes=nodes,
        connections=links,
        idle_cores=idle / MICROS_PER_SECOND,
        idle_bytes_per_second=links * costs.link_bytes
        + compared * costs.digest_bytes
        + probed * costs.probe_bytes,
        memory_bytes=costs.node_bytes + links * costs.peer_bytes + clocks,
        clock_wire_bytes=costs.clock_entry_wire_bytes * nodes,
        compared_cores=comparing / MICROS_PER_SECOND,
        writes_at_one=_quotient(budget, _busiest(costs, nodes)),
        writes_at_all=_quotient(budget, average),
    )


def _busiest(costs: Costs, nodes: int) -> float:
    """Return the CPU of a write where it costs most, if one node makes all."""
    links = nodes - 1
    if nodes <= DIRECT_MEMBERS_MAX:
        writer, inner = costs.write_micros + costs.push_micros * links, 0.0
    else:
        sends = min(links, FAN_OUT + REGIONS - 1)
        writer = costs.write_micros + costs.push_micros * sends
        inner = costs.push_micros * FAN_OUT
    return max(writer, costs.receive_micros + inner if links else 0.0)


def _quotient(budget: float, cost: float) -> float | None:
    return budget / cost if cost else None


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a node may take at most before its cluster counts as broken."""

    memory_bytes: float
    idle_bytes_per_second: float
    idle_cores: float
    compared_cores: float
    connections: int


@dataclass(frozen=True, slots=True)
class Break:
    """The smallest cluster in which *what* is past its bound."""

    what: str
    nodes: int


def breaks(costs: Costs, most: Bounds) -> list[Break]:
    """Return what breaks up to 10,000 nodes, the smallest cluster first."""
    bounds: Sequence[tuple[str, Callable[[Load], float], float]] = (
        ("memory", lambda load: load.memory_bytes, most.memory_bytes),
        (
            "network",
            lambda load: load.idle_bytes_per_second,
            most.idle_bytes_per_second,
        ),
        ("CPU at rest", lambda load: load.idle_cores, most.idle_cores),
        ("CPU of comparing", lambda load: load.compared_cores, most.compared_cores),
        ("connections", lambda load: load.connections, most.connections),
    )
    found = []
    for what, figure, bound in bounds:
        for nodes in range(1, NODES_MAX + 1):
            if figure(load_at(costs, nodes)) > bound:
                found.append(Break(what, nodes))
                break
    return sorted(found, key=lambda one: one.nodes)
