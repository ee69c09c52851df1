"""Questions to voters over real streams: answers, each kind of error, and silence."""

import asyncio

import pytest

from kvnode._pb import shards_pb2 as pb
from kvnode.core.objects.voters.message_codec import encode_answer, encode_request
from kvnode.core.objects.voters.messages import (
    Inquire,
    Standing,
    VoterAnswer,
    VoterRequest,
)
from kvnode.errors import (
    IndeterminateError,
    OverloadedError,
    PeerProtocolError,
    RejectedError,
    StoreFullError,
    UnavailableError,
)
from kvnode.transport.shards import mesh as mesh_module
from kvnode.transport.shards import voter_questions
from kvnode.transport.shards.voter_questions import VoterQuestions, reply_to
from kvnode.types import ReplicaId
from tests.runtime.nodes import until
from tests.transport.shards.mesh_nodes import (
    INQUIRE,
    MeshNode,
    MeshSite,
    standing,
)

Pair = tuple[MeshNode, MeshNode]


@pytest.fixture
async def pair(site: MeshSite) -> Pair:
    """Return two nodes that have met; the first asks."""
    return await site.both()


async def test_voter_answers_what_it_is_asked(pair: Pair) -> None:
    """By name, whichever way the question goes."""
    a, b = pair
    assert await a.ask(b) == standing(b.own.replica)
    assert await b.ask(a) == standing(a.own.replica)
    assert a.asked == b.asked == [INQUIRE]


async def test_questions_are_answered_side_by_side(pair: Pair) -> None:
    """Each gets its own answer, though they wait for the same disk."""
    a, b = pair
    b.door.clear()
    asking = [asyncio.create_task(a.ask(b)) for _ in range(20)]
    await until(lambda: len(b.asked) == 20)
    asking.pop(3).cancel()
    b.door.set()
    assert await asyncio.gather(*asking) == [standing(b.own.replica)] * 19


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (UnavailableError("it does not run"), UnavailableError),
        (OverloadedError("it does not run"), UnavailableError),
        (StoreFullError("it does not run"), UnavailableError),
        (IndeterminateError("it does not run"), IndeterminateError),
        (RejectedError("it does not run"), IndeterminateError),
        (PeerProtocolError("it does not run"), IndeterminateError),
    ],
    ids=repr,
)
async def test_error_of_a_voter_says_whether_anything_has_happened(
    pair: Pair, failure: Exception, kind: type[Exception]
) -> None:
    """In the words of the voter; when in doubt, it may have."""
    a, b = pair
    b.failure = failure
    with pytest.raises(kind, match="it does not run") as caught:
        await a.ask(b)
    assert type(caught.value) is kind


async def test_voter_that_is_not_met_was_not_asked(site: MeshSite, pair: Pair) -> None:
    """Neither one that is unknown nor one that is gone."""
    a, b = pair
    with pytest.raises(UnavailableError, match="no connection to c"):
        await a.mesh.ask("c", INQUIRE, 5.0)
    await site.stop(b)
    await until(lambda: not a.mesh.nodes)
    with pytest.raises(UnavailableError, match="no connection to b"):
        await a.ask(b)


async def test_silent_voter_may_have_done_it(pair: Pair) -> None:
    """Its answer, which comes later, is nobody's; the next question is answered."""
    a, b = pair
    b.door.clear()
    with pytest.raises(IndeterminateError, match="voter b has not answered in time"):
        await a.ask(b, 0.02)
    b.door.set()
    assert await a.ask(b) == standing(b.own.replica)


async def test_question_over_a_cut_road_has_no_answer(pair: Pair) -> None:
    """Whether the question or the answer is what was lost."""
    a, b = pair
    for conditions in (a.conditions["b"], b.conditions["a"]):
        conditions.blocked = True
        with pytest.raises(IndeterminateError, match="in time"):
            await a.ask(b, 0.05)
        conditions.blocked = False
    assert await a.ask(b) == standing(b.own.replica)


async def test_answer_that_comes_over_a_cut_road_is_lost(pair: Pair) -> None:
    """Though it had left before the road was cut."""
    a, b = pair
    b.door.clear()
    asking = asyncio.create_task(a.ask(b, 0.1))
    await until(lambda: bool(b.asked))
    a.conditions["b"].blocked = True
    b.door.set()
    with pytest.raises(IndeterminateError, match="in time"):
        await asking


async def test_stream_that_is_lost_takes_the_answers_with_it(
    site: MeshSite, pair: Pair
) -> None:
    """All who wait are told at once, and not when they lose patience."""
    a, b = pair
    b.door.clear()
    asking = [asyncio.create_task(a.ask(b, 60.0)) for _ in range(3)]
    await until(lambda: len(b.asked) == 3)
    await site.stop(b)
    async with asyncio.timeout(5):
        errors = await asyncio.gather(*asking, return_exceptions=True)
    assert [str(error) for error in errors] == ["the stream to voter b has ended"] * 3
    assert all(isinstance(error, IndeterminateError) for error in errors)


async def test_more_questions_than_may_wait_are_not_sent(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is room again once one is answered."""
    a, b = pair
    monkeypatch.setattr(voter_questions, "QUESTIONS_MAX", 2)
    b.door.clear()
    asking = [asyncio.create_task(a.ask(b)) for _ in range(2)]
    await until(lambda: len(b.asked) == 2)
    with pytest.raises(OverloadedError, match="2 questions to b have no answer"):
        await a.ask(b)
    b.door.set()
    await asyncio.gather(*asking)
    await a.ask(b)
    assert len(b.asked) == 3


async def test_voter_refuses_more_questions_than_it_has_room_for(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The stream goes on: who asks may have given up on those that wait.

    It carries the messages of shards, too, and a slow disk is no fault of a peer.
    """
    a, b = pair
    monkeypatch.setattr(mesh_module, "QUESTIONS_MAX", 2)
    b.door.clear()
    for _ in range(2):
        with pytest.raises(IndeterminateError):
            await a.ask(b, 0.02)
    with pytest.raises(UnavailableError, match="questions wait here for the voter"):
        await a.ask(b)
    a.say(b, 1)
    await until(lambda: b.numbers == [1])
    assert len(b.asked) == 2
    b.door.set()
    await until(lambda: b.mesh.nodes.keys() == {"a"})
    assert await a.ask(b) == standing(b.own.replica)


async def test_question_is_not_answered_after_its_stream(
    site: MeshSite, pair: Pair
) -> None:
    """The voter is not kept busy for somebody who has gone."""
    a, b = pair
    b.door.clear()
    asking = asyncio.create_task(a.ask(b))
    await until(lambda: len(b.asked) == 1)
    answering = [
        task
        for task in asyncio.all_tasks()
        if "ShardMesh._answer" in repr(task.get_coro())
    ]
    assert len(answering) == 1
    await site.stop(a)
    await until(answering[0].done)
    assert answering[0].cancelled()
    with pytest.raises(IndeterminateError):
        await asking


class Asked:
    """Questions of which the frames are kept, and the replies are made by hand."""

    def __init__(self) -> None:
        self.frames: list[pb.ShardFrame] = []
        self.questions = VoterQuestions("b", self.send)

    def send(self, frame: bytes) -> None:
        """Keep a frame."""
        self.frames.append(pb.ShardFrame.FromString(frame))

    async def begun(self) -> "asyncio.Task[VoterAnswer]":
        """Ask, and return what waits for the answer."""
        task = asyncio.create_task(self.questions.ask(INQUIRE, 5.0))
        await asyncio.sleep(0)
        return task

    @property
    def number(self) -> int:
        """Return the number of the question that was asked last."""
        (question,) = self.frames[-1].questions
        return question.number


@pytest.mark.parametrize(
    "reply",
    [
        pb.VoterReply(),
        pb.VoterReply(answer=b"\xff\xff"),
        pb.VoterReply(answer=b""),
        pb.VoterReply(answer=encode_request(INQUIRE)),
    ],
)
async def test_reply_that_answers_nothing_fails_its_question(
    reply: pb.VoterReply,
) -> None:
    """Whoever asked is told; nobody else is."""
    asked = Asked()
    first, second = await asked.begun(), await asked.begun()
    reply.number = asked.number
    asked.questions.heard(reply)
    with pytest.raises(PeerProtocolError):
        await second
    assert not first.done()
    first.cancel()


async def test_reply_that_nobody_waits_for_means_nothing() -> None:
    """It was never asked for, or comes twice, or too late."""
    asked = Asked()
    task = await asked.begun()
    answer = encode_answer(standing(ReplicaId(2)))
    asked.questions.heard(pb.VoterReply(number=asked.number + 1, answer=answer))
    assert not task.done()
    for _ in range(2):
        asked.questions.heard(pb.VoterReply(number=asked.number, answer=answer))
    assert await task == standing(ReplicaId(2))
    asked.questions.heard(pb.VoterReply(number=asked.number, unavailable="late"))
    asked.questions.end()


async def test_answer_that_has_come_stays_though_the_stream_ends() -> None:
    """What was heard before the end is true after it."""
    asked = Asked()
    task = await asked.begun()
    answer = encode_answer(standing(ReplicaId(2)))
    asked.questions.heard(pb.VoterReply(number=asked.number, answer=answer))
    asked.questions.end()
    assert await task == standing(ReplicaId(2))


async def test_question_that_is_none_is_answered_as_such() -> None:
    """The voter never sees it."""

    async def answer(_request: VoterRequest) -> VoterAnswer:
        raise AssertionError

    question = pb.VoterQuestion(number=7, request=b"\xff")
    reply = await reply_to(question, answer)
    assert reply.number == 7
    assert reply.WhichOneof("kind") == "indeterminate"


async def test_reply_has_the_number_of_its_question() -> None:
    """And the request comes to the voter as it was."""
    asked: list[VoterRequest] = []

    async def answer(request: VoterRequest) -> Standing:
        asked.append(request)
        return standing(ReplicaId(3))

    question = pb.VoterQuestion(number=2**64 - 1, request=encode_request(INQUIRE))
    reply = await reply_to(question, answer)
    assert reply.number == 2**64 - 1
    assert reply.answer == encode_answer(standing(ReplicaId(3)))
    assert asked == [Inquire()]
