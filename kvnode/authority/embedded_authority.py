"""
The authority that nodes keep themselves: registers at 3 or 5 voters among them.

Nothing has to be set up but the names of the voters, which are the same at all nodes.
Any minority of them may be down.  One that has lost its disk is replaced, by itself
under a new identity or by another node (kvnode.authority.replacement).
"""

import asyncio
from enum import Enum
from typing import Final, NamedTuple

from kvnode.authority.conversation import standings
from kvnode.authority.proposer import CHANGE_SECONDS_MAX, Proposer
from kvnode.authority.replacement import replace_voter
from kvnode.authority.voter_port import Uniform, VoterTransport
from kvnode.core.objects.caspaxos import Change
from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.configuration_codec import (
    decode_configuration,
    encode_configuration,
)
from kvnode.core.objects.voters.electorate import Electorate
from kvnode.core.objects.voters.messages import REGISTER_NAME_BYTES_MAX, Standing
from kvnode.errors import InvalidArgumentError, KvError
from kvnode.types import ReplicaId

NEVER_WRITTEN: Final = b""


class Role(Enum):
    """What a voter is to those who vote."""

    VOTES = "votes"
    SEALED = "goes on to the next view"
    BEHIND = "has not heard of this view yet"
    FRESH = "has never voted"
    STRANGER = "is none of those who vote"
    SILENT = "does not answer"


class VoterStatus(NamedTuple):
    """
    One voter, for people.

    Attributes:
        name: Of its node.
        role: What it is.
        voter: Its identity; None if it does not answer.
        trouble: Why it does not.
    """

    name: str
    role: Role
    voter: ReplicaId | None = None
    trouble: str = ""


class AuthorityStatus(NamedTuple):
    """
    What an authority is made of, for people.

    Attributes:
        electorate: Those who vote, of whom somebody has told; None if nobody has.
        voters: All who are configured or vote, by name.
    """

    electorate: Electorate | None
    voters: tuple[VoterStatus, ...]


class EmbeddedAuthority:
    """See kvnode.authority.port.Authority; the voters are nodes of the cluster."""

    def __init__(
        self,
        names: tuple[str, ...],
        transport: VoterTransport,
        *,
        proposer: ReplicaId,
        uniform: Uniform,
    ) -> None:
        """
        Ask nobody yet.

        Args:
            names: The nodes that are configured as voters.
            transport: The way to them.
            proposer: Drawn at random for this process, and never kept.
            uniform: Draws how long to wait.
        """
        self._names = names
        self._transport = transport
        self._uniform = uniform
        self._proposer = Proposer(names, transport, proposer=proposer, uniform=uniform)

    async def read(self, shard: str) -> Configuration | None:
        """Return what is held of *shard*."""
        held = await self._change(shard, lambda held: held, None)
        return None if held == NEVER_WRITTEN else decode_configuration(held)

    async def swap(
        self, shard: str, expected: Configuration | None, desired: Configuration
    ) -> Configuration:
        """
        Hold *desired* if *expected* is held; return what is held.

        Configurations that were replaced never come back, since epochs grow; so one try
        that is held after all and replaced again is not made twice.
        """
        before = NEVER_WRITTEN if expected is None else encode_configuration(expected)
        wish = encode_configuration(desired)
        held = await self._change(
            shard, lambda held: wish if held == before else held, wish
        )
        return desired if held == wish else decode_configuration(held)

    async def close(self) -> None:
        """Do nothing: the transport is the node's."""

    async def replace(self, name: str, newcomer: str) -> Electorate:
        """Let the fresh voter of *newcomer* vote for *name*; see replace_voter."""
        return await replace_voter(
            self._proposer, self._transport, self._uniform, name, newcomer
        )

    async def status(self) -> AuthorityStatus:
        """Return what the voters say of themselves at this moment."""
        heard = await standings(self._names, self._transport)
        for each in heard.values():
            if isinstance(each, Standing) and each.electorate is not None:
                self._proposer.adopt(each.electorate)
        electorate = self._proposer.electorate
        if electorate is not None:
            more = set(electorate.names) - heard.keys()
            heard |= await standings(more, self._transport)
        voters = [_status(name, heard[name], electorate) for name in sorted(heard)]
        return AuthorityStatus(electorate, tuple(voters))

    async def _change(self, shard: str, change: Change, wish: bytes | None) -> bytes:
        if not 0 < len(shard.encode()) <= REGISTER_NAME_BYTES_MAX:
            msg = (
                f"a shard's name has 1 to {REGISTER_NAME_BYTES_MAX} bytes,"
                f" and {shard[:REGISTER_NAME_BYTES_MAX]!r} has not"
            )
            raise InvalidArgumentError(msg)
        deadline = asyncio.get_running_loop().time() + CHANGE_SECONDS_MAX
        _, held = await self._proposer.change(shard, lambda _: change, wish, deadline)
        return held


def _status(
    name: str, answer: Standing | KvError, electorate: Electorate | None
) -> VoterStatus:
    if isinstance(answer, KvError):
        return VoterStatus(name, Role.SILENT, trouble=str(answer))
    if electorate is None:
        role = Role.FRESH
    elif not electorate.has(answer.voter):
        role = Role.STRANGER
    elif answer.electorate != electorate:
        role = Role.BEHIND
    else:
        role = Role.VOTES if answer.successor is None else Role.SEALED
    return VoterStatus(name, role, answer.voter)
