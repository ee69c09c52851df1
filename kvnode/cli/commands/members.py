"""`kvnode members`, `leave` and `lag`: who belongs to the cluster, who is behind."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from kvnode.cli.arguments import duration_option
from kvnode.cli.asking import Answered, answer_json, ask_all, end
from kvnode.cli.failures import ExitCode
from kvnode.cli.invocation import Call, client_command, client_group
from kvnode.cli.output import (
    complain,
    console,
    note,
    plain_json,
    print_json,
    print_table,
    span_text,
)
from kvnode.object_json import Json

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from kvnode.client import Lag, MemberStatus, OriginLag

_REMOVE_ADVICE = "It is not known whether it happened: repeating it does no harm."
_LEAVE_ADVICE = (
    "It is not known whether the node has left: see `kvnode members` of another node."
)

Yes = Annotated[bool, typer.Option("--yes", "-y", metavar="", help="Do not ask first.")]


def register(app: typer.Typer, *, panel: str) -> None:
    """Add the commands to *app*."""
    group = client_group(app, "members", panel=panel)(members)
    client_command(group, "remove", keys=False, writes=True, advice=_REMOVE_ADVICE)(
        remove
    )
    client_command(
        app, "leave", panel=panel, keys=False, writes=True, advice=_LEAVE_ADVICE
    )(leave)
    client_command(app, "lag", panel=panel, keys=False)(lag)


async def members(
    call: Call,
    everyone: Annotated[
        bool, typer.Option("--all", metavar="", help="Those that are gone, too.")
    ] = False,
) -> None:
    """
    Show who belongs to the cluster, as one node sees it.

    A member that is down still counts: what is deleted meanwhile is kept until it is
    back, or is removed.
    """
    found = await call.client.status()
    shown = [m for m in found.members if everyone or m.standing.value == "member"]
    if call.json:
        listed = [_member_json(member) for member in shown]
        print_json({"node": found.name, "members": listed})
        return
    print_table(_table(shown, everyone=everyone))
    for hint in _hints(found.members):
        note(hint)


def _member_json(member: "MemberStatus") -> dict[str, Json]:
    document = plain_json(member)
    assert isinstance(document, dict), "a dataclass gives a mapping"
    return {**document, "replica": f"{member.replica:016x}"}


def _table(found: Iterable["MemberStatus"], *, everyone: bool) -> "Table":
    from rich.table import Table
    from rich.text import Text

    found = list(found)
    probed = any(member.health for member in found)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    headings = ["name", "identity", "region"]
    headings += ["standing"] if everyone else []
    headings += ["health", "round trip", "clock"] if probed else []
    for heading in (*headings, "link", "heard", "they lack", "we lack"):
        right = "lack" in heading
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    for member in found:
        cells: list[str | Text] = [
            Text(f"{member.name} (former)", "yellow") if member.former else member.name,
            f"{member.replica:016x}",
            member.region,
        ]
        cells += [_standing(member)] if everyone else []
        cells += _probed(member) if probed else []
        table.add_row(*cells, *_link(member))
    return table


def _standing(member: "MemberStatus") -> "Text":
    from rich.text import Text

    gone = member.standing.value != "member"
    return Text(member.standing.value, "dim" if gone else "")


def _probed(member: "MemberStatus") -> Iterator["Text"]:
    from rich.text import Text

    colours = {"alive": "green", "suspect": "yellow", "dead": "bold red"}
    yield Text(member.health or "-", colours.get(member.health, ""))
    rtt, offset = member.rtt_seconds, member.clock_offset_seconds
    yield Text("-" if rtt is None else f"{rtt * 1000:.1f} ms")
    yield Text("-" if offset is None else f"{offset * 1000:+.0f} ms")


def _link(member: "MemberStatus") -> Iterator["str | Text"]:
    from rich.text import Text

    if member.is_self:
        yield from (Text("this node", "dim"), "", "", "")
        return
    heard = member.heard_seconds_ago
    ago = "never" if heard is None else f"{span_text(heard)} ago"
    if member.connected:
        yield Text("up", "green")
        yield from (ago, f"{member.missing_there:,}", f"{member.missing_here:,}")
    else:
        down = member.standing.value == "member"
        yield Text("down", "bold red") if down else Text("-", "dim")
        yield from (ago, "-", "-")


def _hints(found: Iterable["MemberStatus"]) -> Iterator[str]:
    former = [member for member in found if member.former]
    for name in dict.fromkeys(member.name for member in former):
        count = sum(member.name == name for member in former)
        what = "a former identity" if count == 1 else f"{count} former identities"
        yield (
            f"{name} has {what} that still counts as a member, and holds up forgetting."
            f" If nothing of it will come back, run: kvnode members remove {name}"
            " --former"
        )


async def remove(
    call: Call,
    member: Annotated[
        str, typer.Argument(metavar="NAME|IDENTITY", help="As `members` shows it.")
    ],
    former: Annotated[
        bool,
        typer.Option(
            "--former",
            metavar="",
            help="All identities that had the name before the present one.",
        ),
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", metavar="", help="Even if it is connected right now."),
    ] = False,
    yes: Yes = False,
) -> None:
    """
    Declare a member gone for good, at all nodes: for one that will not come back.

    Writes that only it had are lost with it. If it comes back all the same it starts
    over as a new replica, and puts what only it had into a recovery file. A node that
    still runs should leave by itself: kvnode leave.

    Examples:
      kvnode members remove tokyo

      kvnode members remove tokyo --former

      kvnode members remove 1a2b3c4d5e6f7081 --yes
    """
    if not yes:
        whom = f"the former identities of {member}" if former else member
        question = f"Remove {whom} for good? What only it has is lost with it."
        typer.confirm(question, abort=True, err=True)
    removed = await call.client.remove_member(member, former=former, force=force)
    if call.json:
        print_json({"removed": [_member_json(member) for member in removed]})
        return
    for gone in removed:
        note(f"{gone.name} ({gone.replica:016x}) is removed for good")
    if not removed:
        note(f"{member} was gone already")


async def leave(
    call: Call,
    wait: Annotated[
        str,
        typer.Option(metavar="DURATION", help="To hand over; then it goes on."),
    ] = "60s",
    yes: Yes = False,
) -> None:
    """
    Take a node out of the cluster for good, and stop it, without losing a write.

    It takes no writes any more, waits until the other members have all it has, tells
    them that it is gone, and ends. To bring the machine back, give it an empty data
    directory. To stop a node for a while only, end its process.

    Exit code 3: the others do not have everything in time; it goes on as before.

    Example:
      kvnode -e 10.0.0.2:7400 leave
    """
    patience = duration_option(wait, "--wait")
    endpoint, *others = call.target.endpoints
    if others:
        msg = "name one node alone: the one that is to leave"
        raise typer.BadParameter(msg, param_hint="--endpoint")
    found = await call.client.status()
    who = f"{found.name} ({found.replica:016x}) at {endpoint}"
    if not yes:
        question = f"Take {who} out of cluster {found.cluster} for good?"
        typer.confirm(question, abort=True, err=True)
    departure = await call.client.leave(patience=patience)
    if call.json:
        print_json(
            {
                "name": found.name,
                "replica": f"{found.replica:016x}",
                "told": departure.told,
                "members": departure.members,
            }
        )
        return
    note(
        f"{who} has left: {departure.told} of {departure.members} members have heard"
        " it, and its process ends"
    )
    if not departure.told:
        complain(
            f"nobody has heard it: run `kvnode members remove {found.replica:016x}` at"
            " another node",
            label="warning",
        )


async def lag(
    call: Call,
    limit: Annotated[
        str | None,
        typer.Option(
            "--max",
            metavar="DURATION",
            help="Exit code 1 if it is further behind a member, or may be.",
        ),
    ] = None,
) -> None:
    """
    Show how far nodes are behind every other one: in writes, and in time.

    Asks every endpoint given. "behind" is how old what the node shows of the other one
    may be; it grows while the other cannot be heard. "missing" are writes that others
    have, and this node does not.

    Example, for monitoring:
      kvnode -e 10.0.0.2:7400 lag --max 30s
    """
    most = None if limit is None else duration_option(limit, "--max")
    answers = await ask_all(call, call.target.endpoints, lambda client: client.lag())
    late = list(_late(answers, most))
    if call.json:
        nodes = [answer_json(each) for each in answers]
        document: dict[str, Json] = {"nodes": nodes}
        if most is not None:
            document["within_max"] = not late
        print_json(document)
    else:
        for each in answers:
            if each.answer is not None:
                _show_lag(each.endpoint, each.answer)
    for line in late:
        complain(line, label="behind")
    end(answers)
    if late:
        raise typer.Exit(ExitCode.NOT_FOUND)


def _late(answers: Iterable[Answered["Lag"]], most: float | None) -> Iterator[str]:
    """Yield a line for each member that a node is too far behind."""
    for each in answers:
        if most is None or each.answer is None:
            continue
        for origin in each.answer.origins:
            if origin.standing is None or origin.standing.value != "member":
                continue  # it writes no more, so there is no being late
            behind = origin.behind_seconds
            if behind is None or behind > most:
                yield f"{each.answer.name} is {_behind(origin)} behind {_who(origin)}"


def _behind(origin: "OriginLag") -> str:
    behind = origin.behind_seconds
    return "nobody knows how far" if behind is None else span_text(behind)


def _who(origin: "OriginLag") -> str:
    return origin.name or f"{origin.replica:016x}"


def _show_lag(endpoint: str, found: "Lag") -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    out.print(Text.assemble((found.name, "bold"), f"  {endpoint}"))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("of", "identity", "link", "behind", "missing", "who has them"):
        right = heading in {"behind", "missing"}
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    for origin in found.origins:
        gone = origin.standing is not None and origin.standing.value != "member"
        link = Text("up", "green") if origin.connected else Text("down", "bold red")
        table.add_row(
            _who(origin),
            f"{origin.replica:016x}",
            Text("gone", "dim") if gone or origin.standing is None else link,
            "-" if gone else _behind(origin),
            f"{origin.missing:,}",
            ", ".join(origin.holders) or ("-" if not origin.missing else "nobody here"),
        )
    print_table(table)
    out.print()
