"""
What a voter must not forget, and how it answers.

A voter answers within its own view alone.  To whoever asks in another it says what it
is (`Standing`), from which they learn of a later view, or it of its own being behind.

    fresh ──pledged──▶ pledged ──founded──▶ votes ──Seal──▶ sealed
      └──────────────────┴─────── Install ───▶ votes ◀── Install ──┘

Once sealed for a successor it casts no vote in that view any more, so that what a
majority has reported is all that was or will ever be chosen there.

What is installed is either what such a majority held or what another voter of the new
view holds by now.  Both are as if this voter had been there from the start of the view:
the requests that the other has answered were for all of them, and this one may have
been slow.  Hence an Install that comes late, or again, does no harm, and only the first
of a view counts.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, assert_never

from kvnode.core.objects.caspaxos import Look, VoterState, vote
from kvnode.core.objects.voters.electorate import Electorate
from kvnode.core.objects.voters.messages import (
    REGISTERS_MAX,
    SUCCESSION,
    Enlist,
    Inquire,
    Install,
    Report,
    Seal,
    Standing,
    Vote,
    Voted,
    VoterAnswer,
    VoterRequest,
)
from kvnode.errors import OverloadedError, PeerProtocolError
from kvnode.types import ReplicaId

NO_REGISTERS: Final[Mapping[str, VoterState]] = MappingProxyType({})


class VoterMemory(NamedTuple):
    """
    What is on a voter's disk; a value, whose registers are never changed in place.

    See `Standing` for what is not explained here.
    """

    voter: ReplicaId
    barred: bool = False
    pledge: Electorate | None = None
    electorate: Electorate | None = None
    successor: Electorate | None = None
    registers: Mapping[str, VoterState] = NO_REGISTERS

    def standing(self, configured: tuple[str, ...]) -> Standing:
        """Return what the voter says of itself."""
        return Standing(
            self.voter,
            configured,
            self.barred,
            self.pledge,
            self.electorate,
            self.successor,
        )

    def pledged(self, electorate: Electorate) -> "VoterMemory":
        """Return the memory after the only pledge there will be."""
        assert self.pledge in {None, electorate}, "a voter pledges once"
        assert self.electorate is None, "who votes has no pledge to give"
        assert electorate.has(self.voter), "a pledge is for oneself"
        return self._replace(pledge=electorate)

    def founded(self, electorate: Electorate) -> "VoterMemory":
        """Return the memory once all have pledged: the voter votes from now on."""
        assert self.electorate is None, "a voter founds once"
        assert self.pledge == electorate, "what is founded was pledged before"
        return self._replace(electorate=electorate)


def answered(
    memory: VoterMemory, request: VoterRequest, configured: tuple[str, ...]
) -> tuple[VoterMemory, VoterAnswer]:
    """
    Return what a voter holds after *request*, and what it answers once it is durable.

    Raises:
        OverloadedError: A vote on a new register, and there are REGISTERS_MAX.
        PeerProtocolError: A successor other than the one that was chosen.
    """
    match request:
        case Inquire():
            return memory, memory.standing(configured)
        case Vote():
            return _voted(memory, request, configured)
        case Seal(successor):
            return _sealed(memory, successor, configured)
        case Enlist():
            if memory.electorate is None and memory.pledge is None:
                memory = memory._replace(barred=True)
            return memory, memory.standing(configured)
        case Install(electorate, registers):
            after = _installed(memory, electorate, registers)
            return after, after.standing(configured)
        case _:
            assert_never(request)


def _voted(
    memory: VoterMemory, request: Vote, configured: tuple[str, ...]
) -> tuple[VoterMemory, VoterAnswer]:
    electorate = memory.electorate
    if (
        electorate is None
        or electorate.view != request.view
        or memory.successor is not None
    ):
        return memory, memory.standing(configured)
    before = memory.registers.get(request.register)
    if before is None:
        # SUCCESSION has room always: it is the way out.  And to look takes none.
        if (
            len(memory.registers) >= REGISTERS_MAX
            and request.register != SUCCESSION
            and not isinstance(request.request, Look)
        ):
            msg = f"the voter holds {REGISTERS_MAX} registers, as many as may be"
            raise OverloadedError(msg)
        before = VoterState()
    after, answer = vote(before, request.request)
    if after != before:
        registers = {**memory.registers, request.register: after}
        memory = memory._replace(registers=registers)
    return memory, Voted(memory.voter, electorate.view, answer)


def _sealed(
    memory: VoterMemory, successor: Electorate, configured: tuple[str, ...]
) -> tuple[VoterMemory, VoterAnswer]:
    electorate = memory.electorate
    if electorate is None:
        return memory, memory.standing(configured)
    if electorate.view.next == successor.view:
        if memory.successor not in {None, successor}:
            msg = f"view {electorate.view.number} is to be followed by two electorates"
            raise PeerProtocolError(msg)
        memory = memory._replace(successor=successor)
    elif electorate.view != successor.view:
        return memory, memory.standing(configured)
    return memory, Report(memory.voter, electorate, memory.registers)


def _installed(
    memory: VoterMemory, electorate: Electorate, registers: Mapping[str, VoterState]
) -> VoterMemory:
    before = memory.electorate
    if not electorate.has(memory.voter):
        return memory  # it is for who had this name before
    if before is not None and not before.view.is_before(electorate.view):
        return memory
    return memory._replace(
        electorate=electorate, successor=None, registers=dict(registers)
    )
