"""
Replacing a voter: the next view, chosen, sealed and installed, at somebody's request.

Whoever asks may die in the middle and others may ask for something else at the same
time.  So each round first reads what the present view has chosen to be followed by: if
there is anything, that is finished, whoever began it, before anything else is chosen.

From when it is enlisted until the replacement is finished, the newcomer is among those
of whom only a minority may lose their disks, beside the voter that it replaces.
"""

import asyncio
from typing import Final

from kvnode.authority.conversation import Conversation, standing
from kvnode.authority.proposer import ChangeIn, Proposer
from kvnode.authority.voter_port import Uniform, VoterTransport
from kvnode.core.objects.caspaxos import Change
from kvnode.core.objects.voters.electorate import Electorate, Member
from kvnode.core.objects.voters.fields import decode_electorate, encode_electorate
from kvnode.core.objects.voters.messages import (
    SUCCESSION,
    Enlist,
    Inquire,
    Standing,
    VoterRequest,
)
from kvnode.core.objects.voters.succession import Succession
from kvnode.errors import (
    IndeterminateError,
    KvError,
    RejectedError,
    UnavailableError,
)

REPLACE_SECONDS_MAX: Final = 30.0
"""Some rounds of messages, each with everything that voters hold, to distant nodes."""


async def replace_voter(
    proposer: Proposer,
    transport: VoterTransport,
    uniform: Uniform,
    name: str,
    newcomer: str,
) -> Electorate:
    """
    Let the voter of node *newcomer* vote in place of *name*; return who votes then.

    Both may be the same name: the node has come back with another disk.  If it has
    happened before, nothing happens.

    Raises:
        RejectedError: *name* does not vote, or *newcomer* votes or is of others.
        UnavailableError: Too few answer, or not *newcomer*; nothing has happened.
        IndeterminateError: It may have been chosen.  Ask again to have it finished.
    """
    newcomer_is = await _asked(newcomer, transport, Inquire())
    member = Member(newcomer_is.voter, newcomer)
    deadline = asyncio.get_running_loop().time() + REPLACE_SECONDS_MAX
    may_have_happened = False
    while True:
        try:
            present, successor = await _chosen(proposer, deadline)
            if successor is None:
                if _is_done(present, name, member, newcomer_is):
                    return present
                enlisted = await _asked(newcomer, transport, Enlist())
                _check_enlisted(enlisted, member)
                wish = encode_electorate(present.with_replaced(name, member))
                may_have_happened = True
                await proposer.change(
                    SUCCESSION, _wish_in(present, wish), wish, deadline
                )
                continue
        except UnavailableError as error:
            if may_have_happened:
                raise IndeterminateError(str(error)) from error
            raise
        await _finish(
            Conversation(Succession.begin(present, successor), transport, uniform),
            deadline,
        )
        proposer.adopt(successor)


async def _asked(
    newcomer: str, transport: VoterTransport, request: VoterRequest
) -> Standing:
    answer = await standing(newcomer, transport, request)
    if isinstance(answer, KvError):
        msg = f"the voter of {newcomer} cannot be asked who it is: {answer}"
        raise UnavailableError(msg) from answer
    return answer


def _check_enlisted(answer: Standing, member: Member) -> None:
    if answer.voter != member.identity or not answer.barred:
        msg = f"the voter of {member.name} has become another meanwhile"
        raise UnavailableError(msg)


async def _chosen(
    proposer: Proposer, deadline: float
) -> tuple[Electorate, Electorate | None]:
    """Return who votes, and whom they have chosen to follow, if anybody."""
    present, held = await proposer.change(
        SUCCESSION, lambda _: lambda held: held, None, deadline
    )
    return present, decode_electorate(held) if held else None


def _wish_in(present: Electorate, wish: bytes) -> ChangeIn:
    """Return what chooses *wish* in view *present*, if nothing is, and in no other."""

    def change_in(electorate: Electorate) -> Change:
        return lambda held: held or wish if electorate == present else held

    return change_in


async def _finish(talk: Conversation[Succession], deadline: float) -> None:
    succession = await talk.run(deadline)
    if not succession.is_over:
        number = succession.after.view.number
        msg = (
            f"view {number} was chosen and is not in force yet: too few voters answer"
            f" ({talk.troubles}); they finish it by themselves, or ask again"
        )
        raise IndeterminateError(msg)


def _is_done(
    present: Electorate, name: str, newcomer: Member, answer: Standing
) -> bool:
    """Tell whether it has happened; RejectedError if it cannot."""
    is_there = present.has(newcomer.identity)
    if is_there and (name not in present.names or name == newcomer.name):
        return True
    if name not in present.names:
        msg = f"{name} does not vote: those who do are {', '.join(present.names)}"
        raise RejectedError(msg)
    if newcomer.name != name and newcomer.name in present.names:
        msg = f"{newcomer.name} is there as a voter already, and not as {name}"
        raise RejectedError(msg)
    if answer.electorate is not None or answer.pledge is not None:
        msg = (
            f"the voter of {newcomer.name} has voted or pledged elsewhere: its disk"
            " must be new"
        )
        raise RejectedError(msg)
    return False
