"""
What a cluster of N nodes can take, and what it costs to do nothing.

Every node holds every key, so every node applies every write, whoever accepts it:

    writes a second of the whole cluster  <=  CPU of one node / CPU of one write

and no number of nodes raises that.  What N changes is what is paid besides.

Two ways to be connected are known.  In a *mesh*, a node has a stream to every
other and tells each of them, every second, its clock and the members that it
knows: N - 1 reports of N - 1 members each way, the square of N at each node.  With
*few links* (a tree for fresh writes, one random peer a second for digests, one
probe a second), a node's work for doing nothing does not grow with N; its clocks
still do.

A write costs the same in both on average: it is received N - 1 times, so each node
sends each write (N - 1) / N times.  But in a mesh the writer sends all of them.

A node is one Python process: its budget is one core, of which the idle work goes
off first.  Not in here, because it was not measured for it: that a busier node has
larger turns, which make a write cheaper; that disks and networks end too.

References:
    Leitao, Pereira & Rodrigues, 2007.  Epidemic broadcast trees.
    Leitao, Pereira & Rodrigues, 2007.  HyParView: a membership protocol for
        reliable gossip-based broadcast.
    Das, Gupta & Motivala, 2002.  SWIM: a member's load is the same for any N.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from cluster.scale.costs import Costs

MICROS_PER_SECOND = 1_000_000
NODES_MAX = 10_000
"""Where the search for what breaks ends."""


class Manner(Enum):
    """How nodes are connected."""

    MESH = "mesh"
    FEW_LINKS = "few links"


@dataclass(frozen=True, slots=True)
class Way:
    """A manner, and how many links a node has at most; a mesh has all."""

    manner: Manner
    links_max: int = NODES_MAX

    def links(self, nodes: int) -> int:
        """Return how many peers a node of *nodes* is connected to."""
        return min(self.links_max, nodes - 1)


@dataclass(frozen=True, slots=True)
class Load:
    """
    What one node of N has to do and to keep; None: a cost is not measured.

    Attributes:
        connections: Streams that it holds.
        idle_cores: CPU with no writes at all, of one core.
        idle_bytes_per_second: Received with no writes at all.
        memory_bytes: Without entries.
        clock_wire_bytes: Of a clock in which every member has written.
        writes_at_one: Writes a second that the cluster takes, all at one node.
        writes_at_all: The same, spread evenly over all nodes.
    """

    nodes: int
    connections: int
    idle_cores: float | None
    idle_bytes_per_second: float | None
    memory_bytes: float
    clock_wire_bytes: float
    writes_at_one: float | None
    writes_at_all: float | None


def load_at(costs: Costs, nodes: int, way: Way) -> Load:
    """
    Return what *costs* come to in a cluster of *nodes*, all up, connected as *way*.

    Raises:
        ValueError: There are no nodes.
    """
    if nodes < 1:
        msg = f"a cluster of {nodes} nodes is none"
        raise ValueError(msg)
    links = way.links(nodes)
    idle = _idle_cores(costs, nodes, way)
    at_one = at_all = None
    if idle is not None:
        budget = MICROS_PER_SECOND * max(0.0, 1 - idle)
        receivers = nodes - 1
        writer = costs.write_micros + costs.push_micros * links
        busiest = max(writer, costs.receive_micros if receivers else 0)
        share = receivers / nodes
        average = costs.write_micros / nodes
        average += (costs.push_micros + costs.receive_micros) * share
        at_one, at_all = _quotient(budget, busiest), _quotient(budget, average)
    return Load(
        nodes=nodes,
        connections=links,
        idle_cores=idle,
        idle_bytes_per_second=_idle_bytes(costs, nodes, way),
        memory_bytes=_memory(costs, nodes, way),
        clock_wire_bytes=costs.clock_entry_wire_bytes * nodes,
        writes_at_one=at_one,
        writes_at_all=at_all,
    )


def _quotient(budget: float, cost: float) -> float | None:
    return budget / cost if cost else None


def _idle_cores(costs: Costs, nodes: int, way: Way) -> float | None:
    links, others = way.links(nodes), nodes - 1
    micros: float
    if way.manner is Manner.MESH:
        micros = links * (costs.peer_micros + costs.report_member_micros * others)
    elif (
        costs.round_micros is None
        or costs.probe_micros is None
        or costs.link_micros is None
    ):
        return None
    else:
        micros = links * costs.link_micros
        micros += (costs.round_micros + costs.probe_micros) if others else 0
    return (costs.idle_micros + micros) / MICROS_PER_SECOND


def _idle_bytes(costs: Costs, nodes: int, way: Way) -> float | None:
    links, others = way.links(nodes), nodes - 1
    if way.manner is Manner.MESH:
        return links * (costs.report_bytes + costs.report_member_bytes * others)
    if costs.round_bytes is None:
        return None
    return costs.round_bytes if others else 0.0


def _memory(costs: Costs, nodes: int, way: Way) -> float:
    """A node keeps its own clock, and that of every peer it is connected to."""
    links = way.links(nodes)
    clocks = (1 + links) * nodes * costs.clock_entry_bytes
    return costs.node_bytes + links * costs.peer_bytes + clocks


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a node may take at most before its cluster counts as broken."""

    memory_bytes: float
    idle_bytes_per_second: float
    idle_cores: float
    connections: int


@dataclass(frozen=True, slots=True)
class Break:
    """The smallest cluster in which *what* is past its bound."""

    what: str
    nodes: int


def breaks(costs: Costs, way: Way, most: Bounds) -> list[Break]:
    """
    Return what breaks up to 10,000 nodes, the smallest cluster first.

    What cannot be said, because a cost is not measured, is not in it.
    """
    bounds: Sequence[tuple[str, Callable[[Load], float | None], float]] = (
        ("memory", lambda load: load.memory_bytes, most.memory_bytes),
        (
            "network",
            lambda load: load.idle_bytes_per_second,
            most.idle_bytes_per_second,
        ),
        ("CPU at rest", lambda load: load.idle_cores, most.idle_cores),
        ("connections", lambda load: load.connections, most.connections),
    )
    found = []
    for what, figure, bound in bounds:
        for nodes in range(1, NODES_MAX + 1):
            value = figure(load_at(costs, nodes, way))
            if value is not None and value > bound:
                found.append(Break(what, nodes))
                break
    return sorted(found, key=lambda one: one.nodes)
