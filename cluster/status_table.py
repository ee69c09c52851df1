"""What a local cluster looks like at this moment, for people and for programs."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from cluster.local.node_process import ProcessState
from cluster.processes import ProcessCluster
from cluster.topology import Topology
from kvnode.client import Client, NodeStatus
from kvnode.errors import KvError

ANSWER_SECONDS = 2.0
"""A node that is up answers in milliseconds; a paused one never does."""

_COLOURS = {
    ProcessState.RUNNING: "green",
    ProcessState.PAUSED: "yellow",
    ProcessState.DOWN: "red",
}


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One node: its process, and its own account if it gave one in time."""

    name: str
    region: str
    endpoint: str
    state: ProcessState
    pid: int | None
    account: NodeStatus | None

    def as_json(self) -> dict[str, object]:
        """Return the report for `status --json`; `node` is null if it is silent."""
        account = self.account
        return {
            "name": self.name,
            "region": self.region,
            "endpoint": self.endpoint,
            "state": self.state.value,
            "pid": self.pid,
            "node": account
            and {
                "replica": f"{account.replica:016x}",
                "accepting_writes": account.accepting_writes,
                "refusing_because": account.refusing_because,
                "entry_count": account.entry_count,
                "conflicts_ever": account.conflicts_ever,
                "resident_bytes": account.resident_bytes,
                "disk_bytes": account.disk_bytes,
                "durability": account.durability,
                "uptime_seconds": account.uptime_seconds,
                "peers": [
                    {
                        "name": peer.name,
                        "connected": peer.connected,
                        "delay_ms": peer.delay_ms,
                        "blocked": peer.blocked,
                        "missing_there": peer.missing_there,
                        "missing_here": peer.missing_here,
                    }
                    for peer in account.peers
                ],
            },
        }


async def reports(cluster: ProcessCluster) -> list[NodeReport]:
    """Ask every node at once; those that are silent for 2 s have no account."""
    return list(
        await asyncio.gather(
            *(_report(cluster, name) for name in cluster.topology.names)
        )
    )


async def _report(cluster: ProcessCluster, name: str) -> NodeReport:
    process = cluster.process(name)
    state = cluster.state(name)
    account: NodeStatus | None = None
    if state is ProcessState.RUNNING:
        try:
            async with (
                asyncio.timeout(ANSWER_SECONDS),
                Client(cluster.endpoint(name)) as client,
            ):
                account = await client.status()
        except (KvError, TimeoutError):
            account = None  # it is starting, or stuck; its process says more
    return NodeReport(
        name=name,
        region=cluster.topology.site(name).region,
        endpoint=cluster.endpoint(name),
        state=state,
        pid=process.pid if process else None,
        account=account,
    )


def status_table(topology: Topology, found: Sequence[NodeReport]) -> Table:
    """Return the table that `kvnode cluster status` shows."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("node", style="bold")
    for heading in ("region", "state", "endpoint"):
        table.add_column(heading)
    for heading in ("pid", "entries", "conflicts", "memory"):
        table.add_column(heading, justify="right")
    table.add_column("peers (one way)")
    for report in found:
        account = report.account
        state = report.state.value
        if report.state is ProcessState.RUNNING and account is None:
            state = "not answering"
        elif account and not account.accepting_writes:
            state = f"refusing writes: {account.refusing_because}"
        table.add_row(
            report.name,
            report.region,
            f"[{_COLOURS[report.state]}]{state}[/]",
            report.endpoint,
            str(report.pid or ""),
            f"{account.entry_count:,}" if account else "",
            f"{account.conflicts_ever:,}" if account else "",
            f"{account.resident_bytes / 2**20:.0f} MiB" if account else "",
            _peers(topology, report),
        )
    return table


def _peers(topology: Topology, report: NodeReport) -> str:
    if report.account is None:
        return ""
    peers = {peer.name: peer for peer in report.account.peers}
    shown: list[str] = []
    for name in topology.others(report.name):
        peer = peers.get(name)
        if peer is None or not peer.connected:
            shown.append(f"[red]{name} -[/]")
        elif peer.blocked:
            shown.append(f"[red]{name} cut[/]")
        else:
            shown.append(f"{name} {peer.delay_ms} ms")
    return ", ".join(shown)


def cut_lines(topology: Topology, cuts: frozenset[frozenset[str]]) -> list[str]:
    """Return a line for each link that is cut, in the topology's order."""
    return [f"cut: {a} - {b}" for a, b in topology.pairs() if frozenset((a, b)) in cuts]
