"""The arithmetic as a table of Markdown, for documents and terminals alike."""

from collections.abc import Sequence

from cluster.scale.arithmetic import Bounds, Break, Load, Manner, Way, breaks, load_at
from cluster.scale.costs import Costs

CLUSTER_SIZES = (3, 10, 50, 200, 1_000, 10_000)
UNKNOWN = "not measured"
LINKS = 5
"""HyParView's active view for 10,000 nodes (Leitao et al. 2007): fanout 4, and one."""

BOUNDS = Bounds(
    memory_bytes=4 << 30,
    idle_bytes_per_second=12.5e6,  # 100 Mbit/s
    idle_cores=0.5,
    connections=1024,  # PEERS_MAX of kvnode.core.node.address_book
)
"""Of a small machine at the edge, what it may use to do nothing at all."""

WAYS = (Way(Manner.MESH), Way(Manner.FEW_LINKS, LINKS))

HEADINGS = (
    "nodes",
    "links of a node",
    "CPU at rest, cores",
    "received at rest, KB/s",
    "memory without entries, MiB",
    "a clock on the wire, bytes",
    "writes/s, all at one node",
    "writes/s, spread over all",
)


def table(costs: Costs, way: Way, sizes: Sequence[int] = CLUSTER_SIZES) -> str:
    """Return a row for a cluster of each of *sizes*, with its headings."""
    rows = [HEADINGS, ("---:",) * len(HEADINGS)]
    rows += [_row(load_at(costs, nodes, way)) for nodes in sizes]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(load: Load) -> tuple[str, ...]:
    return (
        f"{load.nodes:,}",
        f"{load.connections:,}",
        _number(load.idle_cores, decimals=3),
        _number(load.idle_bytes_per_second, divisor=1000, decimals=1),
        _number(load.memory_bytes, divisor=1 << 20),
        _number(load.clock_wire_bytes),
        _number(load.writes_at_one),
        _number(load.writes_at_all),
    )


def _number(value: float | None, *, divisor: int = 1, decimals: int = 0) -> str:
    return UNKNOWN if value is None else f"{value / divisor:,.{decimals}f}"


def what_breaks(costs: Costs, way: Way, most: Bounds) -> str:
    """Return in words what passes its bound first, and what after it."""
    found = breaks(costs, way, most)
    if not found:
        return f"{way.manner.value}: nothing measured breaks."
    return f"{way.manner.value}: {'; '.join(map(_words, found))}."


def _words(one: Break) -> str:
    return f"{one.what} from {one.nodes:,} nodes on"


def report(costs: Costs) -> str:
    """Return a table for each way to be connected, and what breaks first."""
    parts = []
    for way in WAYS:
        links = "" if way.manner is Manner.MESH else f", {way.links_max} at most"
        parts += [
            f"{way.manner.value}{links}",
            table(costs, way),
            what_breaks(costs, way, BOUNDS),
        ]
    return "\n\n".join(parts)
