"""The figures of a simulated run, for people."""

import math

from rich.table import Table

from cluster.scale.figures import Figures


def figures_table(figures: Figures, wall_seconds: float) -> Table:
    """Return what a run came to, with what it can be measured against."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("figure")
    table.add_column("value", justify="right", style="bold")
    table.add_column("what it is", style="dim")
    for row in _rows(figures):
        table.add_row(*row)
    table.add_row("wall time", f"{wall_seconds:,.1f} s", "on one core")
    return table


def _rows(figures: Figures) -> list[tuple[str, str, str]]:
    nodes = figures.nodes
    crashed = f", {figures.crashes} of them crashed" if figures.crashes else ""
    scenario = f"{nodes:,}", f"loss {figures.loss:.0%}, seed {figures.seed}{crashed}"
    return [
        ("nodes", *scenario),
        ("changes", f"{figures.changes:,}", "200 a second, each by another node"),
        ("p50", _ms(figures.p50_ms), "until a change is everywhere"),
        ("p99", _ms(figures.p99_ms), "the same, for 99 of 100 changes"),
        ("longest", _ms(figures.max_ms), "the same, for all"),
        (
            "farthest flight",
            _ms(figures.farthest_flight_ms),
            "one message between the two farthest nodes",
        ),
        *(
            (f"p99 to {share}", _ms(value), "of all nodes")
            for share, value in figures.p99_coverage_ms.items()
        ),
        ("delivered", f"{figures.delivered:.5%}", "within 5 s, without anti-entropy"),
        (
            "sends",
            f"{figures.sends_per_change:,.1f}",
            f"payloads a change; {figures.sends_per_change / nodes:.3f} a node",
        ),
        ("duplicates", f"{figures.duplicates_per_change:,.1f}", "of them in vain"),
        (
            "long haul",
            f"{figures.long_haul_per_change:,.1f}",
            f"payloads over more than 150 ms; at most {figures.long_haul_max}",
        ),
        (
            "announcements",
            f"{figures.announcements_per_change:,.1f}",
            "small messages a change",
        ),
        ("grafts", f"{figures.grafts_per_change:,.1f}", "requests for a payload"),
        ("prunes", f"{figures.prunes_per_change:,.2f}", "requests to send no more"),
        ("fan-out", f"{figures.max_fan_out}", "most payloads of a change by one node"),
        (
            "busiest node",
            f"{figures.busiest_node_share:.2f}x",
            "payloads sent, by the average node's",
        ),
    ]


def _ms(value: float) -> str:
    return "never" if value == math.inf else f"{value:,.1f} ms"
