"""
One voter at work: requests against a disk, and what is due of its own accord.

Requests wait and become turns; a turn is made durable as a whole, with one sync, and
only then is anything of it answered.

Beside that the voter looks at the others from time to time: to found with them, to
finish a succession that somebody has begun, or to learn that it was replaced (see
kvnode.core.objects.voters.duty).  One that votes looks seldom, and at once when it
hears of a later view than its own.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple, assert_never

from kvnode.authority.conversation import Conversation, pause_seconds, standings
from kvnode.authority.voter_port import Uniform, VoterStore, VoterTransport
from kvnode.core.objects.voters.duty import (
    Duty,
    Found,
    Pledge,
    Rest,
    Stand,
    Succeed,
    duty_of,
    explained,
)
from kvnode.core.objects.voters.electorate import View
from kvnode.core.objects.voters.memory import VoterMemory, answered
from kvnode.core.objects.voters.messages import (
    Install,
    Seal,
    Standing,
    Vote,
    VoterAnswer,
    VoterRequest,
)
from kvnode.core.objects.voters.succession import Succession
from kvnode.errors import (
    IndeterminateError,
    KvError,
    OverloadedError,
    StoreFullError,
    UnavailableError,
)

logger = logging.getLogger(__name__)

WAITING_MAX: Final = 1000
"""Requests: every shard of a large region at once, several times over."""

REST_SECONDS: Final = 10.0
"""Between looks of one that votes: to learn of having been replaced is not urgent."""

SUCCEED_SECONDS_MAX: Final = 5.0
"""Then it looks again: somebody else may have finished."""


class _Waiting(NamedTuple):
    """Who waits for a turn, and what it makes of the memory."""

    step: Callable[[VoterMemory], tuple[VoterMemory, VoterAnswer]]
    answered: "asyncio.Future[VoterAnswer]"


class VoterHost:
    """
    The voter of one node.

    Attributes:
        duty: What it found to be due the last time that it looked at the others.
    """

    def __init__(
        self,
        name: str,
        names: tuple[str, ...],
        store: VoterStore,
        transport: VoterTransport,
        *,
        uniform: Uniform,
    ) -> None:
        """
        Go on with what *store* has; votes once `run` runs.

        Args:
            name: Of this node.
            names: Of all voters, as this node is configured; *name* among them.
            store: This voter's memory.
            transport: The way to the others; never used for this one.
            uniform: Draws how long to wait.
        """
        assert name in names, "who is no voter hosts none"
        self._name = name
        self._configured = tuple(sorted(set(names)))
        self._store = store
        self._others = transport
        self._uniform = uniform
        self._waiting: list[_Waiting] = []
        self._arrived = asyncio.Event()
        self._look_now = asyncio.Event()
        self._is_running = False
        self.duty: Duty = Stand("it has not looked at the others yet")

    @property
    def standing(self) -> Standing:
        """Return what the voter is, durably."""
        return self._store.memory.standing(self._configured)

    async def answer(self, request: VoterRequest) -> VoterAnswer:
        """
        Answer, once what the answer says is durable.

        Raises:
            UnavailableError: The voter does not run; nothing has happened.
            OverloadedError: Too many requests wait, or there are too many registers.
            StoreFullError: The disk is full; nothing has happened.
            IndeterminateError: The voter has stopped meanwhile.
            PeerProtocolError: No correct peer asks for this.
        """
        own = self._store.memory.electorate
        view = _view_of(request)
        if own is not None and view is not None and own.view.is_before(view):
            self._look_now.set()
        return await self._step(
            lambda memory: answered(memory, request, self._configured)
        )

    async def ask(
        self, voter: str, request: VoterRequest, deadline_seconds: float
    ) -> VoterAnswer:
        """Be the way to all voters, this one among them; see VoterTransport."""
        if voter != self._name:
            return await self._others.ask(voter, request, deadline_seconds)
        try:
            async with asyncio.timeout(deadline_seconds):
                return await self.answer(request)
        except TimeoutError as error:
            msg = "this node's own voter has not answered in time"
            raise IndeterminateError(msg) from error

    async def run(self) -> None:
        """
        Vote until stopped.

        Raises:
            OSError: The disk failed; nobody knows what is on it.
        """
        self._is_running = True
        looking = asyncio.create_task(self._look_forever(), name="voter looks")
        looking.add_done_callback(lambda _: self._arrived.set())
        try:
            while self._is_running:
                await self._arrived.wait()
                self._arrived.clear()
                if looking.done():
                    looking.result()  # it never ends but by an error
                await self._turn()
        finally:
            self._is_running = False
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
            waiting, self._waiting = self._waiting, []
            _tell(waiting, UnavailableError("this voter was stopped before that"))

    def stop(self) -> None:
        """End `run` after the turn under way."""
        self._is_running = False
        self._arrived.set()

    def close(self) -> None:
        """Release the files; `run` has ended."""
        self._store.close()

    # -- turns -----------------------------------------------------------------

    async def _step(
        self, step: Callable[[VoterMemory], tuple[VoterMemory, VoterAnswer]]
    ) -> VoterAnswer:
        if not self._is_running:
            msg = f"the voter of {self._name} does not run"
            raise UnavailableError(msg)
        if len(self._waiting) >= WAITING_MAX:
            msg = f"{WAITING_MAX} requests wait for this voter, which is as many as may"
            raise OverloadedError(msg)
        future: asyncio.Future[VoterAnswer]
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(step, future))
        self._arrived.set()
        return await future

    async def _turn(self) -> None:
        """Take in what waits, make it durable, and answer."""
        waiting, self._waiting = self._waiting, []
        before = memory = self._store.memory
        answers: list[VoterAnswer | KvError] = []
        for each in waiting:
            try:
                memory, said = each.step(memory)
            except KvError as error:
                answers.append(error)
            else:
                answers.append(said)
        if memory is not before:
            try:
                await self._store.persist(memory)
            except StoreFullError as error:
                _tell(waiting, error)
                return
            except BaseException:
                _tell(waiting, IndeterminateError("this voter's disk has failed"))
                raise
        for each, answer in zip(waiting, answers, strict=True):
            _tell([each], answer)

    # -- what is due of its own accord -------------------------------------------

    async def _look_forever(self) -> None:
        vain = 0
        while True:
            self._look_now.clear()
            duty = await self._look()
            if duty != self.duty:
                logger.info("voter of %s: %s", self._name, explained(duty))
            self.duty = duty
            try:
                has_moved = await self._perform(duty)
            except KvError as error:
                logger.warning("voter of %s: %s", self._name, error)
                has_moved = False
            if has_moved:
                vain = 0
                continue
            vain += 1
            seconds = pause_seconds(vain, self._uniform)
            if isinstance(duty, Rest):
                seconds = self._uniform(REST_SECONDS / 2, REST_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._look_now.wait()

    async def _look(self) -> Duty:
        own = self.standing
        names = {*self._configured}
        for electorate in (own.electorate, own.successor):
            names.update(electorate.names if electorate is not None else ())
        found = await standings(names - {self._name}, self._others)
        heard = {n: each for n, each in found.items() if isinstance(each, Standing)}
        own = self.standing  # it may have changed meanwhile
        return duty_of(own, {**heard, self._name: own})

    async def _perform(self, duty: Duty) -> bool:
        """Do what is due; tell whether anything has come of it here."""
        before = self.standing
        match duty:
            case Rest() | Stand():
                pass
            case Pledge(electorate):
                await self._change(before, lambda m: m.pledged(electorate))
            case Found(electorate):
                await self._change(before, lambda m: m.founded(electorate))
            case Succeed(present, after):
                deadline = asyncio.get_running_loop().time() + SUCCEED_SECONDS_MAX
                begun = Succession.begin(present, after)
                talk = Conversation(begun, self, self._uniform)
                contents = (await talk.run(deadline)).contents
                if contents is not None:  # it may be over without this voter
                    await self.answer(Install(after, contents))
            case _:
                assert_never(duty)
        return self.standing != before

    async def _change(
        self, looked_at: Standing, change: Callable[[VoterMemory], VoterMemory]
    ) -> None:
        """Change the memory, unless the voter is not what it was when it looked."""

        def step(memory: VoterMemory) -> tuple[VoterMemory, VoterAnswer]:
            if memory.standing(self._configured) == looked_at:
                memory = change(memory)
            return memory, memory.standing(self._configured)

        await self._step(step)


def _view_of(request: VoterRequest) -> View | None:
    """Return the view that who asks takes to be in force or chosen."""
    match request:
        case Vote(view):
            return view
        case Seal(successor):
            return successor.view
        case _:
            return None


def _tell(waiting: list[_Waiting], answer: VoterAnswer | KvError) -> None:
    """Tell all who wait, unless they have given up."""
    for each in waiting:
        if each.answered.done():
            continue
        if isinstance(answer, KvError):
            each.answered.set_exception(answer)
        else:
            each.answered.set_result(answer)
