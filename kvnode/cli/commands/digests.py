"""`kvnode digest` and `repair`: whether nodes hold the same, and what to do if not."""

from asyncio import sleep
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import combinations
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kvnode.cli.arguments import duration_option
from kvnode.cli.asking import Answered, answer_json, ask_all, end
from kvnode.cli.failures import ExitCode
from kvnode.cli.invocation import DEFAULT_DEADLINE, Call, client_command
from kvnode.cli.output import (
    complain,
    console,
    note,
    plain_json,
    print_json,
    print_line,
    size_text,
)
from kvnode.errors import InvalidArgumentError, UnavailableError

if TYPE_CHECKING:
    from kvnode.client import ClockEntry, NodeStatus, RepairResult

REPAIR_SECONDS: Final = 3600.0
"""How long a repair is waited for, unless --deadline says otherwise."""

ASK_AGAIN_SECONDS: Final = 0.25
"""From one comparison to the next: a write is everywhere sooner, as a rule."""

_GOES_ON = "The repair goes on at the node, and does no harm if it is begun again."


class Verdict(Enum):
    """What the digests of several nodes say together."""

    SAME = "same"
    DIFFER = "differ"
    NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict, why, and two nodes that differ if any do."""

    verdict: Verdict
    reason: str
    pair: tuple[str, str] | None = None


def register(app: typer.Typer, *, panel: str) -> None:
    """Add the commands to *app*."""
    client_command(app, "digest", panel=panel, keys=False)(digest)
    client_command(
        app, "repair", panel=panel, keys=False, writes=True, advice=_GOES_ON
    )(repair)


async def digest(
    call: Call,
    nodes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NODE]...", help="Names or addresses; all members if none."
        ),
    ] = None,
    scan: Annotated[
        bool,
        typer.Option("--scan", metavar="", help="Read every entry of one namespace."),
    ] = False,
    everything: Annotated[
        bool,
        typer.Option("--all", metavar="", help="Of all namespaces; with --scan."),
    ] = False,
    wait: Annotated[
        str,
        typer.Option(
            metavar="DURATION", help="While they cannot be compared; then it says why."
        ),
    ] = "10s",
) -> None:
    """
    Say whether nodes hold the same entries.

    Compares the digests that nodes keep of all they hold, which costs next to nothing.
    Of nodes that have seen the same writes they must be equal; while writes are on
    their way it asks again.  With --scan the nodes read every entry instead.

    Exit code 1: they differ.  3: they cannot be compared now, or a node did not answer.

    Example:
      kvnode digest
      kvnode -e 127.0.0.1:7400,127.0.0.1:7401 digest --scan --all
    """
    if everything and not scan:
        msg = "--all is of --scan: without it, digests are of all namespaces anyway"
        raise InvalidArgumentError(msg)
    patience = duration_option(wait, "--wait")
    endpoints = await _endpoints(call, nodes or [])
    if scan:
        await _scan(call, endpoints, None if everything else call.target.namespace)
        return
    answers, finding = await _compare(call, endpoints, patience)
    if call.json:
        found = {
            "verdict": finding.verdict.value,
            "reason": finding.reason,
            "differ": list(finding.pair or ()),
        }
        print_json({"nodes": [answer_json(each) for each in answers], **found})
    else:
        _show(_told(answers), finding)
    end(answers)
    if finding.verdict is Verdict.DIFFER:
        raise typer.Exit(ExitCode.NOT_FOUND)
    if finding.verdict is Verdict.NOT_COMPARABLE:
        raise typer.Exit(ExitCode.UNAVAILABLE)


async def repair(
    call: Call,
    node: Annotated[str, typer.Argument(metavar="NODE", help="A name or an address.")],
    peer: Annotated[
        str | None,
        typer.Option("--with", metavar="PEER", help="Its name; all in turn if none."),
    ] = None,
) -> None:
    """
    Find in what nodes differ, and mend it at both.

    Each of the two looks through its store, they find what differs by comparing ranges
    of keys, and send each other that alone.  Writes go on meanwhile.

    Example:
      kvnode repair tokyo --with paris
    """
    (endpoint,) = await _endpoints(call, [node])
    given = call.setup.deadline != DEFAULT_DEADLINE
    seconds = call.target.deadline if given else REPAIR_SECONDS
    results: list[RepairResult] = []
    async with call.client_of(endpoint) as client:
        peers = [peer] if peer else await _connected(client)
        for name in peers:
            result = await client.repair(name, deadline=seconds)
            results.append(result)
            if not call.json:
                _show_repair(result)
    if call.json:
        print_json({"repairs": [plain_json(each) for each in results]})


async def _connected(client: Any) -> list[str]:  # noqa: ANN401 -- a client, imported late
    """Return the names of the peers that a node is connected to."""
    status = await client.status()
    names = [each.name for each in status.peers if each.connected]
    if not names:
        msg = f"{status.name} is connected to no peer"
        raise UnavailableError(msg)
    return names


async def _endpoints(call: Call, nodes: Sequence[str]) -> tuple[str, ...]:
    """Return where *nodes* are; none: all endpoints given, or all members."""
    given = call.target.endpoints
    if nodes and all(":" in each for each in nodes):
        return tuple(nodes)
    if not nodes and len(given) > 1:
        return given
    status = await call.client.status()
    known = {peer.name: peer.address for peer in status.peers if peer.address}
    if len(given) == 1:
        known[status.name] = given[0]
    else:
        answers = await ask_all(call, given, lambda client: client.status())
        known |= {a.answer.name: a.endpoint for a in answers if a.answer is not None}
    if not nodes:
        return (
            given[0],
            *(known[name] for name in sorted(known.keys() - {status.name})),
        )
    unknown = [each for each in nodes if ":" not in each and each not in known]
    if unknown:
        names = ", ".join(sorted(known))
        msg = f"{unknown[0]!r} is no node of {status.cluster}; there are {names}"
        raise InvalidArgumentError(msg)
    return tuple(known.get(each, each) for each in nodes)


async def _compare(
    call: Call, endpoints: Sequence[str], patience: float
) -> tuple[list[Answered["NodeStatus"]], Finding]:
    """Ask until nodes can be compared, one is silent, or patience is at an end."""
    deadline = monotonic() + patience
    while True:
        answers = await ask_all(call, endpoints, lambda client: client.status())
        told = _told(answers)
        finding = judged(told)
        if (
            finding.verdict is not Verdict.NOT_COMPARABLE
            or len(told) < max(len(answers), 2)
            or monotonic() >= deadline
        ):
            return answers, finding
        await sleep(ASK_AGAIN_SECONDS)


def _told(answers: Sequence[Answered["NodeStatus"]]) -> list["NodeStatus"]:
    return [each.answer for each in answers if each.answer is not None]


def judged(nodes: "Sequence[NodeStatus]") -> Finding:
    """Return what the digests of *nodes* say together."""
    for one, other in combinations(nodes, 2):
        mine, theirs = one.digests, other.digests
        counts = not mine.incomparable_because and not theirs.incomparable_because
        if counts and mine.view == theirs.view and mine.total != theirs.total:
            reason = (
                f"{one.name} and {other.name} have seen the same writes and hold"
                " different entries (D9)"
            )
            return Finding(Verdict.DIFFER, reason, (one.name, other.name))
    for one in nodes:
        if one.digests.incomparable_because:
            reason = f"{one.name}: {one.digests.incomparable_because}"
            return Finding(Verdict.NOT_COMPARABLE, reason)
    if len(nodes) < 2:  # noqa: PLR2004 -- it takes two to compare
        return Finding(Verdict.NOT_COMPARABLE, "there is one node alone")
    if len({each.digests.view for each in nodes}) > 1:
        reason = "not all have seen, or forgotten, the same: writes are on their way"
        return Finding(Verdict.NOT_COMPARABLE, reason)
    return Finding(Verdict.SAME, f"{len(nodes)} nodes hold the same entries")


def _show(nodes: "Sequence[NodeStatus]", finding: Finding) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("node", "entries", "writes seen", "forgotten", "digest", "alarms"):
        right = column in {"entries", "writes seen", "forgotten"}
        table.add_column(column, justify="right" if right else "left")
    for each in nodes:
        told = each.digests
        table.add_row(
            Text(each.name),
            f"{each.entry_count:,}",
            f"{_seen(each.clock):,}",
            f"{_seen(told.floor):,}",
            told.total if told.known else "not known",
            Text(", ".join(told.alarms) or "none", "bold red" if told.alarms else ""),
        )
    console().print(table)
    if finding.verdict is Verdict.NOT_COMPARABLE:
        note(f"not comparable yet: {finding.reason}")
    elif finding.pair is None:
        note(f"same: {finding.reason}")
    else:
        one, other = finding.pair
        complain(finding.reason, label="differ")
        note(f"to mend it: kvnode repair {one} --with {other}")


def _seen(clock: "Sequence[ClockEntry]") -> int:
    """Return how many writes a clock covers, about: gaps count as covered."""
    return sum(entry.newest for entry in clock)


def _show_repair(found: "RepairResult") -> None:
    refused = found.refused_here + found.refused_there
    left = f"; {refused} entries are left for the next repair" if refused else ""
    damaged = (
        f"; {found.damaged_keys} records cannot be read, and are pulled again"
        if found.damaged_keys
        else ""
    )
    print_line(
        f"{found.peer}: {found.differing_keys:,} keys differed, {found.changed_here:,}"
        f" mended here and {found.changed_there:,} there{left}{damaged};"
        f" {found.messages:,} messages, {size_text(found.size_bytes)},"
        f" {found.seconds:.1f} s"
    )


async def _scan(call: Call, endpoints: Sequence[str], namespace: str | None) -> None:
    """Compare fingerprints that nodes make by reading all."""
    answers = await ask_all(call, endpoints, lambda client: client.digest(namespace))
    digests = {each.answer.digest for each in answers if each.answer is not None}
    if call.json:
        nodes = [answer_json(each) for each in answers]
        print_json({"nodes": nodes, "agree": len(digests) == 1})
    else:
        for each in answers:
            _show_scanned(each)
    end(answers)
    if len(digests) > 1:
        note("the nodes differ; try again when no writes are on their way")
        raise typer.Exit(ExitCode.NOT_FOUND)


def _show_scanned(each: Answered[Any]) -> None:
    found = each.answer
    if found is not None:
        print_line(
            f"{found.digest.hex()}\t{found.live_count} live"
            f" of {found.entry_count}\t{each.endpoint}"
        )
