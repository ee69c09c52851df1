"""
What holds up forgetting, in words for operators (rule G1).

Nothing is forgotten while a member is silent, and no timer ends that; so whoever runs
the cluster must be able to see which member it is.  Every node hears the reports of
all members, and says what it knows by them, though only one of them works out floors
(kvnode.core.node.forgetting).

Reference:
    Wuu & Bernstein, 1984.  Efficient solutions to the replicated log and dictionary
        problems: one node that is down holds up the log of all.
"""

from collections.abc import Iterator, Mapping

from kvnode.core.node.forgetting import Forgetting
from kvnode.core.node.peer import Peer
from kvnode.core.versions.roster import Member
from kvnode.core.versions.store_view import DurableState
from kvnode.types import Millis, ReplicaId

SILENT_AFTER = Millis(60_000)
"""A connected member says something every second: so long is no accident."""


def hindrances(
    state: DurableState,
    peers: Mapping[ReplicaId, Peer],
    forgetting: Forgetting,
    now: Millis,
) -> tuple[str, ...]:
    """
    Return why nothing new is forgotten, a sentence each; empty if nothing hinders.

    Args:
        state: Of the node.
        peers: Those connected.
        forgetting: What it has heard.
        now: By this node's clock, in ms since 1970.
    """
    if state.filling is not None:
        return ("this node is being filled: it forgets when all is here",)
    if not state.roster.counts(state.replica):
        return ("this node is no member: it has met nobody yet, or it has left",)
    return (
        *_never_met(state, forgetting),
        *_silent(state, peers, forgetting, now),
        *_behind(state, forgetting),
    )


def _never_met(state: DurableState, forgetting: Forgetting) -> Iterator[str]:
    for address in forgetting.seeds.unmet(state):
        yield (
            f"nobody was met at the seed {address}: who is there may have what is not"
            " known here; start that node, or take it out of the settings"
        )
    for peer in state.peers:
        if not peer.replica:
            yield (
                f"configured peer {peer.name} at {peer.address} was never met: what it"
                " has is not known"
            )


def _silent(
    state: DurableState,
    peers: Mapping[ReplicaId, Peer],
    forgetting: Forgetting,
    now: Millis,
) -> Iterator[str]:
    for member in state.roster.members():
        if member.replica == state.replica:
            continue
        peer, word = peers.get(member.replica), forgetting.word_of(member.replica)
        who = _shown(member, state)
        if peer is not None and not peer.speaks_digests:
            yield f"{who} runs a version that does not report what it needs: upgrade it"
        elif word is None:
            state_of_it = "has not reported" if peer else "is not connected, and silent"
            yield f"{who} {state_of_it} since this node started"
        elif peer is None or now - word.sent_at >= SILENT_AFTER:
            spoke = f"last reported {_span(now - word.sent_at)} ago"
            connected = "" if peer else "is not connected: it "
            yield f"{who} {connected}{spoke}, and nothing deleted since is forgotten"
        elif word.unmet:
            yield f"{who} has met nobody at some of its seeds: see its status"
        elif word.roster != state.roster.digest():
            yield f"members disagree about the roster: {who} has another one"


def _behind(state: DurableState, forgetting: Forgetting) -> Iterator[str]:
    lacking = forgetting.lacking(state.clock)
    if lacking:
        yield f"this node lacks {lacking} writes that the next floor builds on"


def _shown(member: Member, state: DurableState) -> str:
    former = " whose name another one has now," if _is_former(member, state) else ""
    return f"{member.name} ({member.replica:016x}){former}"


def _is_former(member: Member, state: DurableState) -> bool:
    """Tell whether the name of *member* belongs to another identity by now."""
    own = state.roster.get(state.replica)
    if own is not None and own.name == member.name:
        return own.replica != member.replica
    return any(
        peer.name == member.name and peer.replica not in {0, member.replica}
        for peer in state.peers
    )


def _span(millis: int) -> str:
    for size, unit in ((86_400_000, "days"), (3_600_000, "hours"), (60_000, "minutes")):
        if millis >= 2 * size:
            return f"{millis // size} {unit}"
    return f"{max(0, millis) // 1000} s"
