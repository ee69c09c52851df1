"""The program `kvnode`: global options, and all commands."""

import os
from importlib.metadata import version as installed_version
from typing import Annotated, Final

import typer

from kvnode.cli import plugins
from kvnode.cli.commands import (
    conflicts,
    digests,
    entries,
    listing,
    members,
    merging,
    namespaces,
    nodes,
    objects,
    serve,
    shards,
    watching,
)
from kvnode.cli.invocation import Deadline, Endpoints, NamespaceName, Setup
from kvnode.cli.output import print_json, print_line
from kvnode.cli.transfer import backup, export_file, import_file, recovery

_OBJECTS: Final = "Strong consistency"
_FILES: Final = "Files"
_OPERATING: Final = "Operating"
_ADDED: Final = "On one machine, and added by other packages"

app = typer.Typer(
    name="kvnode",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        print_line(f"kvnode {installed_version('kvnode')}")
        raise typer.Exit


@app.callback(
    epilog="Exit codes: 0 it happened; 1 not found, a condition did not hold, or an"
    " object's method raised; 2 wrong request; 3 did not happen, try later; 4 may have"
    " happened.",
)
def root(
    context: typer.Context,
    endpoint: Endpoints = None,
    namespace: NamespaceName = None,
    deadline: Deadline = None,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version",
            metavar="",
            help="Print the version.",
            callback=_print_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """
    Edge state you can run yourself: a replicated key-value store for several sites.

    Begin with `kvnode demo`, or with `kvnode serve` in one terminal and
    `kvnode put greeting hello` in another.

    The options below may stand before or after the command's name, and in the
    environment: KVNODE_ENDPOINTS, KVNODE_NAMESPACE, KVNODE_DEADLINE.
    """
    del show_version  # its callback has acted on it
    setup = context.obj if isinstance(context.obj, Setup) else Setup.of_environment()
    context.obj = setup.override(endpoint, namespace, deadline)


def version(
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="Print JSON.")
    ] = False,
) -> None:
    """Print the version of this program; `kvnode status` tells a node's."""
    if as_json:
        print_json({"version": installed_version("kvnode")})
    else:
        print_line(f"kvnode {installed_version('kvnode')}")


for _part in (entries, listing, watching, conflicts, merging):
    _part.register(app)
objects.register(app, panel=_OBJECTS)
shards.register(app, panel=_OBJECTS)
for _file in (import_file, export_file, backup, recovery):
    _file.register(app, panel=_FILES)
for _operation in (serve, nodes, members, digests, namespaces):
    _operation.register(app, panel=_OPERATING)
app.command("version", rich_help_panel=_OPERATING)(version)
plugins.register(app, plugins.installed(), panel=_ADDED)


def main() -> None:
    """Run the program; the process ends with its exit code."""
    # grpc reports every connection that ends; people want what kvnode says of it.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    app(prog_name="kvnode")
