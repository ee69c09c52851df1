"""
Talking with several voters at once, until something has come of it.

What is said is decided by a value of the core, a `Topic`: which request each voter is
to be sent now, and what an answer makes of it.  A voter that does not answer, or whose
answer changed nothing, is asked again, later and later; one to which something else is
to be said by now is not waited for.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, Self, TypeVar

from kvnode.authority.voter_port import Uniform, VoterTransport
from kvnode.core.objects.voters.messages import (
    Inquire,
    Install,
    Seal,
    Standing,
    VoterAnswer,
    VoterRequest,
)
from kvnode.errors import KvError, PeerProtocolError

logger = logging.getLogger(__name__)

ASK_SECONDS_MAX: Final = 0.5
"""For one answer: a round trip around the Earth takes 0.3 s, and a sync little more."""

TRANSFER_SECONDS_MAX: Final = 2.0
"""For one with all that a voter holds: half a megabyte, of a thousand shards."""

PAUSE_SECONDS: Final = 0.02
PAUSE_SECONDS_MAX: Final = 0.5
"""Before a voter is asked the same again: doubled each time, and drawn from half on."""


_INQUIRE: Final = Inquire()


class Topic(Protocol):
    """What a conversation is about; a value."""

    @property
    def requests(self) -> Mapping[str, VoterRequest]:
        """Return what each voter is to be sent now; not empty before the end."""

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more is to be sent."""

    def received(self, name: str, answer: VoterAnswer, /) -> Self:
        """Return what an answer makes of it."""


TopicT = TypeVar("TopicT", bound=Topic)


@dataclass(frozen=True, slots=True)
class _Ask:
    """A request on its way to one voter, for the *tries*-th time."""

    request: VoterRequest
    tries: int
    task: "asyncio.Task[VoterAnswer | KvError]"


@dataclass(slots=True)
class Conversation(Generic[TopicT]):
    """
    One conversation.

    Attributes:
        topic: How far it has come.
        troubles: Why voters did not answer the last time, by name.
    """

    topic: TopicT
    transport: VoterTransport
    uniform: Uniform
    troubles: dict[str, str] = field(default_factory=dict)
    _asks: dict[str, _Ask] = field(default_factory=dict)

    async def run(self, deadline: float) -> TopicT:
        """Talk until it is over or the loop's clock shows *deadline*; return it."""
        loop = asyncio.get_running_loop()
        try:
            while not self.topic.is_over and loop.time() < deadline:
                self._ask_all(deadline)
                await asyncio.wait(
                    [ask.task for ask in self._asks.values()],
                    timeout=deadline - loop.time(),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                self._hear_all(deadline)
        finally:
            for ask in self._asks.values():
                ask.task.cancel()
        return self.topic

    def _ask_all(self, deadline: float) -> None:
        """Let each voter be on the way to be asked what it is to be asked now."""
        requests = self.topic.requests
        assert requests, "what is not over has something to ask"
        for name, ask in list(self._asks.items()):
            if requests.get(name) != ask.request:
                self._asks.pop(name).task.cancel()
        for name, request in requests.items():
            if name not in self._asks:
                self._ask(name, request, 0, deadline)

    def _hear_all(self, deadline: float) -> None:
        for name, ask in list(self._asks.items()):
            if not ask.task.done():
                continue
            answer = self._asks.pop(name).task.result()
            if isinstance(answer, KvError):
                self.troubles[name] = str(answer)
            else:
                self.troubles.pop(name, None)
                self.topic = self.topic.received(name, answer)
            if self.topic.is_over:
                return
            if self.topic.requests.get(name) == ask.request:
                self._ask(name, ask.request, ask.tries + 1, deadline)

    def _ask(
        self, name: str, request: VoterRequest, tries: int, deadline: float
    ) -> None:
        asking = _ask_later(self, name, request, tries, deadline)
        task = asyncio.create_task(asking, name=f"asking voter {name}")
        self._asks[name] = _Ask(request, tries, task)


async def _ask_later(
    conversation: Conversation[TopicT],
    name: str,
    request: VoterRequest,
    tries: int,
    deadline: float,
) -> VoterAnswer | KvError:
    """Return what voter *name* answers, or why it does not."""
    if tries:
        await asyncio.sleep(pause_seconds(tries, conversation.uniform))
    left = max(0.0, deadline - asyncio.get_running_loop().time())
    is_transfer = isinstance(request, Seal | Install)
    longest = TRANSFER_SECONDS_MAX if is_transfer else ASK_SECONDS_MAX
    try:
        return await conversation.transport.ask(name, request, min(left, longest))
    except KvError as error:
        logger.debug("voter %s: %s", name, error)
        return error


def pause_seconds(tries: int, uniform: Uniform) -> float:
    """Return how long to wait after the *tries*-th vain try, from 1 on."""
    longest = min(PAUSE_SECONDS_MAX, PAUSE_SECONDS * 2 ** min(tries, 16))
    return uniform(longest / 2, longest)


async def standings(
    names: Iterable[str], transport: VoterTransport
) -> dict[str, Standing | KvError]:
    """Ask each of *names* once who it is; return who does not say so, and why."""
    asked = sorted(set(names))
    answers = await asyncio.gather(*(standing(name, transport) for name in asked))
    return dict(zip(asked, answers, strict=True))


async def standing(
    name: str, transport: VoterTransport, request: VoterRequest = _INQUIRE
) -> Standing | KvError:
    """
    Ask *name* once who it is; return why it does not say so, if it does not.

    Args:
        name: Of its node.
        transport: The way there.
        request: One that is answered by a standing.
    """
    try:
        answer = await transport.ask(name, request, ASK_SECONDS_MAX)
    except KvError as error:
        return error
    if not isinstance(answer, Standing):
        return PeerProtocolError(f"voter {name} does not say who it is")
    return answer
