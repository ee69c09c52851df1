"""The command `kvnode demo`: sets the stage, tells the story, clears up."""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from cluster.demo.cities import load_cities
from cluster.demo.narrator import Narrator
from cluster.demo.story import tell
from cluster.errors import ClusterError
from cluster.processes import ProcessCluster
from cluster.topology import THREE_CITIES
from kvnode.cli.interruption import end_as_by_ctrl_c, let_nothing_disturb
from kvnode.errors import KvError

INTERRUPTED = 130
"""What shells report for a command that Ctrl-C ended."""


def command(
    *,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the nodes running at the end.")
    ] = False,
    no_delay: Annotated[
        bool, typer.Option("--no-delay", help="Emulate no distances.")
    ] = False,
    distance: Annotated[
        float, typer.Option(help="Factor for the emulated distances.", min=0)
    ] = 1.0,
) -> None:
    """
    Show what kvnode promises, on three processes of this machine, and measure it.

    Takes less than a minute. Exits with 1 if any claim does not hold.
    """
    console = Console(highlight=False)
    narrator = Narrator(console)
    cluster: ProcessCluster | None = None
    directory = Path(tempfile.mkdtemp(prefix="kvnode-demo-"))
    end_as_by_ctrl_c()
    try:
        cities = load_cities()
        topology = THREE_CITIES.scaled(0 if no_delay else distance)
        cluster = ProcessCluster.create(directory, topology)
        held = asyncio.run(tell(cluster, cities, narrator))
    except (ClusterError, KvError) as error:
        console.print(f"\n[bold red]The story broke off:[/] {escape(str(error))}")
        held = False
    except KeyboardInterrupt:
        console.print("\ninterrupted")
        _clear_up(cluster, directory)
        raise typer.Exit(INTERRUPTED) from None
    except BaseException:
        _clear_up(cluster, directory)
        raise
    if keep and cluster is not None:
        console.print(
            f"\nThe nodes go on running. See them with\n"
            f"  kvnode cluster status -d {directory}\nand end them with\n"
            f"  kvnode cluster wipe -d {directory}",
            soft_wrap=True,
        )
    else:
        _clear_up(cluster, directory)
    if not held:
        raise typer.Exit(1)


def _clear_up(cluster: ProcessCluster | None, directory: Path) -> None:
    """End the nodes and delete their files, undisturbed by another Ctrl-C."""
    let_nothing_disturb()
    if cluster is not None:
        asyncio.run(cluster.kill())
    shutil.rmtree(directory, ignore_errors=True)
