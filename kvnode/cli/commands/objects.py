"""`kvnode object`: calling methods of objects, and how their shards are."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from kvnode.cli.asking import answer_json, ask_all, end
from kvnode.cli.commands import object_alarms, object_points, object_storage
from kvnode.cli.commands.object_points import ById, ClassName, Name, which
from kvnode.cli.commands.object_storage import IdempotencyKey, LocationHint
from kvnode.cli.invocation import Call, client_command
from kvnode.cli.object_values import named_json, print_value, value_of
from kvnode.cli.output import console, note, print_json, print_line, print_table
from kvnode.cli.raising import raising_told

if TYPE_CHECKING:
    from rich.table import Table

    from kvnode.client import ObjectsStatus
    from kvnode.object_values import Value

_ADVICE: Final = (
    "It is not known whether the method ran: look before you call it again. With"
    " --idempotency-key, the same call can be repeated and happens once."
)


def register(app: typer.Typer, *, panel: str) -> None:
    """Add the commands to *app*."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Objects: strongly consistent state, one leader at a time.",
    )
    app.add_typer(group, name="object", rich_help_panel=panel)
    client_command(
        group,
        "call",
        keys=False,
        writes=True,
        negative_numbers=True,
        advice=_ADVICE,
    )(call_method)
    object_points.register(group)
    object_storage.register(group)
    object_alarms.register(group)
    client_command(group, "where", keys=False)(where)
    client_command(group, "status", keys=False)(status)


async def call_method(
    call: Call,
    class_name: ClassName,
    name: Name,
    method: Annotated[str, typer.Argument(metavar="METHOD", help="What to call.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARG", help="What to call it with."),
    ] = None,
    json_args: Annotated[
        bool,
        typer.Option(
            "--json-args", metavar="", help="Arguments are JSON: 3 is a number."
        ),
    ] = False,
    named: Annotated[
        list[str] | None,
        typer.Option(
            "--named", metavar="NAME=ARG", help="An argument by its name; repeatable."
        ),
    ] = None,
    by_id: ById = False,
    idempotency_key: IdempotencyKey = "",
    location_hint: LocationHint = "",
) -> None:
    """
    Call a method of an object and print its result.

    Arguments are text unless --json-args is given.  Text and bytes are printed
    as they are, other results as JSON.  Exit code 1: the method raised.

    Examples:
      kvnode object call Counter cart-42 increment 3 --json-args

      kvnode object call Room lobby say hello --named by=ann

      kvnode object call Counter cart-42 increment --location-hint europe
    """
    given = [value_of(text, as_json=json_args, hint="ARG") for text in arguments or ()]
    by_name = dict(_named(text, as_json=json_args) for text in named or ())
    handle = call.client.object(
        class_name, **which(name, by_id=by_id), location_hint=location_hint
    )
    with raising_told():
        result = await handle.options(idempotency_key=idempotency_key).call(
            method, *given, **by_name
        )
    if call.json:
        print_json(named_json("result", result))
    elif result is None:
        note(f"{class_name}.{method} has run and returned nothing")
    else:
        print_value(result)


async def where(
    call: Call,
    class_name: ClassName,
    name: Name,
    by_id: ById = False,
) -> None:
    """
    Print where an object lives: its region if it was placed in one, shard and leader.

    Asking does not place it.

    Example:
      kvnode object where Counter cart-42
    """
    found = await call.client.object(class_name, **which(name, by_id=by_id)).locate()
    if call.json:
        print_json(
            {
                "region": found.region,
                "shard": found.shard,
                "leader": found.leader,
                "settled": found.is_settled,
            }
        )
        return
    leader = f"led by {found.leader}" if found.leader else "led by nobody, just now"
    place = f"region {found.region}" if found.region else "no region"
    print_line(f"{place}, shard {found.shard}, {leader}")
    if not found.is_settled:
        note("nothing was heard of it yet: a location hint may still place it")


async def status(call: Call) -> None:
    """
    Show which classes of objects nodes serve, and how their shards are.

    Asks every endpoint given.  Exit code 3: one could not be reached.
    """
    endpoints = call.target.endpoints
    answers = await ask_all(call, endpoints, lambda client: client.objects_status())
    if call.json:
        print_json({"nodes": [answer_json(each) for each in answers]})
    else:
        for each in answers:
            if each.answer is not None:
                _show(each.endpoint, each.answer)
    end(answers)


def _named(text: str, *, as_json: bool) -> "tuple[str, Value]":
    name, separator, argument = text.partition("=")
    if not name or not separator:
        msg = f"{text!r} is not NAME=ARG"
        raise typer.BadParameter(msg, param_hint="--named")
    return name, value_of(argument, as_json=as_json, hint="--named")


def _show(endpoint: str, found: "ObjectsStatus") -> None:
    from rich.text import Text

    led = sum(shard.is_led_here for shard in found.shards)
    out = console()
    out.print(Text(endpoint, "bold"))
    out.print(Text(f"classes  {', '.join(found.classes) or 'none'}"))
    out.print(Text(f"shards   {led} of {len(found.shards)} are led here"))
    if found.shards:
        print_table(_table(found))
        for shard in found.shards:
            if shard.fault:
                out.print(Text(f"{shard.shard}  {shard.fault}", "red"))
    out.print()


def _table(found: "ObjectsStatus") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("shard", "leader", "epoch", "committed", "applied", "in memory"):
        is_text = column in {"shard", "leader"}
        table.add_column(column, justify="left" if is_text else "right")
    for shard in found.shards:
        table.add_row(
            Text(shard.shard),
            Text(shard.leader, "green" if shard.is_led_here else "")
            if shard.leader
            else Text("not known", "yellow"),
            f"{shard.epoch:,}",
            f"{shard.committed:,}",
            f"{shard.applied:,}",
            f"{shard.instances:,}",
        )
    return table
