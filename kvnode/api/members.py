"""
Members as operators see them, and whom a name means.

A name is a label: a node that was wiped or restored came back under its name with a new
identity, and the former one goes on counting as a member until it is removed.  So one
name may mean several identities, and nothing is removed on a guess.
"""

import re
from collections.abc import Iterable, Sequence

from kvnode._pb import admin_pb2 as pb
from kvnode.api.port import AdminPort
from kvnode.core.node.health import MemberStatus
from kvnode.core.versions.roster import Member, Standing
from kvnode.errors import InvalidArgumentError, RejectedError
from kvnode.types import ReplicaId

STANDINGS = {
    Standing.MEMBER: pb.STANDING_MEMBER,
    Standing.LEFT: pb.STANDING_LEFT,
    Standing.REMOVED: pb.STANDING_REMOVED,
}

NAMED_MAX = 20
"""Members that a complaint names: as many as fit a screen."""

_HEX = re.compile(r"[0-9a-f]{16}", re.ASCII)


def shown(member: Member) -> str:
    """Return name and identity."""
    return f"{member.name} ({member.replica:016x})"


def member_statuses(node: AdminPort) -> list[pb.MemberStatus]:
    """Return every replica that ever joined, members first, then by name."""
    members = sorted(node.roster(), key=lambda m: (m.standing, m.name, m.replica))
    former = {m.replica for m in former_members(node)}
    watched = {m.replica: m for m in node.members()}
    statuses = []
    for member in members:
        status = member_status(node, member, former=member.replica in former)
        _add_health(status, watched[member.replica])
        statuses.append(status)
    return statuses


def _add_health(status: pb.MemberStatus, watched: MemberStatus) -> None:
    """Add what probes have shown."""
    if watched.health is not None and not status.self:
        status.health = watched.health.name.lower()
    if watched.rtt_ms is not None:
        status.rtt_us = watched.rtt_ms * 1000
    if watched.clock_offset_ms is not None:
        status.clock_offset_ms = watched.clock_offset_ms


def member_status(
    node: AdminPort, member: Member, *, former: bool = False
) -> pb.MemberStatus:
    """Return what *node* knows of *member*."""
    clock, peer = node.clock(), node.peers().get(member.replica)
    status = pb.MemberStatus(
        replica=member.replica,
        name=member.name,
        address=member.address,
        region=member.region,
        standing=STANDINGS[member.standing],
        incarnation=member.incarnation,
        connected=peer is not None,
        heard_ms_ago=node.heard_ms_ago(member.replica),
        former=former,
        self=member.replica == node.replica(),
    )
    if peer is not None:
        status.missing_there = clock.count_missing_from(peer.clock)
        status.missing_here = peer.clock.count_missing_from(clock)
    return status


def former_members(node: AdminPort) -> list[Member]:
    """Return members whose name belongs to another identity by now."""
    present = {p.name: p.replica for p in node.known_peers() if p.replica}
    own = node.roster().get(node.replica())
    if own is not None:
        present[own.name] = own.replica
    return [
        member
        for member in node.roster().members()
        if present.get(member.name, member.replica) != member.replica
    ]


def members_to_remove(
    node: AdminPort, request: pb.RemoveMemberRequest
) -> Sequence[Member]:
    """
    Return whom *request* means; none if they are gone already.

    Raises:
        InvalidArgumentError: Nobody is meant, or it is not clear who.
        RejectedError: It is this node itself, or one that is connected.
    """
    found = _meant(node, request.member)
    if not any(m.standing is Standing.MEMBER for m in found):
        return ()
    members = [m for m in found if m.standing is Standing.MEMBER]
    if request.former:
        former = {m.replica for m in former_members(node)}
        members = [m for m in members if m.replica in former]
        if not members and not any(m.standing is not Standing.MEMBER for m in found):
            msg = f"{request.member} never had another identity than the present one"
            raise InvalidArgumentError(msg)
    elif len(members) > 1:
        msg = (
            f"{request.member} is the name of {len(members)} members:"
            f" {_described(node, members)}; name one by its identity, or remove all"
            " but the present one with --former"
        )
        raise InvalidArgumentError(msg)
    _refuse_living(node, members, force=request.force)
    return members


def _meant(node: AdminPort, text: str) -> list[Member]:
    roster = node.roster()
    if _HEX.fullmatch(text.lower()):
        by_identity = roster.get(ReplicaId(int(text, 16)))
        if by_identity is not None:
            return [by_identity]
    found = [m for m in roster if m.name == text]
    if not found:
        known = sorted({shown(m) for m in roster.members()})
        more = f" and {len(known) - NAMED_MAX} more" if len(known) > NAMED_MAX else ""
        msg = (
            f"{text!r} was never a member; the members are"
            f" {', '.join(known[:NAMED_MAX]) or 'none'}{more}"
        )
        raise InvalidArgumentError(msg)
    return found


def _described(node: AdminPort, members: Iterable[Member]) -> str:
    former = {m.replica for m in former_members(node)}
    connected = node.peers()
    return ", ".join(
        f"{m.replica:016x}"
        + (" (former)" if m.replica in former else "")
        + (" (connected)" if m.replica in connected else "")
        for m in members
    )


def _refuse_living(node: AdminPort, members: Iterable[Member], *, force: bool) -> None:
    for member in members:
        if member.replica == node.replica():
            msg = (
                f"{shown(member)} is this node itself: use `kvnode leave`, or ask"
                " another node"
            )
            raise RejectedError(msg)
        if member.replica in node.peers() and not force:
            msg = (
                f"{shown(member)} is connected right now, and was heard"
                f" {node.heard_ms_ago(member.replica)} ms ago: let it leave with"
                " `kvnode leave`, or stop it first; --force removes it all the same,"
                " and it starts over as a new replica"
            )
            raise RejectedError(msg)
