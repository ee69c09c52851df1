"""
Asking nodes on behalf of processes, and what to make of the answers.

What is not certain did not fail: only an adapter that says `FailedError`, or that
could not even connect, has an operation count as one that never happened.
"""

import asyncio
from typing import NamedTuple

from jepsen_like.history.operation import Key, Outcome, Value
from jepsen_like.runner.run import Bounds, Notebook, described
from jepsen_like.system import (
    Client,
    FailedError,
    IndeterminateError,
    ProcessEndedError,
    System,
)


class Question(NamedTuple):
    """What a node is asked."""

    node: str
    f: str
    key: Key
    argument: Value


class Reply(NamedTuple):
    """
    How an operation ended for its process.

    `ends_process` tells whether that can do no other, be it that nobody knows what
    became of this one, be it that the store has lost what it has seen.
    """

    outcome: Outcome
    value: Value = None
    version: str = ""
    error: str = ""
    ends_process: bool = False


class Clients:
    """
    The connections of all processes: at most one for each process and node.

    A process that has ended is retired, and its connections closed; so there are never
    more than workers times nodes.
    """

    def __init__(self, system: System, notebook: Notebook, bounds: Bounds) -> None:
        self._system = system
        self._notebook = notebook
        self._bounds = bounds
        self._open: dict[tuple[int, str], Client] = {}

    async def ask(self, process: int, question: Question) -> Reply:
        """Return what *process* gets to know when it asks *question*."""
        is_sent = False
        bound_ms = self._bounds.operation
        bound = asyncio.timeout(bound_ms / 1000)
        try:
            async with bound:
                client = await self._client(process, question.node)
                is_sent = True
                answer = await client.invoke(
                    question.f, question.key, question.argument
                )
        except FailedError as error:
            ended = isinstance(error, ProcessEndedError)
            told = str(error) or "failed"
            return Reply(Outcome.FAIL, error=told, ends_process=ended)
        except IndeterminateError as error:
            told = str(error) or "indeterminate"
        except TimeoutError as error:
            told = (
                f"no answer in {bound_ms} ms" if bound.expired() else described(error)
            )
        except Exception as error:  # noqa: BLE001 - whatever an adapter raises, the history tells it
            told = described(error)
        else:
            return Reply(Outcome.OK, answer.value, answer.version)
        if is_sent:
            return Reply(Outcome.INFO, error=told, ends_process=True)
        return Reply(Outcome.FAIL, error=f"not connected: {told}")

    async def retire(self, process: int) -> None:
        """Close all connections of *process*."""
        gone = [place for place in self._open if place[0] == process]
        for place in gone:
            await self._close(place)

    async def close(self) -> None:
        """Close all connections."""
        for place in list(self._open):
            await self._close(place)

    async def _client(self, process: int, node: str) -> Client:
        place = (process, node)
        if place not in self._open:
            self._open[place] = await self._system.connect(process, node)
        return self._open[place]

    async def _close(self, place: tuple[int, str]) -> None:
        client = self._open.pop(place)
        try:
            async with asyncio.timeout(self._bounds.close / 1000):
                await client.close()
        except Exception as error:  # noqa: BLE001 - a connection is not what is judged; it is noted
            process, node = place
            self._notebook.note(
                f"closing the connection of process {process} to {node}:"
                f" {described(error)}"
            )
