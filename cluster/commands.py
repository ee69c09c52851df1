"""
A cluster of three nodes on this machine, to use and to do harm to.

Nodes go on running after a command has ended; `status` finds them again and
`down` ends them.  What is kept where: cluster.local.state_directory.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from time import monotonic
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from cluster.errors import ClusterError
from cluster.local.state_directory import DEFAULT_DIRECTORY, StateDirectory
from cluster.processes import ProcessCluster
from cluster.scale.figures import figures
from cluster.scale.report import check_that_reports_can_be_written, write_report
from cluster.scale.simulation import Scenario, Simulation
from cluster.scale.spreading_table import figures_table
from cluster.status_table import (
    link_table,
    refusals,
    reports,
    settled_reports,
    status_table,
)
from cluster.topology import THREE_CITIES, Topology, parse_groups
from kvnode.errors import KvError

FIRST_PORT = 7401
HTTP_PORTS_ABOVE = 80
"""From a node's port to that of its HTTP: 7481 beside 7401, like 80 among all ports."""

app = typer.Typer(
    name="cluster",
    help="Run a cluster of three nodes on this machine, and do harm to it.",
    no_args_is_help=True,
    add_completion=False,  # that is for programs, and this is a command of one
)
console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

Directory = Annotated[
    Path, typer.Option("--directory", "-d", help="Where the cluster keeps its state.")
]
Nodes = Annotated[
    list[str], typer.Argument(metavar="NODE...", help="Names, such as tokyo.")
]
NodesOrAll = Annotated[
    list[str] | None, typer.Argument(metavar="[NODE]...", help="By default, all.")
]


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run *work*; a failure that was foreseen is one message and exit code 1."""
    try:
        asyncio.run(work)
    except (ClusterError, KvError) as error:
        errors.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(1) from error


async def _change(
    directory: Path, act: Callable[[ProcessCluster], Coroutine[Any, Any, None]]
) -> None:
    """Do *act* to the cluster in *directory* while no other command can."""
    StateDirectory(directory).load()  # a directory without a cluster stays unmade
    with StateDirectory(directory).locked():
        await act(ProcessCluster(directory))


@app.command()
def up(
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    distance: Annotated[
        float,
        typer.Option(help="Factor for the emulated distances; 0 is none.", min=0),
    ] = 1.0,
    first_port: Annotated[
        int,
        typer.Option(
            help="Ports count up from here, and those of HTTP from 80 above, leaving"
            " out those in use.",
            min=1,
        ),
    ] = FIRST_PORT,
    relaxed: Annotated[
        bool, typer.Option(help="Sync to disk every 100 ms instead of at each write.")
    ] = False,
    objects: Annotated[
        str,
        typer.Option(
            help="Classes of objects to serve, with commas; empty for none.",
            metavar="MODULE:CLASS,...",
        ),
    ] = "Storage",
) -> None:
    """Start the nodes that are not running; make the cluster if there is none."""

    async def work() -> None:
        with StateDirectory(directory).locked():
            cluster = ProcessCluster.create(
                directory,
                THREE_CITIES.scaled(distance),
                first_port=first_port,
                durability="relaxed" if relaxed else "fsync",
                objects=[name.strip() for name in objects.split(",") if name.strip()],
            )
            cluster.serve_http(first_port + HTTP_PORTS_ABOVE)
            with console.status("starting"):
                await cluster.start()
            await _show(cluster)
            console.print(_advice(cluster, directory), soft_wrap=True)

    _run(work())


def _advice(cluster: ProcessCluster, directory: Path) -> str:
    """Return what to try next, as commands that can be copied."""
    first, *_, last = cluster.topology.names
    where = "" if directory == DEFAULT_DIRECTORY else f" -d {directory}"
    return escape(
        "\nWrite in one place and read in another:\n"
        f"  kvnode -e {cluster.endpoint(first)} put greeting hello\n"
        f"  kvnode -e {cluster.endpoint(last)} get greeting\n"
        "Or what all places agree on, wherever it is asked:\n"
        f"  kvnode -e {cluster.endpoint(first)} object put cart apples 3\n"
        f"  kvnode -e {cluster.endpoint(last)} object get cart apples\n"
        f"  curl {cluster.http_endpoint(last)}/v1/objects/Storage/cart/storage/keys\n"
        "Then do some harm, and undo it:\n"
        f"  kvnode cluster partition{where} {first}\n"
        f"  kvnode cluster kill{where} {last}\n"
        f"  kvnode cluster heal{where}\n"
        f"  kvnode cluster up{where}"
    )


@app.command()
def down(*, nodes: NodesOrAll = None, directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Stop nodes in an orderly way; their data stays."""
    _run(_change(directory, lambda cluster: cluster.stop(*(nodes or ()))))


@app.command()
def status(
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what runs, where, and what each node holds."""

    async def work() -> None:
        cluster = ProcessCluster(directory)
        if as_json:
            found = await reports(cluster)
            text = json.dumps([report.as_json() for report in found], indent=2)
            typer.echo(text)
        else:
            await _show(cluster)

    _run(work())


async def _show(cluster: ProcessCluster) -> None:
    found = await settled_reports(cluster)
    console.print(status_table(found))
    console.print()
    console.print(link_table(cluster.topology, cluster.cuts, found))
    for line in refusals(found):
        console.print(f"[red]{escape(line)}[/]")


@app.command()
def kill(*, nodes: Nodes, directory: Directory = DEFAULT_DIRECTORY) -> None:
    """End nodes at once with SIGKILL, as a power cut would."""
    _run(_change(directory, lambda cluster: cluster.kill(*nodes)))


@app.command()
def pause(*, nodes: Nodes, directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Freeze nodes with SIGSTOP; their connections stay open."""
    _run(_change(directory, lambda cluster: cluster.pause(*nodes)))


@app.command()
def resume(
    *, nodes: NodesOrAll = None, directory: Directory = DEFAULT_DIRECTORY
) -> None:
    """Let paused nodes go on."""
    _run(_change(directory, lambda cluster: cluster.resume(*(nodes or ()))))


@app.command()
def restart(
    *, nodes: NodesOrAll = None, directory: Directory = DEFAULT_DIRECTORY
) -> None:
    """Stop nodes in an orderly way and start them again."""

    async def act(cluster: ProcessCluster) -> None:
        await cluster.stop(*(nodes or ()))
        await cluster.start(*(nodes or ()))
        await _show(cluster)

    _run(_change(directory, act))


@app.command(
    # Options must come before the names, because click would otherwise take the
    # "--" between two groups for itself.
    context_settings={"allow_interspersed_args": False}
)
def partition(
    *,
    groups: Annotated[
        list[str],
        typer.Argument(
            metavar="NODE... [-- NODE...]",
            help="Groups of names, parted by -- or, in quotes, by |.",
        ),
    ],
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """
    Cut the links between groups of nodes; nodes not named form one more group.

    For example: `partition tokyo`, or `partition "tokyo | frankfurt,virginia"`.
    """

    async def act(cluster: ProcessCluster) -> None:
        await cluster.partition(parse_groups(groups))
        await _show(cluster)

    _run(_change(directory, act))


@app.command()
def heal(*, directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Open every link again, with its distance."""

    async def act(cluster: ProcessCluster) -> None:
        await cluster.heal()
        await _show(cluster)

    _run(_change(directory, act))


@app.command()
def logs(
    *,
    nodes: NodesOrAll = None,
    directory: Directory = DEFAULT_DIRECTORY,
    lines: Annotated[
        int, typer.Option("--lines", "-n", help="How many of each node.", min=1)
    ] = 20,
) -> None:
    """Show the end of the nodes' logs."""

    async def work() -> None:
        topology: Topology = ProcessCluster(directory).topology
        home = StateDirectory(directory)
        for name in nodes or topology.names:
            path = home.log_file(topology.site(name).name)
            console.print(f"[bold]{name}[/]  [dim]{path}[/]", soft_wrap=True)
            typer.echo(home.log_tail(name, lines) or "(empty)")

    _run(work())


@app.command()
def wipe(
    *,
    nodes: NodesOrAll = None,
    directory: Directory = DEFAULT_DIRECTORY,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """End nodes and delete their data; without names, the whole cluster."""
    what = ", ".join(nodes) if nodes else f"everything in {directory}"
    if not yes and not typer.confirm(f"Delete the data of {what}?"):
        raise typer.Exit(1)
    _run(_change(directory, lambda cluster: cluster.erase(*(nodes or ()))))


@app.command()
def sim(  # noqa: PLR0913 -- a command has as many parameters as options
    *,
    nodes: Annotated[
        int, typer.Option("--nodes", "-n", help="How many, in up to 19 regions.")
    ] = 50,
    loss: Annotated[
        float, typer.Option(help="Probability that a message is lost, 0 to 1.")
    ] = 0.0,
    crash: Annotated[
        int, typer.Option(help="Nodes that crash at one instant, nobody being told.")
    ] = 0,
    detection: Annotated[
        float, typer.Option(help="Seconds after which others hear of the crash.")
    ] = 5.0,
    changes: Annotated[
        int | None, typer.Option(help="Writes to follow; by default one a node.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed is another run.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    report: Annotated[
        Path | None, typer.Option(help="Also draw the run into this HTML file.")
    ] = None,
) -> None:
    """
    Compute how writes spread in a large cluster, on virtual time.

    The nodes' own code, on a model of 19 regions. 1,000 nodes take some minutes.
    """
    try:
        if report is not None:
            check_that_reports_can_be_written(report)
        scenario = Scenario(
            nodes,
            nodes if changes is None else changes,
            loss=loss,
            crashes=crash,
            detection_ms=round(detection * 1000),
            seed=seed,
        )
        began = monotonic()
        with Progress(console=errors, transient=True) as progress:
            task = progress.add_task("simulating", total=1.0)
            run = Simulation(scenario).run(
                lambda share: progress.update(task, completed=share)
            )
        seen, wall_seconds = figures(run), monotonic() - began
        if report is not None:
            write_report(run, seen, report)
    except (ClusterError, ValueError) as error:
        errors.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(1 if isinstance(error, ClusterError) else 2) from error
    if as_json:
        found = seen.as_json() | {"wall_seconds": round(wall_seconds, 2)}
        typer.echo(json.dumps(found, indent=2))
    else:
        console.print(figures_table(seen, wall_seconds))
