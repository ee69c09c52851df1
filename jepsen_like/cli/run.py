"""
`jepsen_like run`: one workload under some harm, on one system, judged.

With `--out` the history, the plan and a report are kept.  What the exit code
says: jepsen_like.cli.check.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from secrets import randbits
from typing import TYPE_CHECKING, Annotated

import typer

from jepsen_like.cli.exit_codes import EXIT_CODES_TOLD, failing_apart, leave
from jepsen_like.cli.planning import (
    AsJson,
    KeyCount,
    NemesisNames,
    NodeCount,
    OperationCount,
    PreviousInstall,
    Seconds,
    StoreSettings,
    SystemName,
    Told,
    Wish,
    WorkerCount,
    WorkloadName,
    busy,
    complaints,
    history_digest,
)
from kvnode.cli.output import console, note
from kvnode.object_json import Json

if TYPE_CHECKING:
    from jepsen_like.plan import Plan
    from jepsen_like.runner.run import Progress, Watch

_SEED_BITS = 32


def register(app: typer.Typer) -> None:
    """Add the command to *app*."""
    app.command("run", epilog=EXIT_CODES_TOLD)(failing_apart(run))


def run(
    workload: WorkloadName = "register",
    nemesis: NemesisNames = "none",
    system: SystemName = "simulated",
    seed: Annotated[
        int | None,
        typer.Option(
            help="What all is drawn from; by default, another one each time.",
            show_default=False,
        ),
    ] = None,
    nodes: NodeCount = 3,
    operations: OperationCount = 200,
    workers: WorkerCount = 6,
    keys: KeyCount = 4,
    seconds: Seconds = 10.0,
    previous_install: PreviousInstall = None,
    settings: StoreSettings = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep history.jsonl, plan.json and report.html there, replacing"
            " what is there.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a workload on a system while harm is done to it, and judge what came out."""
    wish = Wish(
        workload,
        nemesis,
        system,
        nodes,
        operations,
        workers,
        keys,
        seconds,
        previous_install,
        tuple(settings or ()),
    )
    drawn = randbits(_SEED_BITS) if seed is None else seed
    about: dict[str, Json] = {
        "workload": workload,
        "nemesis": nemesis,
        "system": system,
        "seed": drawn,
    }
    with complaints(about if as_json else None):
        if out is not None:
            _check_that_reports_can_be_written()
        told = _told(wish, drawn, wish.sweep().plan(drawn), about)
        if out is not None:
            _keep(out, wish.sweep().plan(drawn), told)
    told.show(as_json=as_json)
    if out is not None and not as_json:
        note(f"kept in {out}: history.jsonl, plan.json, report.html")
    raise leave(told.verdict)


def _check_that_reports_can_be_written() -> None:
    """Say before a long run what would be missing after it."""
    missing = [name for name in ("jinja2", "plotly") if find_spec(name) is None]
    if missing:
        msg = (
            f"--out writes a report, which needs {' and '.join(missing)}:"
            " pip install 'kvnode[harness]'"
        )
        raise ValueError(msg)


def _told(wish: Wish, seed: int, plan: "Plan", about: dict[str, Json]) -> Told:
    """Run and judge *plan*."""
    from jepsen_like.runner.judging import judge_run
    from jepsen_like.runner.worlds import run_plan_on

    title = f"{wish.workload} under {wish.nemesis} on {wish.system}, seed {seed}"
    began = time.monotonic()
    with _watched(title) as watch:
        made = run_plan_on(wish.system, progress=watch, previous=wish.previous_install)(
            plan
        )
    with busy("judging"):
        judgements = judge_run(made, plan)
    is_simulated = not made.is_real
    return Told(
        title=title,
        history=made.history,
        judgements=judgements,
        seconds=time.monotonic() - began,
        replay=wish.command("replay" if is_simulated else "run", seed),
        digest=history_digest(made.history),
        more=about | {"notes": list(made.notes), "errors": list(made.errors)},
    )


@contextmanager
def _watched(title: str) -> "Iterator[Watch]":
    """Show how far a run is, where somebody can see it."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bars

    out = console(stderr=True)
    bars = Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[at]}"),
        console=out,
        transient=True,
        disable=not out.is_terminal,
    )
    with bars:
        task = bars.add_task(title, total=None, at="")

        def watch(progress: "Progress") -> None:
            bars.update(
                task,
                description=progress.phase,
                completed=progress.done,
                total=progress.planned,
                at=f"{progress.at_ms / 1000:.1f} s",
            )

        yield watch


def _keep(directory: Path, plan: "Plan", told: Told) -> None:
    """Write all that is known of a run to *directory*."""
    from jepsen_like import report
    from jepsen_like.checkers import staleness
    from jepsen_like.history import json_lines
    from jepsen_like.plan_file import write_plan
    from jepsen_like.runner.judging import with_run
    from jepsen_like.workloads.promises import rank

    directory.mkdir(parents=True, exist_ok=True)
    history = with_run(told.history, told.judgements)
    json_lines.write(history, directory / "history.jsonl")
    write_plan(plan, directory / "plan.json")
    ages: list[float] = []
    if any(judgement.checker == staleness.NAME for judgement in told.judgements):
        ages = staleness.ages_ms(told.history, order_of=rank)
    subject = report.Subject(told.title, told.replay, tuple(ages))
    report.write(told.history, told.judgements, directory / "report.html", subject)
