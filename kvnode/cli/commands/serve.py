"""`kvnode serve`: run a node in this process."""

import os
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from kvnode.cli.failures import reported
from kvnode.cli.output import print_line

_WHO: Final = "Who and where"
_DATA: Final = "Data"
_ETCD: Final = "Objects with etcd"
_OTHERS: Final = "Other nodes"
_LIMITS: Final = "Limits and intervals"
_TESTS: Final = "Tests and demos"


def _option(panel: str, help_text: str, metavar: str = "TEXT") -> Any:  # noqa: ANN401 - typer's own type
    return typer.Option(help=help_text, metavar=metavar, rich_help_panel=panel)


def register(app: typer.Typer, *, panel: str) -> None:
    """Add the command to *app*."""
    app.command("serve", rich_help_panel=panel)(serve)


def serve(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            metavar="FILE",
            help="Settings in TOML; also KVNODE_CONFIG.",
        ),
    ] = None,
    name: Annotated[
        str | None, _option(_WHO, "Label, unique in the cluster. (default: kvnode)")
    ] = None,
    region: Annotated[
        str | None, _option(_WHO, "Where it is, such as tokyo or eu-west.")
    ] = None,
    cluster: Annotated[
        str | None,
        _option(_WHO, "Clusters keep apart. (default: kvnode)"),
    ] = None,
    listen: Annotated[
        str | None,
        _option(_WHO, "Serve here. (default: 127.0.0.1:7400)", "HOST:PORT"),
    ] = None,
    advertise: Annotated[
        str | None,
        _option(_WHO, "Others reach it here. (default: as --listen)", "HOST:PORT"),
    ] = None,
    http: Annotated[
        str | None,
        _option(_WHO, "Serve objects over HTTP here. (default: not)", "HOST:PORT"),
    ] = None,
    data_directory: Annotated[
        str | None,
        _option(_DATA, "Made if missing. (default: ./kvnode-data)", "DIRECTORY"),
    ] = None,
    durability: Annotated[
        str | None,
        _option(
            _DATA,
            "Reply when on disk (fsync), or before, and sync every 100 ms (relaxed):"
            " a power loss may cost that much. (default: fsync)",
            "fsync|relaxed",
        ),
    ] = None,
    namespaces: Annotated[
        str | None,
        _option(_DATA, "Made if missing. (default: default)", "NAME,..."),
    ] = None,
    relaxed_sync_interval_ms: Annotated[
        str | None, _option(_DATA, "For relaxed. (default: 100)", "MS")
    ] = None,
    map_bytes: Annotated[
        str | None, _option(_DATA, "The most it can hold. (default: 1TiB)", "SIZE")
    ] = None,
    disk_reserve_bytes: Annotated[
        str | None,
        _option(_DATA, "Kept free for merging. (default: automatic)", "SIZE"),
    ] = None,
    objects: Annotated[
        str | None,
        _option(
            _DATA,
            "Serve objects of these classes; Storage is a map that needs no class."
            " (default: none)",
            "MODULE:CLASS,...",
        ),
    ] = None,
    objects_variables_file: Annotated[
        str | None,
        _option(
            _DATA, "What classes for Cloudflare find in env: a JSON object.", "FILE"
        ),
    ] = None,
    objects_voters: Annotated[
        str | None,
        _option(
            _DATA,
            "Keep objects together with these nodes: 1, 3 or 5 names, the same at all"
            " nodes. (default: this node alone)",
            "NAME,...",
        ),
    ] = None,
    objects_port: Annotated[
        int | None,
        _option(
            _DATA,
            "Where other nodes with objects send theirs, over plain TCP, which takes"
            " half as long as over gRPC. (default: any free port)",
            "PORT",
        ),
    ] = None,
    objects_calls_port: Annotated[
        int | None,
        _option(
            _DATA,
            "Where clients of the library send calls of objects, over plain TCP, if"
            " they can. (default: any free port)",
            "PORT",
        ),
    ] = None,
    objects_spread: Annotated[
        bool | None,
        typer.Option(
            "--objects-spread/--no-objects-spread",
            metavar="",
            help="Give leads to nodes that lead fewer. (default: yes)",
            rich_help_panel=_DATA,
        ),
    ] = None,
    objects_moved: Annotated[
        bool | None,
        typer.Option(
            "--objects-moved/--no-objects-moved",
            metavar="",
            help="The data directory was moved and its original is gone.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    objects_lease_ms: Annotated[
        str | None,
        _option(
            _DATA,
            "How long a leader may answer reads by itself; 0: each is confirmed by a"
            " majority. (default: 600)",
            "COUNT",
        ),
    ] = None,
    objects_history_hours: Annotated[
        str | None,
        _option(
            _DATA,
            "How far back objects can be restored; 0 is not. (default: 168)",
            "COUNT",
        ),
    ] = None,
    objects_history_bytes: Annotated[
        str | None,
        _option(_DATA, "Kept for that, of a shard. (default: 256MiB)", "SIZE"),
    ] = None,
    objects_etcd: Annotated[
        str | None,
        _option(
            _ETCD,
            "Let this etcd say who leads objects, in place of voters; https:// before"
            " each for TLS.",
            "HOST:PORT,...",
        ),
    ] = None,
    objects_keepers: Annotated[
        str | None,
        _option(
            _ETCD,
            "Nodes that keep the objects then: 1, 3 or 5 names, the same at all nodes.",
            "NAME,...",
        ),
    ] = None,
    objects_etcd_prefix: Annotated[
        str | None,
        _option(_ETCD, "Of its keys. (default: /kvnode/CLUSTER/shards/)", "/PREFIX/"),
    ] = None,
    objects_etcd_ca_file: Annotated[
        str | None,
        _option(_ETCD, "Whose certificates count. (default: gRPC's list)", "FILE"),
    ] = None,
    objects_etcd_certificate_file: Annotated[
        str | None, _option(_ETCD, "Certificate of this node.", "FILE")
    ] = None,
    objects_etcd_key_file: Annotated[
        str | None, _option(_ETCD, "Key of that certificate.", "FILE")
    ] = None,
    objects_etcd_user: Annotated[
        str | None, _option(_ETCD, "User of etcd, if it asks for one.", "NAME")
    ] = None,
    objects_etcd_password_file: Annotated[
        str | None, _option(_ETCD, "The user's password, in one line.", "FILE")
    ] = None,
    peers: Annotated[
        str | None,
        _option(_OTHERS, "Nodes to connect to.", "NAME=HOST:PORT,..."),
    ] = None,
    seeds: Annotated[
        str | None,
        _option(_OTHERS, "Nodes to learn the others from.", "HOST:PORT,..."),
    ] = None,
    delta_interval_ms: Annotated[
        str | None,
        _option(_LIMITS, "How often peers compare. (default: 1000)", "MS"),
    ] = None,
    gap_patience_ms: Annotated[
        str | None,
        _option(_LIMITS, "When to ask for what is late. (default: 100)", "MS"),
    ] = None,
    outbox_bytes_max: Annotated[
        str | None, _option(_LIMITS, "For a slow peer. (default: 8MiB)", "SIZE")
    ] = None,
    delta_page_bytes: Annotated[
        str | None, _option(_LIMITS, "Page of a delta. (default: 256KiB)", "SIZE")
    ] = None,
    delta_sessions_max: Annotated[
        str | None, _option(_LIMITS, "Deltas served at once. (default: 3)", "COUNT")
    ] = None,
    bootstrap_bytes_per_second: Annotated[
        str | None,
        _option(_LIMITS, "For filling new nodes. (default: 0, no limit)", "SIZE"),
    ] = None,
    inbox_operations_max: Annotated[
        str | None,
        _option(_LIMITS, "Operations that may wait. (default: 50000)", "COUNT"),
    ] = None,
    inbox_bytes_max: Annotated[
        str | None,
        _option(_LIMITS, "Bytes that may wait. (default: 256MiB)", "SIZE"),
    ] = None,
    clock_offset_max_ms: Annotated[
        str | None,
        _option(_LIMITS, "Past it, writes are refused. (default: 500)", "MS"),
    ] = None,
    join_patience_ms: Annotated[
        str | None,
        _option(_LIMITS, "Empty, it waits for a peer. (default: 3000)", "MS"),
    ] = None,
    forget_interval_ms: Annotated[
        str | None,
        _option(_LIMITS, "Between attempts to forget. (default: 5000)", "MS"),
    ] = None,
    scan_interval_ms: Annotated[
        str | None,
        _option(
            _LIMITS,
            "How often the whole store is looked through; 0: never. (default: a day)",
            "MS",
        ),
    ] = None,
    repair_automatically: Annotated[
        bool | None,
        typer.Option(
            "--repair-automatically/--no-repair-automatically",
            metavar="",
            help="When nodes that must hold the same do not. (default: yes)",
            rich_help_panel=_LIMITS,
        ),
    ] = None,
    repair_bytes_per_second: Annotated[
        str | None, _option(_LIMITS, "What a repair sends. (default: 4MiB)", "SIZE")
    ] = None,
    fault_injection: Annotated[
        bool | None,
        typer.Option(
            "--fault-injection/--no-fault-injection",
            metavar="",
            help="Let links be cut and slowed. (default: no)",
            rich_help_panel=_TESTS,
        ),
    ] = None,
    link_delays_ms: Annotated[
        str | None,
        _option(_TESTS, "One-way delays to peers.", "NAME=MS,..."),
    ] = None,
    log_level: Annotated[
        str | None,
        typer.Option(
            metavar="debug|info|warning|error",
            help="Least important message that is logged. (default: info)",
        ),
    ] = None,
    show_config: Annotated[
        bool,
        typer.Option(
            "--show-config",
            metavar="",
            help="Check the settings, print them as JSON, and end.",
        ),
    ] = False,
) -> None:
    """
    Run a node in this process, until Ctrl-C or SIGTERM.

    Settings come from a TOML file, from the environment (KVNODE_LISTEN for --listen)
    and from options; the later one wins.

    Examples:
      kvnode serve

      kvnode serve --name tokyo --listen 10.0.0.2:7400 --seeds 10.0.0.3:7400

      kvnode serve --config /etc/kvnode.toml --show-config
    """
    flags = dict(locals())  # first of all: the parameters, and nothing else
    del flags["config"], flags["show_config"]
    from kvnode.config import load

    with reported(writes=False):
        settings = load(config, flags, os.environ)
        if show_config:
            print_line(settings.model_dump_json(indent=2))
            return
        from kvnode.runtime.app import run

        run(settings)
