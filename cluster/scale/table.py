"""The arithmetic as a table of Markdown, for documents and terminals alike."""

from collections.abc import Sequence

from cluster.scale.arithmetic import Bounds, Break, Load, breaks, load_at
from cluster.scale.costs import Costs

CLUSTER_SIZES = (3, 10, 33, 34, 50, 200, 1_000, 10_000)
"""33 and 34: the last size at which a node compares digests with all, and the first."""

BOUNDS = Bounds(
    memory_bytes=4 << 30,
    idle_bytes_per_second=12.5e6,  # 100 Mbit/s
    idle_cores=0.5,
    compared_cores=0.5,
    connections=1024,  # PEERS_MAX of kvnode.core.node.address_book
)
"""Of a small machine at the edge, what it may use to do nothing at all."""

HEADINGS = (
    "nodes",
    "links of a node",
    "CPU at rest, cores",
    "received at rest, KB/s",
    "memory without entries, MiB",
    "a clock on the wire, bytes",
    "CPU of comparing while there are writes, cores",
    "writes/s, all at one node",
    "writes/s, spread over all",
)


def table(costs: Costs, sizes: Sequence[int] = CLUSTER_SIZES) -> str:
    """Return a row for a cluster of each of *sizes*, with its headings."""
    rows = [HEADINGS, ("---:",) * len(HEADINGS)]
    rows += [_row(load_at(costs, nodes)) for nodes in sizes]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(load: Load) -> tuple[str, ...]:
    return (
        f"{load.nodes:,}",
        f"{load.connections:,}",
        f"{load.idle_cores:.3f}",
        f"{load.idle_bytes_per_second / 1000:,.1f}",
        f"{load.memory_bytes / (1 << 20):,.0f}",
        f"{load.clock_wire_bytes:,.0f}",
        f"{load.compared_cores:.3f}",
        _rate(load.writes_at_one),
        _rate(load.writes_at_all),
    )


def _rate(per_second: float | None) -> str:
    return "no limit" if per_second is None else f"{per_second:,.0f}"


def what_breaks(costs: Costs, most: Bounds) -> str:
    """Return in words what passes its bound first, and what after it."""
    found = breaks(costs, most)
    return f"{'; '.join(map(_words, found)) or 'nothing breaks'}."


def _words(one: Break) -> str:
    return f"{one.what} from {one.nodes:,} nodes on"


def report(costs: Costs) -> str:
    """Return the table, and what breaks first."""
    return f"{table(costs)}\n\n{what_breaks(costs, BOUNDS)}"
