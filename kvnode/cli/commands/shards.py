"""`kvnode shards`: which nodes keep the objects, and letting others keep them."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kvnode.cli.asking import Answered, ask_all
from kvnode.cli.invocation import Call, client_command, client_group
from kvnode.cli.output import (
    complain,
    console,
    note,
    plain_json,
    print_json,
    print_table,
)
from kvnode.errors import InvalidArgumentError

if TYPE_CHECKING:
    from rich.table import Table

    from kvnode.client.shards import LedShard, ShardReplica, ShardsOverview, Voter

CHANGE_SECONDS: Final = 60.0
"""At least: what takes longer goes on, and can be asked for again."""

ALL: Final = "all"
"""In place of a shard's name."""

_MOVE_ADVICE: Final = (
    "It goes on as long as the node leads the shard: see `kvnode shards`, and ask again"
    " to have it finished."
)
_VOTER_ADVICE: Final = "Ask again: what was chosen is finished then."

Shard = Annotated[
    str, typer.Argument(metavar="SHARD", help="As `kvnode shards` shows it.")
]


def register(app: typer.Typer, *, panel: str) -> None:
    """Add the commands to *app*."""
    group = client_group(app, "shards", panel=panel)(shards)
    client_command(group, "move", keys=False, writes=True, advice=_MOVE_ADVICE)(move)
    client_command(group, "lead", keys=False, writes=True, advice=_MOVE_ADVICE)(lead)
    client_command(
        group, "replace-voter", keys=False, writes=True, advice=_VOTER_ADVICE
    )(replace_voter)


async def shards(call: Call) -> None:
    """
    Show which nodes keep the shards of objects, who leads, and who votes on that.

    A leader that leads more than its share gives shards to the one that is next, one
    at a time, once all has been well for half a minute.

    Asks the endpoints given, and then the other nodes that these know of.
    """
    answers = await _all_answers(call)
    found = [each.answer for each in answers if each.answer is not None]
    if call.json:
        print_json({"nodes": [plain_json(each) for each in found]})
    else:
        _show(found)
    for each in answers:
        if each.answer is None:
            complain(f"{each.endpoint}: {each.error}")


async def _all_answers(call: Call) -> "list[Answered[ShardsOverview]]":
    answers = await ask_all(call, call.target.endpoints, lambda client: client.shards())
    asked = {each.answer.name for each in answers if each.answer is not None}
    others = {
        node.name: node.address
        for each in answers
        if each.answer is not None
        for node in each.answer.nodes
        if node.name not in asked
    }
    if others:
        endpoints = [others[name] for name in sorted(others)]
        answers += await ask_all(call, endpoints, lambda c: c.shards(), raises=False)
    return answers


async def move(
    call: Call,
    shard: Annotated[
        str,
        typer.Argument(metavar="SHARD|all", help="As `kvnode shards` shows it."),
    ],
    nodes: Annotated[
        list[str], typer.Argument(metavar="NODE...", help="Who is to keep it.")
    ],
    region: Annotated[
        str, typer.Option(metavar="REGION", help="With all: those of that region.")
    ] = "",
) -> None:
    """
    Let other nodes keep a shard; returns when they do.

    They learn its log first, and it stands still for about a second when it moves.
    A node that has lost its disk, or is gone for good, is replaced like this.

    With all it is every shard that has no region, or with --region every one of it.

    Examples:
      kvnode shards move s003 tokyo frankfurt virginia

      kvnode shards move all tokyo frankfurt osaka

      kvnode shards move all --region asia tokyo osaka frankfurt
    """
    if region and shard != ALL:
        msg = f"{shard} is one shard: --region goes with all"
        raise InvalidArgumentError(msg)
    moving = await _all_of(call, region) if shard == ALL else [shard]
    for name in moving:
        await call.client.move_shard(name, nodes, deadline=_patience(call))
        if not call.json:
            note(f"{name} is kept by {', '.join(nodes)}")
    if call.json:
        print_json({"shards": moving, "nodes": list(nodes)})


async def _all_of(call: Call, region: str) -> list[str]:
    """Return the shards of *region*, or of none, by name."""
    from kvnode.core.objects.homes import region_of

    if not region:  # each node knows those
        known = (each.shard for each in (await call.client.objects_status()).shards)
        return sorted(shard for shard in known if not region_of(shard))
    answers = await _all_answers(call)
    for each in answers:
        if each.answer is None:
            complain(f"{each.endpoint}: {each.error}")
    led = {
        shard.shard
        for each in answers
        if each.answer is not None
        for shard in each.answer.led
        if region_of(shard.shard) == region
    }
    if not led:
        msg = f"no node that was asked leads a shard of region {region!r}"
        raise InvalidArgumentError(msg)
    return sorted(led)


async def lead(
    call: Call,
    shard: Shard,
    node: Annotated[str, typer.Argument(metavar="NODE", help="Who is to lead it.")],
) -> None:
    """
    Let one of the nodes that keep a shard lead it; returns when it does.

    Calls that are under way may have to be made again.

    Examples:
      kvnode shards lead s003 tokyo
    """
    overview = await call.client.shards()
    known = {each.name: each.address for each in overview.nodes}
    if node not in known:
        msg = f"no node {node!r} serves objects; there are {', '.join(sorted(known))}"
        raise InvalidArgumentError(msg)
    if overview.name == node:
        await call.client.lead_shard(shard, deadline=_patience(call))
    else:
        async with call.client_of(known[node]) as client:
            await client.lead_shard(shard, deadline=_patience(call))
    if call.json:
        print_json({"shard": shard, "leader": node})
    else:
        note(f"{node} leads {shard}")


async def replace_voter(
    call: Call,
    lost: Annotated[str, typer.Argument(metavar="LOST", help="Whose disk is lost.")],
    newcomer: Annotated[
        str,
        typer.Argument(
            metavar="[NODE]", help="Who votes instead; the same node by default."
        ),
    ] = "",
) -> None:
    """
    Let a node with a new disk vote in place of one whose disk was lost.

    It runs, with its name among its objects_voters; a majority of voters must answer.

    Examples:
      kvnode shards replace-voter tokyo

      kvnode shards replace-voter tokyo osaka
    """
    voters = await call.client.replace_voter(
        lost, newcomer or lost, deadline=_patience(call)
    )
    if call.json:
        print_json({"voters": list(voters)})
    else:
        note(f"those who vote are {', '.join(voters)}")


def _patience(call: Call) -> float:
    """Return for how long to wait: a lead or a small shard has changed by then."""
    return max(call.target.deadline, CHANGE_SECONDS)


def _show(found: "Sequence[ShardsOverview]") -> None:
    from rich.text import Text

    led = sorted(
        ((shard, each.name) for each in found for shard in each.led),
        key=lambda pair: (pair[0].shard, -pair[0].epoch),
    )
    out = console()
    if led:
        print_table(_shards_table(led))
    else:
        out.print(Text("no node that was asked leads a shard", "yellow"))
    voters = next((each.voters for each in found if each.voters), ())
    if voters:
        out.print()
        print_table(_voters_table(voters))


def _shards_table(led: "Iterable[tuple[LedShard, str]]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("shard", "leader", "epoch", "kept by", "moving to"):
        table.add_column(column, justify="right" if column == "epoch" else "left")
    for shard, leader in led:
        kept = Text()
        for place, replica in enumerate(sorted(shard.replicas, key=_node_of)):
            name = replica.node or f"({replica.replica})"
            kept.append(" " if place else "")
            kept.append(name, "red" if replica.is_silent or not replica.node else "")
            if replica.is_silent:
                kept.append(" silent", "red")
            elif replica.behind:
                kept.append(f" -{replica.behind:,}", "yellow")
        table.add_row(
            shard.shard,
            f"{leader}, next {shard.heir}" if shard.heir else leader,
            f"{shard.epoch:,}",
            kept,
            Text(" ".join(shard.moving_to), "yellow"),
        )
    return table


def _node_of(replica: "ShardReplica") -> str:
    return replica.node or replica.replica


def _voters_table(voters: "Iterable[Voter]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("voter", "identity", "what it does"):
        table.add_column(column)
    for voter in voters:
        said = f"{voter.role}: {voter.trouble}" if voter.trouble else voter.role
        style = "" if voter.role == "votes" else "yellow"
        table.add_row(voter.node, Text(voter.voter or "-", "dim"), Text(said, style))
    return table
