"""
`jepsen_like replay`: a plan once more, to the byte.

The plan is that of a file, or is drawn anew from the same options.  A simulation is
run twice; both histories must be the same bytes, and the same as the history.jsonl
beside the plan's file if there is one, but for what was found of its run.  A real
system is run once: no two of its histories are alike.  What the exit code says:
jepsen_like.cli.exit_codes; simulated histories that differ are `unknown`.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jepsen_like.cli.exit_codes import EXIT_CODES_TOLD, ExitCode, failing_apart, leave
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
    replay_command,
)
from kvnode.cli.output import complain, note, print_line
from kvnode.object_json import Json

if TYPE_CHECKING:
    from jepsen_like.plan import Plan

_HISTORY_NAME = "history.jsonl"


def register(app: typer.Typer) -> None:
    """Add the command to *app*."""
    app.command("replay", epilog=EXIT_CODES_TOLD)(failing_apart(replay))


def replay(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="PLAN",
            help="A plan's file, as run --out and explore keep it; then --system and"
            " --previous-install are the only options that count. Without one the"
            " options say which plan.",
        ),
    ] = None,
    workload: WorkloadName = "register",
    nemesis: NemesisNames = "none",
    system: SystemName = "simulated",
    seed: Annotated[int, typer.Option(help="What all is drawn from.")] = 0,
    nodes: NodeCount = 3,
    operations: OperationCount = 200,
    workers: WorkerCount = 6,
    keys: KeyCount = 4,
    seconds: Seconds = 10.0,
    previous_install: PreviousInstall = None,
    settings: StoreSettings = None,
    as_json: AsJson = False,
) -> None:
    """
    Run a plan again, see that it gives the same history, and judge it.

    A simulation is run twice, and repeats itself to the byte. Real systems never do:
    on them a plan is run once, and judged.
    """
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
    with complaints():
        if file is None:
            plan, again = wish.sweep().plan(seed), wish.command("replay", seed)
            title = f"{workload} under {nemesis} on {system}, seed {seed}"
        else:
            plan, title = _plan_in(file), str(file)
            again = replay_command(file, system, previous_install)
        expected = _expected(file)
    about: dict[str, Json] = {
        "workload": plan.workload,
        "system": system,
        "seed": plan.seed,
    }
    with complaints(about if as_json else None):
        told, repeat = _told(plan, title, again, wish, about)
    told.show(as_json=as_json)
    if repeat:
        _compare(told.digest, repeat, expected, as_json=as_json)
    elif not as_json:
        note(f"run once: {system} is real, and only a simulation repeats to the byte")
    raise leave(told.verdict)


def _plan_in(file: Path) -> "Plan":
    from jepsen_like.plan_file import read_plan

    return read_plan(file)


def _told(
    plan: "Plan", title: str, again: str, wish: Wish, about: Mapping[str, Json]
) -> tuple[Told, str]:
    """
    Run *plan* and judge it; if that was a simulation, run it once more.

    Returns:
        Also the digest of the second history; "" if there is none.
    """
    from jepsen_like.runner.judging import judge_run
    from jepsen_like.runner.worlds import run_plan_on

    began = time.monotonic()
    run_plan = run_plan_on(wish.system, previous=wish.previous_install)
    with busy("running it"):
        made = run_plan(plan)
        repeat = "" if made.is_real else history_digest(run_plan(plan).history)
        judgements = judge_run(made, plan)
    digest = history_digest(made.history)
    told = Told(
        title=title,
        history=made.history,
        judgements=judgements,
        seconds=time.monotonic() - began,
        replay=again,
        digest=digest,
        more={**about, "repeated": digest == repeat if repeat else None},
    )
    return told, repeat


def _expected(file: Path | None) -> str:
    """Return the digest of the history beside *file*; empty if there is none."""
    from jepsen_like.history.json_lines import digest

    if file is None or not file.with_name(_HISTORY_NAME).exists():
        return ""
    with file.with_name(_HISTORY_NAME).open("rb") as lines:
        return digest(lines)


def _compare(first: str, second: str, expected: str, *, as_json: bool) -> None:
    """
    Say whether all histories are the same bytes, by their digests.

    Raises:
        typer.Exit: They are not.
    """
    if first != second:
        complain(f"two runs of the same plan differ: {first} and {second}")
        raise typer.Exit(ExitCode.UNKNOWN)
    if expected not in {"", first}:
        complain(
            f"the history is {first}, and that in {_HISTORY_NAME} beside the plan"
            f" is {expected}: this program or the system is another one now"
        )
        raise typer.Exit(ExitCode.UNKNOWN)
    if not as_json:
        print_line(f"\nThe same history twice, SHA-256 {first}")
