"""`kvnode object alarm`: when an object's alarm rings, and having it ring otherwise."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kvnode.cli.arguments import duration_option, time_option
from kvnode.cli.commands.object_points import ById, ClassName, Name, which
from kvnode.cli.commands.object_storage import LocationHint
from kvnode.cli.failures import reported
from kvnode.cli.invocation import Call, client_command
from kvnode.cli.output import note, print_json, print_line, span_text

if TYPE_CHECKING:
    from kvnode.client import ObjectHandle

_ADVICE: Final = (
    "It is not known whether the alarm was changed: look with `kvnode object alarm"
    " CLASS NAME` before you set it again, since it may have rung meanwhile."
)
_OPTIONS: Final = ("--at", "--in", "--now", "--off")


def register(group: typer.Typer) -> None:
    """Add the command to *group*."""
    client_command(group, "alarm", keys=False, writes=True, advice=_ADVICE)(alarm)


async def alarm(
    call: Call,
    class_name: ClassName,
    name: Name,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIME",
            help="Let it ring then, such as 2024-02-29T12:00:00+01:00.",
        ),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(
            "--in",
            metavar="DURATION",
            help="Let it ring after so long, such as 15m, by this machine's clock.",
        ),
    ] = None,
    now: Annotated[
        bool, typer.Option("--now", metavar="", help="Let it ring at once.")
    ] = False,
    off: Annotated[
        bool, typer.Option("--off", metavar="", help="Let it not ring.")
    ] = False,
    by_id: ById = False,
    location_hint: LocationHint = "",
) -> None:
    """
    Print when the alarm of an object rings; or set it, or delete it.

    An object has one alarm: what is set here takes the place of what its own
    code has set, and the other way round.  While it rings none is set; one that
    has failed is set to when it is tried again.

    Examples:
      kvnode object alarm Cart cart-42

      kvnode object alarm Cart cart-42 --in 15m

      kvnode object alarm Cart cart-42 --off
    """
    given = (at is not None, after is not None, now, off)
    if sum(given) > 1:
        both = [
            option for option, is_given in zip(_OPTIONS, given, strict=True) if is_given
        ]
        msg = f"give one of {', '.join(both)}"
        raise typer.BadParameter(msg, param_hint=both[0])
    when = _time(at, after, now=now)
    handle = call.client.object(
        class_name, **which(name, by_id=by_id), location_hint=location_hint
    )
    rings_at = await (handle.set_alarm(when) if any(given) else _looked_at(handle))
    if call.json:
        seconds = None if rings_at is None else rings_at.timestamp()
        print_json({"rings_at": seconds})
    elif rings_at is None:
        note(f"no alarm of {class_name} {name} is set")
    else:
        print_line(f"{_time_text(rings_at)}, {'now' if now else _span_text(rings_at)}")


async def _looked_at(handle: "ObjectHandle") -> datetime | None:
    with reported(writes=False):  # whatever becomes of it, nothing was changed
        return await handle.alarm()


def _time(
    at: str | None, after: str | None, *, now: bool
) -> datetime | timedelta | int | None:
    """Return what the options say, None for none."""
    if at is not None:
        return time_option(at, "--at")
    if after is not None:
        return timedelta(seconds=duration_option(after, "--in"))
    return 0 if now else None  # past for every node, whatever its clock shows


def _time_text(when: datetime) -> str:
    is_whole = not when.microsecond
    text = when.isoformat(timespec="seconds" if is_whole else "milliseconds")
    return text.replace("+00:00", "Z")


def _span_text(when: datetime) -> str:
    """Return in how long that is."""
    seconds = (when - datetime.now(UTC)).total_seconds()
    return f"in {span_text(seconds)}" if seconds > 0 else "as soon as it can"
