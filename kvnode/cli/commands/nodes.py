"""`kvnode status`: how nodes are."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from kvnode.cli.asking import answer_json, ask_all, end
from kvnode.cli.invocation import Call, client_command
from kvnode.cli.output import console, print_json, size_text, span_text

if TYPE_CHECKING:
    from rich.text import Text

    from kvnode.client import NodeStatus, PeerStatus


def register(app: typer.Typer, *, panel: str) -> None:
    """Add the command to *app*."""
    client_command(app, "status", panel=panel, keys=False)(status)


async def status(call: Call) -> None:
    """
    Show how nodes are: their data, their peers, and what they lack.

    Asks every endpoint given, not just the first that answers.  Exit code 3: one
    could not be reached.

    Example:
      kvnode -e 127.0.0.1:7400,127.0.0.1:7401 status
    """
    endpoints = call.target.endpoints
    answers = await ask_all(call, endpoints, lambda client: client.status())
    if call.json:
        print_json({"nodes": [answer_json(each) for each in answers]})
    else:
        for each in answers:
            if each.answer is not None:
                _show_status(each.endpoint, each.answer)
    end(answers)


def _show_status(endpoint: str, found: "NodeStatus") -> None:
    from rich.table import Table
    from rich.text import Text

    facts = Table.grid(padding=(0, 2))
    where = f" in {found.region}" if found.region else ""
    writes = Text("accepted", "green")
    if not found.accepting_writes:
        writes = Text(f"refused: {found.refusing_because}", "bold red")
    rows: list[tuple[str, str | Text]] = [
        ("node", Text(f"{found.name}{where}, cluster {found.cluster}", "bold")),
        ("address", endpoint),
        ("identity", f"{found.replica:016x}"),
        ("version", f"{found.version}, up {span_text(found.uptime_seconds)}"),
        ("writes", writes),
        ("durability", found.durability),
        ("entries", f"{found.entry_count:,}, deleted ones included"),
        (
            "disk",
            f"{size_text(found.disk_bytes)}, {size_text(found.disk_free_bytes)} free",
        ),
        ("memory", size_text(found.resident_bytes)),
        ("conflicts", f"{found.conflicts_ever:,} ever"),
        ("digest", _digest_text(found)),
        ("namespaces", ", ".join(found.namespaces)),
        ("data", found.data_directory),
        *_upkeep(found),
    ]
    for name, fact in rows:
        facts.add_row(Text(name, "dim"), fact if isinstance(fact, Text) else Text(fact))
    out = console()
    out.print(facts)
    if found.peers:
        out.print(_peer_table(found.peers))
    out.print()


def _digest_text(found: "NodeStatus") -> Any:  # noqa: ANN401 - rich is imported late
    from rich.text import Text

    told = found.digests
    if told.alarms:
        others = ", ".join(told.alarms)
        return Text(f"{others} hold different entries: see `kvnode digest`", "bold red")
    counted = f"{told.comparisons:,} compared with peers, {told.differences:,} differed"
    return f"{told.total if told.known else 'not known yet'}, {counted}"


def _upkeep(found: "NodeStatus") -> "Iterator[tuple[str, str | Text]]":
    """Yield what an operator may have to do something about, and how it goes."""
    from rich.text import Text

    filling = found.filling
    if filling is not None:
        donor = f" from {filling.donor}" if filling.donor else ", nobody sends just now"
        yield (
            "filling",
            Text(
                f"{filling.done:,} of about {filling.expected:,} entries"
                f" ({filling.percent} %){donor}; serves nobody until all are here",
                "bold yellow",
            ),
        )
    count = sum(member.standing.value == "member" for member in found.members)
    yield "members", f"{count}; see kvnode members"
    age = found.floor.age_seconds
    forgotten = "nothing yet"
    if age is not None:
        forgotten = f"deletions older than {span_text(age)}"
    if found.forgetting.dropped:
        forgotten += f"; {found.forgetting.dropped:,} entries since it started"
    yield "forgotten", forgotten
    for hindrance in found.forgetting.hindrances:
        yield "", Text(f"held up: {hindrance}", "yellow")
    for file in found.rescued:
        yield (
            "rescued",
            Text(
                f"{file.name}, {size_text(file.size_bytes)}: see kvnode recovery list"
                f" {found.data_directory}/recovery",
                "yellow",
            ),
        )


def _peer_table(peers: tuple["PeerStatus", ...]) -> Any:  # noqa: ANN401 - rich is imported late
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("peer", "address", "link", "they lack", "we lack", "heard"):
        table.add_column(column, justify="right" if "lack" in column else "left")
    for peer in peers:
        link = Text("up", "green") if peer.connected else Text("down", "bold red")
        if peer.blocked:
            link = Text("cut (emulated)", "bold red")
        elif peer.delay_ms:
            link.append(f" +{peer.delay_ms} ms (emulated)", "yellow")
        heard = peer.heard_seconds_ago
        table.add_row(
            Text(peer.name or f"{peer.replica:016x}"),
            Text(peer.address),
            link,
            f"{peer.missing_there:,}",
            f"{peer.missing_here:,}",
            "never" if heard is None else f"{span_text(heard)} ago",
        )
    return table
