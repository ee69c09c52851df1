"""
The page of a simulated run: one HTML file with everything in it.

Plotly draws, in the reader's browser, from data in the page.  It is an extra of this
project (`kvnode[harness]`), so it is imported when a page is asked for.
"""

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from string import Template

from cluster.errors import ClusterError
from cluster.scale.figures import (
    COVERAGES,
    Figures,
    counted_changes,
    delays,
    percentile,
)
from cluster.scale.regions import round_trip_ms
from cluster.scale.simulation import Run

CURVE_POINTS_MAX = 400
"""Of a curve: more than the page has pixels for."""

Json = Mapping[str, object]


class ReportError(ClusterError):
    """The page cannot be made; the text says what is missing."""


def check_that_reports_can_be_written(path: Path) -> None:
    """
    Say before a long run what would be missing after it.

    Raises:
        ReportError: Plotly is not installed, or there is no such directory.
    """
    if find_spec("plotly") is None:
        msg = "--report draws with plotly: pip install 'kvnode[harness]'"
        raise ReportError(msg)
    if not path.parent.is_dir():
        msg = f"--report: there is no directory {path.parent}"
        raise ReportError(msg)


def write_report(run: Run, figures: Figures, path: Path) -> None:
    """
    Write the page of *run* to *path*, which is replaced if it is there.

    Raises:
        ReportError: The file cannot be written.
    """
    try:
        path.write_text(render(run, figures), encoding="utf-8")
    except OSError as error:
        msg = f"--report: {path} cannot be written: {error.strerror}"
        raise ReportError(msg) from error


def render(run: Run, figures: Figures) -> str:
    """Return the page."""
    from plotly.offline import get_plotlyjs  # noqa: PLC0415 -- an extra, and slow

    plots = {
        "coverage": coverage_plot(run, figures.farthest_flight_ms),
        "regions": region_plot(run),
        "sends": sends_plot(run),
    }
    data = json.dumps(plots, separators=(",", ":"), allow_nan=False)
    template = files("cluster.scale").joinpath("report.html").read_text("utf-8")
    return Template(template).substitute(
        title=escape(_title(figures)),
        facts="\n".join(
            f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
            for name, value in _facts(figures)
        ),
        plotly=get_plotlyjs(),
        data=data.replace("<", "\\u003c"),  # ends no script block
    )


def coverage_plot(run: Run, limit_ms: float) -> Json:
    """Return how many changes had reached a share of all nodes, by time."""
    spans = [delays(run, change) for change in counted_changes(run)]
    traces = []
    for percent in COVERAGES:
        times = sorted(percentile(span, percent) for span in spans)
        shares = [(rank + 1) / len(times) for rank in range(len(times))]
        step = max(1, len(times) // CURVE_POINTS_MAX)
        # From the end, so that the slowest change is always on the curve.
        kept = [
            (time, share)
            for time, share in list(zip(times, shares, strict=True))[::-step][::-1]
            if time < math.inf
        ]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "line": {"shape": "hv"},
                "name": "all nodes" if percent == max(COVERAGES) else f"{percent} %",
                "x": [round(time, 1) for time, _ in kept],
                "y": [share for _, share in kept],
                "hovertemplate": "%{y:.1%} of changes within %{x} ms",
            }
        )
    return {
        "data": traces,
        "layout": {
            "xaxis": {"title": {"text": "ms since the change"}, "rangemode": "tozero"},
            "yaxis": {"title": {"text": "share of changes"}, "tickformat": ".0%"},
            "legend": {"title": {"text": "had reached"}},
            "shapes": [_vertical_line(limit_ms)],
            "annotations": [
                {
                    "x": limit_ms,
                    "y": 1,
                    "yref": "paper",
                    "yanchor": "bottom",
                    "showarrow": False,
                    "text": "farthest flight",
                }
            ],
        },
    }


def _vertical_line(at: float) -> Json:
    return {
        "type": "line",
        "x0": at,
        "x1": at,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "line": {"dash": "dot", "width": 1},
    }


def region_plot(run: Run) -> Json:
    """Return how long changes take from each region to all nodes of each other."""
    regions = sorted(set(run.places))
    nodes_of = {
        region: [
            node
            for node, place in enumerate(run.places)
            if place == region and node not in run.crashed
        ]
        for region in regions
    }
    spans: dict[tuple[str, str], list[float]] = {}
    for change in counted_changes(run):
        origin = run.places[change.origin].name
        for region in regions:
            if nodes_of[region]:
                last = max(change.arrivals[node] for node in nodes_of[region])
                spans.setdefault((origin, region.name), []).append(
                    last - change.sent_at
                )
    names = [region.name for region in regions]
    return {
        "data": [
            {
                "type": "heatmap",
                "x": names,
                "y": names,
                "z": [[_median(spans.get((a, b))) for b in names] for a in names],
                "customdata": [
                    [round_trip_ms(a, b) / 2 for b in regions] for a in regions
                ],
                "colorscale": "Viridis",
                "reversescale": True,
                "colorbar": {"title": {"text": "ms"}},
                "hoverongaps": False,
                "hovertemplate": "%{y} to all of %{x}: %{z} ms, of which"
                " %{customdata} ms is the flight<extra></extra>",
            }
        ],
        "layout": {
            "height": 560,
            "xaxis": {"title": {"text": "to all nodes of"}},
            "yaxis": {"title": {"text": "from"}, "autorange": "reversed"},
        },
    }


def sends_plot(run: Run) -> Json:
    """Return how many payloads each node sent, region by region."""
    order = sorted(
        range(len(run.places)),
        key=lambda node: (run.places[node].name, -run.sent_by[node]),
    )
    traces = []
    for region in sorted({place.name for place in run.places}):
        ranks = [
            rank for rank, node in enumerate(order) if run.places[node].name == region
        ]
        traces.append(
            {
                "type": "bar",
                "name": region,
                "x": ranks,
                "y": [run.sent_by[order[rank]] for rank in ranks],
                "hovertemplate": "%{y} payloads",
            }
        )
    return {
        "data": traces,
        "layout": {
            "bargap": 0,
            "xaxis": {"title": {"text": "nodes, by region"}, "showticklabels": False},
            "yaxis": {"title": {"text": "payloads sent"}},
            "legend": {"orientation": "h", "y": -0.2},
        },
    }


def _median(values: Sequence[float] | None) -> float | None:
    """Return the middle of *values*; None if there is none, or it is never."""
    middle = median(values) if values else math.inf
    return None if middle == math.inf else round(middle, 1)


def _title(figures: Figures) -> str:
    parts = [f"{figures.nodes:,} nodes"]
    if figures.loss:
        parts.append(f"{figures.loss:.0%} of messages lost")
    if figures.crashes:
        parts.append(f"{figures.crashes} nodes crashing")
    return ", ".join(parts)


def _facts(figures: Figures) -> list[tuple[str, str]]:
    def ms(value: float) -> str:
        return "never" if value == math.inf else f"{value:,.1f} ms"

    return [
        ("half of changes everywhere in", ms(figures.p50_ms)),
        ("99 of 100 in", ms(figures.p99_ms)),
        ("all in", ms(figures.max_ms)),
        ("farthest flight", ms(figures.farthest_flight_ms)),
        ("delivered within 5 s", f"{figures.delivered:.5%}"),
        ("payloads a change", f"{figures.sends_per_change:,.1f}"),
        ("of them duplicates", f"{figures.duplicates_per_change:,.1f}"),
        ("between continents", f"{figures.long_haul_per_change:,.1f}"),
        ("announcements a change", f"{figures.announcements_per_change:,.1f}"),
        ("largest fan-out", f"{figures.max_fan_out}"),
        ("changes", f"{figures.changes:,}"),
        ("seed", f"{figures.seed}"),
    ]
