"""
What voters are asked, and what they answer.

Every answer says whose it is.  A name can pass to another voter while a message is on
its way, so who asks counts identities and never names.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from kvnode.core.objects import caspaxos
from kvnode.core.objects.caspaxos import VoterState
from kvnode.core.objects.voters.electorate import Electorate, View
from kvnode.types import ReplicaId

SUCCESSION: Final = ""
"""
The register in which each view chooses the electorate of the next.

It holds b"" or that electorate as bytes, and is begun anew in every view.  No shard has
an empty name.
"""

REGISTER_NAME_BYTES_MAX: Final = 200
"""A region's name of 64 characters, three bytes each, and the number of a shard."""

REGISTER_VALUE_BYTES_MAX: Final = 2048
"""A configuration with seven replicas and seven former ones takes 400 bytes."""

REGISTERS_MAX: Final = 1024
"""Sixteen shards in each of 63 regions, and sixteen of none."""


class Inquire(NamedTuple):
    """Say who you are."""


class Vote(NamedTuple):
    """
    Vote on a register, in a view.

    Attributes:
        view: In no other is this request to be answered.
        register: A shard, or SUCCESSION.
        request: See kvnode.core.objects.caspaxos.
    """

    view: View
    register: str
    request: caspaxos.Request


class Seal(NamedTuple):
    """*successor* was chosen to follow your view: vote no more, say what you hold."""

    successor: Electorate


class Install(NamedTuple):
    """
    Begin to vote in a view, with what is known of its registers.

    Attributes:
        electorate: Chosen by the view before, or pledged by all.
        registers: What a majority of the view before held when it was sealed, or what
            another voter of this view holds; without SUCCESSION in the first case.
    """

    electorate: Electorate
    registers: Mapping[str, VoterState]


class Enlist(NamedTuple):
    """You are about to be chosen to vote for another: found nothing from now on."""


class Standing(NamedTuple):
    """
    What a voter is.

    Attributes:
        voter: Its identity.
        configured: The names of all voters, ascending, as its node was told.
        barred: It founds nothing: its disk was copied or restored, or it was enlisted.
        pledge: The one electorate that it has ever offered to found with.
        electorate: With whom it votes; None = it has never voted.
        successor: Chosen to follow, so that it votes no more; None = it votes.
    """

    voter: ReplicaId
    configured: tuple[str, ...]
    barred: bool
    pledge: Electorate | None
    electorate: Electorate | None
    successor: Electorate | None


class Voted(NamedTuple):
    """The answer of *voter* in *view*, durable."""

    voter: ReplicaId
    view: View
    answer: caspaxos.Answer


class Report(NamedTuple):
    """
    All that *voter* holds in the view of *electorate*.

    In answer to `Seal`: either it is sealed for the successor, durably, or
    *electorate* is that successor.
    """

    voter: ReplicaId
    electorate: Electorate
    registers: Mapping[str, VoterState]


VoterRequest = Inquire | Vote | Seal | Enlist | Install
VoterAnswer = Standing | Voted | Report
