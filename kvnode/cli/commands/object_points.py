"""`kvnode object bookmark` and `restore`: an object as it was before."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kvnode.cli.arguments import duration_option, time_option
from kvnode.cli.invocation import Call, client_command
from kvnode.cli.output import note, print_json, print_line

if TYPE_CHECKING:
    from kvnode.client import Restored

_ADVICE: Final = (
    "It is not known whether it was restored: look at the object. To restore it to the"
    " same bookmark again takes back what was written since."
)

ClassName = Annotated[str, typer.Argument(metavar="CLASS", help="Class of the object.")]
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Of the object, or its id with --id.")
]
ById = Annotated[
    bool, typer.Option("--id", metavar="", help="NAME is an id: 64 hex digits.")
]


def register(group: typer.Typer) -> None:
    """Add the commands to *group*."""
    client_command(group, "bookmark", keys=False)(bookmark)
    client_command(group, "restore", keys=False, writes=True, advice=_ADVICE)(restore)


async def bookmark(
    call: Call,
    class_name: ClassName,
    name: Name,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="TIME", help="Of then, such as 2024-02-29T12:00:00+01:00."
        ),
    ] = None,
    ago: Annotated[
        str | None,
        typer.Option("--ago", metavar="DURATION", help="Of so long ago, such as 15m."),
    ] = None,
    by_id: ById = False,
) -> None:
    """
    Print the name of a point in time of an object: of now, or of an earlier one.

    `kvnode object restore` takes it.

    Examples:
      kvnode object bookmark Counter cart-42

      kvnode object bookmark Counter cart-42 --ago 15m
    """
    when = _time(at, ago)
    handle = call.client.object(class_name, **which(name, by_id=by_id))
    if when is None:
        found = await handle.bookmark()
    else:
        found = await handle.bookmark_at(when)
    if call.json:
        print_json({"bookmark": found})
    else:
        print_line(found)


async def restore(
    call: Call,
    class_name: ClassName,
    name: Name,
    bookmark: Annotated[
        str, typer.Argument(metavar="BOOKMARK", help="What it is to be again.")
    ],
    by_id: ById = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", metavar="", help="Do not ask first.")
    ] = False,
) -> None:
    """
    Make an object what it was at BOOKMARK; print the bookmark that undoes it.

    Its keys, its SQL database and its alarm go back; an alarm that was due meanwhile
    rings. Calls of it that are under way fail, and are told whether they may have
    happened.

    Example:
      kvnode object restore Counter cart-42 0000000000000007-0-1f0c44f3a2b9d871
    """
    if not yes:
        question = (
            f"Make {class_name} {name} what it was, and take back what was written"
            " since?"
        )
        typer.confirm(question, abort=True, err=True)
    handle = call.client.object(class_name, **which(name, by_id=by_id))
    restored = await handle.restore(bookmark)
    if call.json:
        print_json(
            {
                "undo": restored.undo,
                "keys": restored.keys,
                "pages": restored.pages,
                "alarm": restored.alarm,
                "more": restored.is_more,
            }
        )
        return
    print_line(restored.undo)
    note(
        f"{class_name} {name} is restored: {_changed(restored)}; the bookmark undoes it"
    )


def which(name: str, *, by_id: bool) -> dict[str, str]:
    """Return how `Client.object` is told which object is meant."""
    return {"id": name} if by_id else {"name": name}


def _time(at: str | None, ago: str | None) -> datetime | None:
    """Return which time is meant, None for now."""
    if at is not None and ago is not None:
        msg = "give --at or --ago, not both"
        raise typer.BadParameter(msg, param_hint="--at")
    if ago is not None:
        return datetime.now(UTC) - timedelta(seconds=duration_option(ago, "--ago"))
    return None if at is None else time_option(at, "--at")


def _changed(restored: "Restored") -> str:
    """Return in words what was changed."""
    counts = (
        (restored.keys, "key", "keys"),
        (restored.pages, "page of SQL", "pages of SQL"),
    )
    words = " and ".join(
        f"{count:,} {one if count == 1 else several}"
        for count, one, several in counts
        if count
    )
    if restored.is_more:
        words = f"more than {words}"
    if restored.alarm:
        words = f"{words}, and the alarm" if words else "the alarm"
    return f"{words} changed" if words else "it was so already"
