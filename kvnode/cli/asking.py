"""Asking several nodes at once: what each said, or why it said nothing."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from kvnode.cli.invocation import Call
from kvnode.cli.output import complain, plain_json
from kvnode.errors import KvError, UnavailableError
from kvnode.object_json import Json

if TYPE_CHECKING:
    from kvnode.client import Client

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Answered(Generic[Answer]):
    """What one node said, or why it said nothing."""

    endpoint: str
    answer: Answer | None
    error: str = ""


async def ask_all(
    call: Call,
    endpoints: Sequence[str],
    ask: Callable[["Client"], Coroutine[Any, Any, Answer]],
    *,
    raises: bool = True,
) -> list[Answered[Answer]]:
    """
    Return what each of *endpoints* answers, in their order.

    Raises:
        KvError: There is one alone, and it does not answer; not unless *raises*.
    """

    async def ask_one(endpoint: str) -> Answered[Answer]:
        try:
            async with call.client_of(endpoint) as client:
                return Answered(endpoint, await ask(client))
        except KvError as error:
            if raises and len(endpoints) == 1:
                raise
            return Answered(endpoint, None, str(error))

    return list(await asyncio.gather(*map(ask_one, endpoints)))


def end(answers: Sequence[Answered[Any]]) -> None:
    """Raise UnavailableError if a node said nothing."""
    failed = [each for each in answers if each.answer is None]
    for each in failed[:-1]:
        complain(f"{each.endpoint}: {each.error}")
    if failed:
        msg = f"{failed[-1].endpoint}: {failed[-1].error}"
        raise UnavailableError(msg)


def answer_json(each: Answered[Any]) -> dict[str, Json]:
    """Return what a node said, which is a value of plain ones, as JSON."""
    if each.answer is None:
        return {"endpoint": each.endpoint, "reachable": False, "error": each.error}
    document = _with_hex_replicas(plain_json(each.answer))
    assert isinstance(document, dict), "a dataclass gives a mapping"
    return {"endpoint": each.endpoint, "reachable": True, **document}


def _with_hex_replicas(document: Json) -> Json:
    """Write replica ids in hex: 64 bits are too many for JSON numbers."""
    if isinstance(document, dict):
        return {
            name: f"{value:016x}"
            if name == "replica" and isinstance(value, int)
            else _with_hex_replicas(value)
            for name, value in document.items()
        }
    if isinstance(document, list):
        return [_with_hex_replicas(each) for each in document]
    return document
