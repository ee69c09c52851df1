"""
Spreading: how pushes go on from this node, its own and others' (rules D4, D5, D7).

In a small cluster each push goes from its origin to every connected peer.  In a larger
one, kvnode.core.dissemination decides who gets what.  Here it is told who the members
are and how they are, and what it wants sent becomes effects of the turn.

Whatever it wants, a push leaves this node only

  - when the turn that took it in is durable, like all that a node says (W2).  It could
    go sooner, since it is durable at its origin and sending it on claims nothing: that
    would save a group commit a hop, of which a payload has up to three;
  - as far as the peer's outbox has room (D5).  What is refused is dropped here: the
    peer asks somebody else for it, or finds by comparing clocks that it lacks it;
  - if this node has all of it: of large values only the stamps travel, and the peer
    pulls them from whom it got the stamps (D6);
  - if this node covers it, or holds it in a batch that waits to be covered.

The last is what forgetting builds on (kvnode.core.node.forgetting).  A node adopts a
floor only when it covers all that any member covered or held when it last reported.  A
push that reaches it later is then of one of two kinds.  Its origin is a member and made
it after its report: it builds on all that the floor forgets and is stamped above it.
Or nobody who reported had it: then it is of no member, and since all who reported have
one roster, all of them ignore it from then on (`Incoming.push`).  What this node could
pass on and does not hold, such as a batch dropped for want of room, would be of neither
kind; so it does not pass it on, and nothing but batches need be reported as held.

References:
    Leitao, Pereira & Rodrigues, 2007.  Epidemic broadcast trees.
    docs/decisions/0018-trees-are-computed.md
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, assert_never

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.dissemination.dissemination import Dissemination
from kvnode.core.dissemination.messages import (
    Absent,
    Announce,
    Control,
    Effect,
    Forward,
    Graft,
    Prune,
    PushId,
    SendTo,
    WakeAt,
    push_id,
)
from kvnode.core.dissemination.overlay import DIRECT_MEMBERS_MAX
from kvnode.core.dissemination.ring import MemberView
from kvnode.core.node.events import Send
from kvnode.core.node.peer import Peer
from kvnode.core.node.turn import Turn
from kvnode.core.replication.coverage import WaitingBatch
from kvnode.core.replication.messages import Push
from kvnode.core.versions.roster import NOBODY, Member
from kvnode.types import Millis, ReplicaId

VIEW_INTERVAL = Millis(5000)
"""Distances are looked at again so often; who is there, when it changes."""

INCOMPLETE_MAX = 64
"""Pushes kept until their large values are here: 16 MiB of small ones beside them."""


class _Incomplete(NamedTuple):
    """A push of which large values are still being pulled, and who sent it."""

    push: Push
    sender: ReplicaId


class Spreading:
    """One node's part in bringing pushes to all; forgotten in a crash."""

    def __init__(  # noqa: PLR0913 -- each named at the call, the last two have defaults
        self,
        own: ReplicaId,
        region: str,
        peers: Mapping[ReplicaId, Peer],
        *,
        waiting: Callable[[PushId], WaitingBatch | None],
        healthy: Callable[[ReplicaId], bool] = lambda _: True,
        rtt: Callable[[ReplicaId], Millis | None] = lambda _: None,
    ) -> None:
        """
        Begin, knowing nobody.

        Args:
            own: This node's identity.
            region: Its region's label.
            peers: Those connected, kept current by the caller; see `changed`.
            waiting: Finds the batch of a push that is merged and not covered.
            healthy: Tells of a connected member whether it is held for alive (M1).
            rtt: Tells the round trip to a member in ms; None = not measured.
        """
        self._own = own
        self._region = region
        self._peers = peers
        self._waiting = waiting
        self._healthy = healthy
        self._rtt = rtt
        self._machine: Dissemination | None = None
        self._incomplete: OrderedDict[PushId, _Incomplete] = OrderedDict()
        self._roster = NOBODY
        self._changed = True
        self._looked_at = Millis(0)

    @property
    def direct(self) -> bool:
        """Tell whether every push goes from its origin to all connected peers."""
        return self._machine is None

    def changed(self) -> None:
        """Note that somebody has come, gone, fallen ill or recovered."""
        self._changed = True

    def abort(self) -> None:
        """
        Forget all: a turn has not happened.

        The names of pushes that it made are going to be those of others.
        """
        self._machine = None
        self._incomplete.clear()
        self._changed = True

    # -- pushes ---------------------------------------------------------------

    def originate(self, pushes: Iterable[Push], turn: Turn) -> None:
        """Send what this node has made in *turn*, whose clock covers it."""
        machine = self._machine_now(turn)
        if machine is not None:
            self._perform(machine.originate(tuple(pushes), turn.now), turn)
            return
        for push in pushes:
            for replica, peer in self._peers.items():
                if peer.outbox.offer(push):
                    turn.effects.append(Send(replica, push))

    def received(self, push: Push, sender: ReplicaId, turn: Turn) -> None:
        """Pass on a push that is merged, and not covered before this turn, if new."""
        machine = self._machine_now(turn)
        if machine is not None:
            fresh = not covers(turn.clock, push_id(push))
            effects = machine.received(push, sender, turn.now, fresh=fresh)
            self._perform(effects, turn)

    def incomplete(self, push: Push, sender: ReplicaId, turn: Turn) -> None:
        """Keep a push until the large values that it announces are here (D6)."""
        machine = self._machine_now(turn)
        if machine is None:
            return
        machine.wanted.pop(push_id(push))
        self._incomplete[push_id(push)] = _Incomplete(push, sender)
        if len(self._incomplete) > INCOMPLETE_MAX:
            self._incomplete.popitem(last=False)

    def completed(self, batch: WaitingBatch, turn: Turn) -> None:
        """Pass on a push of which nothing is missing any more."""
        name = PushId(batch.origin, batch.first, batch.last)
        kept = self._incomplete.pop(name, None)
        if kept is not None:
            self.received(kept.push, kept.sender, turn)

    # -- what peers say -------------------------------------------------------

    def take(self, sender: ReplicaId, message: Control, turn: Turn) -> None:
        """Take in what a peer says about pushes."""
        machine = self._machine_now(turn)
        match message:
            case Announce(ids):
                lacking = tuple(name for name in ids if self._may_come(name, turn))
                if machine is not None and lacking:
                    effects = machine.announced(sender, Announce(lacking), turn.now)
                    self._perform(effects, turn)
            case Graft(name):
                if machine is None:
                    turn.effects.append(Send(sender, Absent(name)))
                elif not self._is_incomplete(name):  # else it is asked for again
                    may_come = self._may_come(name, turn)
                    effects = machine.grafted(
                        sender, message, turn.now, may_come=may_come
                    )
                    self._perform(effects, turn)
            case Prune():
                if machine is not None:
                    self._perform(machine.pruned(sender, message, turn.now), turn)
            case Absent():
                if machine is not None:
                    self._perform(machine.absent(sender, message, turn.now), turn)
            case _:
                assert_never(message)

    def delta_arrived(self, turn: Turn) -> None:
        """Want no longer what is covered now."""
        if self._machine is not None:
            self._machine.delta_arrived(lambda name: covers(turn.clock, name))

    def tick(self, turn: Turn) -> None:
        """Announce, and ask for, what is due."""
        if abs(turn.now - self._looked_at) >= VIEW_INTERVAL:
            self._changed = True
        machine = self._machine_now(turn)
        if machine is not None:
            self._perform(machine.tick(turn.now), turn)

    # -- who is there ---------------------------------------------------------

    def _machine_now(self, turn: Turn) -> Dissemination | None:
        if self._changed or turn.roster is not self._roster:
            self._look(turn)
        return self._machine

    def _look(self, turn: Turn) -> None:
        """Take in who the members are, and how; cost O(members)."""
        self._changed, self._roster, self._looked_at = False, turn.roster, turn.now
        others = [m for m in turn.roster.members() if m.replica != self._own]
        # Who speaks protocol 1 passes nothing on, and may be anywhere in a tree.
        forwarding = all(peer.speaks_digests for peer in self._peers.values())
        if 1 + len(others) <= DIRECT_MEMBERS_MAX or not forwarding:
            self._machine = None
            self._incomplete.clear()
            return
        if self._machine is None:
            self._machine = Dissemination(self._own, self._region)
        self._machine.view_changed([self._view_of(member) for member in others])
        # What nobody takes in any more need not be asked for.
        self._machine.delta_arrived(lambda name: turn.roster.gone(name.origin))

    def _view_of(self, member: Member) -> MemberView:
        replica = member.replica
        healthy = replica in self._peers and self._healthy(replica)
        return MemberView(replica, member.region, self._rtt(replica), healthy)

    # -- what is sent ---------------------------------------------------------

    def _perform(self, effects: Sequence[Effect], turn: Turn) -> None:
        allowed: dict[PushId, bool] = {}
        for effect in effects:
            match effect:
                case Forward(replica, push):
                    name = push_id(push)
                    if name not in allowed:
                        allowed[name] = self._may_pass_on(name, turn)
                    peer = self._peers.get(replica)
                    if allowed[name] and peer is not None and peer.outbox.offer(push):
                        turn.effects.append(Send(replica, push))
                case SendTo(replica, message):
                    if replica in self._peers:
                        turn.effects.append(Send(replica, message))
                case WakeAt():
                    turn.effects.append(effect)
                case _:
                    assert_never(effect)

    def _may_pass_on(self, name: PushId, turn: Turn) -> bool:
        """Tell whether a push is whole, and covered or held; see the module."""
        if turn.roster.gone(name.origin):
            return False
        batch = self._waiting(name)
        if batch is not None:
            return not batch.missing
        return covers(turn.clock, name)

    def _is_incomplete(self, name: PushId) -> bool:
        batch = self._waiting(name)
        return batch is not None and bool(batch.missing)

    def _may_come(self, name: PushId, turn: Turn) -> bool:
        """Tell whether a push would be taken in if it came."""
        return (
            turn.filling is None
            and not covers(turn.clock, name)
            and self._waiting(name) is None
            and not turn.roster.gone(name.origin)
        )


def covers(clock: VersionVector, name: PushId) -> bool:
    """Tell whether *clock* covers all writes of a push."""
    return any(
        first <= name.first and name.last <= last
        for first, last in clock.spans(name.origin)
    )
