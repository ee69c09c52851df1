"""What a local cluster looks like at this moment, for people and for programs."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from time import monotonic

from rich.table import Table

from cluster.local.node_process import ProcessState
from cluster.processes import ProcessCluster
from cluster.topology import Topology
from kvnode.client import Client, NodeStatus
from kvnode.errors import KvError

ANSWER_SECONDS = 2.0
"""A node that is up answers in milliseconds; a paused one never does."""

SETTLE_SECONDS = 3.0
POLL_SECONDS = 0.1

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


async def settled_reports(cluster: ProcessCluster) -> list[NodeReport]:
    """As `reports`, but first give nodes that have just started 3 s to connect."""
    deadline = monotonic() + SETTLE_SECONDS
    while True:
        found = await reports(cluster)
        accounts = {report.name: report.account for report in found if report.account}
        apart = [
            (a, b)
            for a, b in permutations(accounts, 2)
            if frozenset((a, b)) not in cluster.cuts and not _connected(accounts[a], b)
        ]
        if not apart or monotonic() >= deadline:
            return found
        await asyncio.sleep(POLL_SECONDS)


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


def status_table(found: Sequence[NodeReport]) -> Table:
    """Return a line for each node: its process, and what it says of itself."""
    table = _table("node", "region", "state", "endpoint")
    for heading in ("pid", "entries", "conflicts", "memory"):
        table.add_column(heading, justify="right", no_wrap=True)
    for report in found:
        account = report.account
        state = report.state.value
        if report.state is ProcessState.RUNNING and account is None:
            state = "not answering"
        elif account and not account.accepting_writes:
            state = "read-only"
        table.add_row(
            report.name,
            report.region,
            f"[{_COLOURS[report.state]}]{state}[/]",
            report.endpoint,
            str(report.pid or ""),
            f"{account.entry_count:,}" if account else "",
            f"{account.conflicts_ever:,}" if account else "",
            f"{account.resident_bytes / 2**20:.0f} MiB" if account else "",
        )
    return table


def link_table(
    topology: Topology, cuts: frozenset[frozenset[str]], found: Sequence[NodeReport]
) -> Table:
    """Return a line for each link: its distance, and whether it carries anything."""
    table = _table("link", "one way", "state")
    accounts = {report.name: report.account for report in found}
    for a, b in topology.pairs():
        if frozenset((a, b)) in cuts:
            state = "[red]cut[/]"
        elif _connected(accounts[a], b) and _connected(accounts[b], a):
            state = "[green]open[/]"
        else:
            state = "[yellow]not connected[/]"
        table.add_row(f"{a} - {b}", f"{topology.delay(a, b)} ms", state)
    return table


def refusals(found: Sequence[NodeReport]) -> list[str]:
    """Return why nodes refuse writes, a line for each that does."""
    return [
        f"{report.name} refuses writes: {report.account.refusing_because}"
        for report in found
        if report.account and not report.account.accepting_writes
    ]


def _connected(account: NodeStatus | None, peer: str) -> bool:
    return account is not None and any(
        status.connected for status in account.peers if status.name == peer
    )


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, heading in enumerate(headings):
        table.add_column(heading, style="" if number else "bold", no_wrap=True)
    return table
