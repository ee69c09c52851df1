"""
Questions to voters on one stream, and what became of them.

Who dials asks, and who was dialed answers on the same stream.  A stream that ends takes
the answers with it: then nobody can say what has happened.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from kvnode._pb import shards_pb2 as pb
from kvnode.core.objects.voters.message_codec import (
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)
from kvnode.core.objects.voters.messages import VoterAnswer, VoterRequest
from kvnode.errors import (
    IndeterminateError,
    KvError,
    OverloadedError,
    PeerProtocolError,
    UnavailableError,
)

QUESTIONS_MAX: Final = 1000
"""Under way on one stream: as many as may wait for a voter (kvnode.authority)."""

Answer = Callable[[VoterRequest], Awaitable[VoterAnswer]]


class VoterQuestions:
    """What was asked on a stream that this node has dialed."""

    def __init__(self, voter: str, send: Callable[[bytes], None]) -> None:
        """Begin; frames go out by *send*, to the node named *voter*."""
        self._voter = voter
        self._send = send
        self._number = 0
        self._asked: dict[int, asyncio.Future[VoterAnswer]] = {}

    async def ask(self, request: VoterRequest, deadline_seconds: float) -> VoterAnswer:
        """
        Return the answer; see kvnode.authority.voter_port.VoterTransport.

        Raises:
            UnavailableError: Nothing was sent, or nothing has happened.
            IndeterminateError: There is no answer in time.
            PeerProtocolError: The answer is none.
        """
        if len(self._asked) >= QUESTIONS_MAX:
            msg = f"{QUESTIONS_MAX} questions to {self._voter} have no answer yet"
            raise OverloadedError(msg)
        self._number += 1
        number = self._number
        future: asyncio.Future[VoterAnswer]
        future = asyncio.get_running_loop().create_future()
        self._asked[number] = future
        question = pb.VoterQuestion(number=number, request=encode_request(request))
        self._send(pb.ShardFrame(questions=[question]).SerializeToString())
        try:
            async with asyncio.timeout(deadline_seconds):
                return await future
        except TimeoutError as error:
            msg = f"voter {self._voter} has not answered in time"
            raise IndeterminateError(msg) from error
        finally:
            del self._asked[number]

    def heard(self, reply: pb.VoterReply) -> None:
        """Take in a reply; nobody may wait for it any more."""
        future = self._asked.get(reply.number)
        if future is None or future.done():
            return
        try:
            future.set_result(self._answer_in(reply))
        except KvError as error:
            future.set_exception(error)

    def end(self) -> None:
        """Tell those who wait that the stream has ended."""
        for future in self._asked.values():
            if not future.done():
                msg = f"the stream to voter {self._voter} has ended"
                future.set_exception(IndeterminateError(msg))

    def _answer_in(self, reply: pb.VoterReply) -> VoterAnswer:
        match reply.WhichOneof("kind"):
            case "answer":
                return decode_answer(reply.answer)
            case "unavailable":
                raise UnavailableError(reply.unavailable)
            case "indeterminate":
                raise IndeterminateError(reply.indeterminate)
            case _:
                msg = f"voter {self._voter} has answered nothing"
                raise PeerProtocolError(msg)


async def reply_to(question: pb.VoterQuestion, answer: Answer) -> pb.VoterReply:
    """Return what *answer* makes of a question, whatever that is."""
    try:
        answered = await answer(decode_request(question.request))
    except UnavailableError as error:
        return pb.VoterReply(number=question.number, unavailable=str(error))
    except KvError as error:
        return pb.VoterReply(number=question.number, indeterminate=str(error))
    return pb.VoterReply(number=question.number, answer=encode_answer(answered))
