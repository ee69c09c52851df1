"""Running a script on a side, and saying where two sides differ."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from tests.differential.script import Calls, Event, Rung, Side, normal

RUNG_SECONDS: Final = 20.0


async def traces(side: Side, name: str, events: Sequence[Event]) -> list[Any]:
    """Do *events* with the object *name*; return the traces of those that are calls."""
    found = []
    for event in events:
        match event:
            case Calls(scripts):
                found.append(normal(await side.at_once(name, scripts)))
            case Rung(times):
                await _rung(side, name, times)
    return found


async def _rung(side: Side, name: str, times: int) -> None:
    async with asyncio.timeout(RUNG_SECONDS):
        while await side.at_once(name, [[["alarms"]]]) != [[times]]:  # noqa: ASYNC110 -- another process
            await asyncio.sleep(0.02)


def differences(
    events: Sequence[Event], theirs: Sequence[Any], ours: Sequence[Any]
) -> list[str]:
    """Return the steps of which two sides say different things, and what they say."""
    told = []
    calls = [event for event in events if isinstance(event, Calls)]
    for event, here, there in zip(calls, ours, theirs, strict=True):
        for script, our_trace, their_trace in zip(
            event.scripts, here, there, strict=True
        ):
            told += _in_call(script, their_trace, our_trace)
    return told


def _in_call(script: list[Any], theirs: Any, ours: Any) -> list[str]:  # noqa: ANN401 -- a trace, or `raised`
    if isinstance(theirs, str) or isinstance(ours, str):
        same = theirs == ours
        return [] if same else [f"the call {script}: theirs {theirs}, ours {ours}"]
    return [
        f"{step}: theirs {there}, ours {here}"
        for step, there, here in zip(script, theirs, ours, strict=True)
        if there != here
    ]
