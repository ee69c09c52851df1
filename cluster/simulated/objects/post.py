"""
What nodes that host objects send each other: messages that may be lost, and questions.

Messages between two nodes come in the order in which they were sent, as on the streams
that carry them; where a link is disturbed they may be lost, come twice, or overtake
each other, which no stream would do and all who take them in must bear.

A question to a node that is down is refused at once, as a dialed port is where nobody
listens; one to a node that is frozen, or behind a cut, is not answered at all.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol, TypeVar

from cluster.simulated.line import REORDERING_SECONDS
from cluster.simulated.loop import VirtualLoop
from cluster.simulated.network import REFUSAL, Network
from cluster.simulated.owner import Owner
from kvnode.errors import (
    ConnectionLostError,
    IndeterminateError,
    KvError,
    UnavailableError,
)

T = TypeVar("T")

MESSAGE_BYTES: Final = 400
"""About what one takes, for links that are narrow."""


class Receiver(Protocol):
    """A process that may run, or not."""

    @property
    def name(self) -> str:
        """Return the name of its host."""

    @property
    def owner(self) -> Owner | None:
        """Return what runs of it just now, None if nothing does."""


class Post:
    """The way of messages between nodes."""

    def __init__(self, loop: VirtualLoop, network: Network) -> None:
        """Send over *network*."""
        self._loop = loop
        self._network = network
        self._latest: dict[str, float] = {}  # arrivals, by the names of lines
        self._asked: dict[Owner, dict[asyncio.Future[Any], Callable[[], None]]] = {}

    def ended(self, owner: Owner) -> None:
        """Let those who wait for *owner*, which was killed, lose their connections."""
        for lose in self._asked.pop(owner, {}).values():
            lose()

    def send(self, sender: str, receiver: Receiver, take: Callable[[], None]) -> None:
        """Let *receiver* take in a message some time, if it runs then."""

        def arrived() -> None:
            owner = receiver.owner
            if owner is not None:
                self._loop.call_soon(take, context=owner.context)

        self._fly(sender, receiver.name, arrived)

    async def ask(
        self,
        sender: str,
        receiver: Receiver,
        answer: Callable[[], Coroutine[Any, Any, T]],
        seconds_max: float,
        *,
        is_connected: bool = False,
    ) -> T:
        """
        Return what *receiver* answers.

        Args:
            sender: The host of who asks.
            receiver: Whom.
            answer: Makes the answer, as a task of the receiver's.
            seconds_max: After so long it is not waited for.
            is_connected: The question goes over a connection: it comes once at most.

        Raises:
            UnavailableError: The receiver is down; it has not heard the question.
            IndeterminateError: There is no answer.
            KvError: The answer is that.
        """
        reply: asyncio.Future[T] = self._loop.create_future()
        is_heard = False

        def back(tell: Callable[[], None]) -> None:
            self._fly(receiver.name, sender, tell)

        async def work() -> None:
            try:
                found = await answer()
            except KvError as error:
                failure = error
                back(lambda: _fail(reply, failure))
            else:
                back(lambda: _tell(reply, found))

        def arrived() -> None:
            nonlocal is_heard
            if is_heard and is_connected:
                return
            is_heard = True
            owner = receiver.owner
            if owner is None:
                refused = UnavailableError(f"{receiver.name}: {REFUSAL}")
                back(lambda: _fail(reply, refused))
                return
            lost = ConnectionLostError(f"{receiver.name} has ended")
            asked = self._asked.setdefault(owner, {})
            asked[reply] = lambda: back(lambda: _fail(reply, lost))
            reply.add_done_callback(lambda _: asked.pop(reply, None))
            self._loop.spawn(owner, work(), f"answers {sender}")

        self._fly(sender, receiver.name, arrived)
        try:
            async with asyncio.timeout(seconds_max):
                return await reply
        except TimeoutError as error:
            msg = f"{receiver.name} has not answered in {seconds_max:.3f} s"
            raise IndeterminateError(msg) from error

    def _fly(self, sender: str, receiver: str, arrive: Callable[[], None]) -> None:
        line = self._network.line(sender, receiver)

        def arrived() -> None:
            if not line.cut:
                arrive()

        if line.loses_packet():
            return
        for _ in range(2 if line.duplicates() else 1):
            seconds = line.flight_seconds(MESSAGE_BYTES, self._loop.now)
            if seconds is None:
                continue
            at = self._loop.now + seconds
            if line.disorders():
                at += REORDERING_SECONDS
            else:
                at = self._latest[line.name] = max(at, self._latest.get(line.name, 0.0))
            self._loop.call_at(at, arrived, context=self._loop.world.context)


def _tell(reply: "asyncio.Future[T]", found: T) -> None:
    if not reply.done():
        reply.set_result(found)


def _fail(reply: "asyncio.Future[T]", error: KvError) -> None:
    if not reply.done():
        reply.set_exception(error)
