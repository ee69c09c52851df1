"""The page of a run: all in it, and nothing that breaks it."""

import json
import re
from pathlib import Path

import pytest

from cluster.scale.figures import figures
from cluster.scale.report import (
    ReportError,
    check_that_reports_can_be_written,
    render,
    write_report,
)
from cluster.scale.simulation import Run, Scenario, Simulation


@pytest.fixture(scope="module")
def run() -> Run:
    """A small run with everything that can happen in one."""
    return Simulation(Scenario(40, 40, loss=0.1, crashes=3)).run()


def test_page_holds_its_data_and_needs_no_network(run: Run) -> None:
    """It can be sent to anyone, and opened years later."""
    page = render(run, figures(run))

    data = re.search(r'<script id="data" type="application/json">(.*)</script>', page)
    assert data is not None
    plots = json.loads(data[1])
    assert list(plots) == ["coverage", "regions", "sends"]
    assert all(f'id="{name}"' in page for name in plots)
    assert re.search(r'<(script|link|img)[^>]+(src|href)="http', page) is None
    assert "<title>Dissemination: 40 nodes, 10% of messages lost, 3 nodes" in page


def test_curves_end_where_the_figures_do(run: Run) -> None:
    """The slowest change is on the curve of all nodes."""
    seen = figures(run)
    page = render(run, seen)
    data = re.search(r'<script id="data" type="application/json">(.*)</script>', page)
    assert data is not None

    curves = json.loads(data[1])["coverage"]["data"]

    assert max(curves[-1]["x"]) == seen.max_ms
    assert max(curves[-1]["y"]) == 1
    assert all(curve["x"] == sorted(curve["x"]) for curve in curves)


def test_page_is_written_or_the_reason_told(run: Run, tmp_path: Path) -> None:
    """Best before the run: it may take minutes."""
    write_report(run, figures(run), tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size > 1_000_000

    with pytest.raises(ReportError, match="cannot be written: Is a directory"):
        write_report(run, figures(run), tmp_path)
    with pytest.raises(ReportError, match="there is no directory"):
        check_that_reports_can_be_written(tmp_path / "nowhere" / "page.html")


def test_missing_library_is_named_before_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the command that installs it."""
    monkeypatch.setattr("cluster.scale.report.find_spec", lambda _: None)

    with pytest.raises(ReportError, match=r"pip install 'kvnode\[harness\]'"):
        check_that_reports_can_be_written(tmp_path / "page.html")
