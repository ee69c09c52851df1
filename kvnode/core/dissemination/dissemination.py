"""
Dissemination: from one origin to all members, each payload once (rule D7).

    origin ─── payload ──▶ entry of each other group ──▶ tree of that group
       │                        (its region's relay)
       ├────── payload ──▶ tree of its own group
       └────── id ───────▶ deputies of each other group

    every member ── ids, in four rounds ──▶ lazy links in its group

Who hears of a push and does not get it asks for it (Graft): the nearest who announced
it, else, since its region then has none, the entries of the nearest other regions.
They had it when the origin's own message should have been here, so nobody waits for
failure detection, whoever has crashed: the entry, or an inner node of a tree.  Whoever
gets a push from another group takes it into its own as an entry would.

The machine is pure.  It decides who gets what; what a push means, and whether it is
new to the store, is for its caller.  A call costs a few look-ups, whatever the number
of members; `view_changed` costs O(members).

References:
    Leitao, Pereira & Rodrigues, 2007.  Epidemic broadcast trees.
    Castro et al., 2003.  SplitStream: high-bandwidth multicast in cooperative
        environments.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from kvnode.core.dissemination.announcements import Announcements, Item
from kvnode.core.dissemination.links import Links
from kvnode.core.dissemination.messages import (
    Absent,
    Announce,
    Effect,
    Forward,
    Graft,
    Prune,
    PushId,
    SendTo,
    WakeAt,
    announcements,
    push_id,
)
from kvnode.core.dissemination.overlay import LAZY_LINKS, Overlay, Tree
from kvnode.core.dissemination.recent import RecentPushes
from kvnode.core.dissemination.ring import MemberView
from kvnode.core.dissemination.wanted import (
    ATTEMPTS_MAX,
    HEDGE,
    QUICK_ATTEMPTS,
    Patience,
    Want,
    Wanted,
)
from kvnode.core.replication.messages import Push
from kvnode.types import Millis, ReplicaId

DEPUTIES_TOLD_AT_ONCE = 2
"""Of each other group; then one more in each round of announcements."""

FLIGHT_VARIATION = 12
"""A flight may take a twelfth of a round trip longer than another (15 % of half)."""

LOCAL_ATTEMPTS = 6
"""Attempts within the group, if anybody there has it, before others are asked too."""

ASKED_FOR_MAX = 4096
"""Pushes asked for whose payloads may come twice for that reason."""

LAST_ROUND = len(LAZY_LINKS) - 1


class Settings(NamedTuple):
    """
    What dissemination may keep.

    Attributes:
        recent_bytes_max: Payloads kept to answer grafts with.
        recent_count_max: The same, as a number: small ones have overhead.
    """

    recent_bytes_max: int = 16 * 1024 * 1024
    recent_count_max: int = 8192


class Dissemination:
    """One node's part; `view_changed` comes first, then any of the rest."""

    def __init__(
        self, own: ReplicaId, region: str, settings: Settings | None = None
    ) -> None:
        kept = settings or Settings()
        self.own = own
        self.region = region
        self.overlay = Overlay(own, region, ())
        self.wanted = Wanted()
        self.patience = Patience()
        self.recent = RecentPushes(kept.recent_bytes_max, kept.recent_count_max)
        self._announcements = Announcements()
        self._links = Links()
        self._asked_for: OrderedDict[PushId, dict[ReplicaId, int]] = OrderedDict()
        self._members: frozenset[tuple[ReplicaId, str]] = frozenset()
        self._wake: Millis | None = None
        self._now = Millis(0)

    def view_changed(self, members: Sequence[MemberView]) -> None:
        """Take in who is a member, how far away, and how well; cost O(members)."""
        self.overlay = Overlay(self.own, self.region, members)
        present = frozenset((m.replica, m.region) for m in members)
        if present != self._members:
            self._links.forget()
        self._members = present

    def originate(self, pushes: Sequence[Push], now: Millis) -> list[Effect]:
        """Send *pushes*, which this node has made, on their way."""
        self._advance(now)
        effects: list[Effect] = []
        tree = self.overlay.tree(self.own)
        plan = self.overlay.plan(tree)
        entries = [entry for _, entry in reversed(plan.entries)]  # the farthest first
        for push in pushes:
            self.recent.add(push)
            item = Item(push_id(push), is_ours=True, entered_here=False)
            self._announcements.add(item, now)
            targets = self._links.eager(tree, (*entries, *plan.top))
            effects += [Forward(peer, push) for peer in targets]
        told: dict[ReplicaId, list[PushId]] = {}
        for deputies in plan.deputies:
            for deputy in deputies[:DEPUTIES_TOLD_AT_ONCE]:
                told.setdefault(deputy, []).extend(push_id(push) for push in pushes)
        effects += [SendTo(*told_now) for told_now in announcements(told)]
        return self._finish(effects)

    def received(
        self, push: Push, sender: ReplicaId, now: Millis, *, fresh: bool
    ) -> list[Effect]:
        """
        Take in a push and pass it on.

        Args:
            push: What came.
            sender: Who sent it; not always its origin.
            now: The time.
            fresh: Whether the node did not cover it before.  What is not fresh is
                not passed on: it came by a delta, and goes by deltas.

        Returns:
            What to do.  Nothing of it claims anything, so it need not wait for the
            push to be durable here (W2 holds by its origin).
        """
        self._advance(now)
        name = push_id(push)
        tree = self.overlay.tree(push.origin)
        want = self.wanted.pop(name)
        if name in self.recent:
            return self._finish(self._duplicate(tree, sender, name))
        self.recent.add(push)
        self._learn(tree, sender, want)
        entered_here = not self.overlay.is_near(sender)
        if fresh:
            self._announcements.add(
                Item(name, is_ours=False, entered_here=entered_here), now
            )
        plan = self.overlay.plan(tree)
        passed_on = (plan.top if entered_here else plan.below) if fresh else ()
        targets = dict.fromkeys(self._links.eager(tree, passed_on) if fresh else ())
        have_it = {sender, push.origin}
        if want is not None:
            have_it.update(want.holders)
            targets |= dict.fromkeys(want.askers)
        return self._finish(
            [Forward(peer, push) for peer in targets if peer not in have_it]
        )

    def announced(
        self, sender: ReplicaId, message: Announce, now: Millis
    ) -> list[Effect]:
        """
        Take in which pushes *sender* has.

        The caller leaves out what its clock covers: only it remembers all.
        """
        self._advance(now)
        for name in message.ids:
            if name not in self.recent and name.origin != self.own:
                want = self._want(name, sender)
                if want is not None:
                    want.held_by(sender)
        return self._finish([])

    def grafted(
        self, sender: ReplicaId, message: Graft, now: Millis, *, may_come: bool = True
    ) -> list[Effect]:
        """
        Answer *sender*, who lacks a push, now or as soon as it is here.

        The caller knows by its clock whether it may still come: only it remembers all.
        """
        self._advance(now)
        name = message.id
        if message.keep:
            self._links.keep(self.overlay.tree(name.origin), sender)
        push = self.recent.payload(name)
        if push is not None:
            return self._finish([Forward(sender, push)])
        if name in self.recent or name.origin == self.own or not may_come:
            return self._finish([SendTo(sender, Absent(name))])
        want = self._want(name, None)
        if want is None:
            return self._finish([SendTo(sender, Absent(name))])
        want.asked_by(sender)
        return self._finish([])

    def pruned(self, sender: ReplicaId, message: Prune, now: Millis) -> list[Effect]:
        """Send *sender* nothing unasked by that tree from now on."""
        self._advance(now)
        self._links.prune(self.overlay.tree(message.origin), sender)
        return self._finish([])

    def absent(self, sender: ReplicaId, message: Absent, now: Millis) -> list[Effect]:
        """Ask *sender* no more for that push."""
        self._advance(now)
        want = self.wanted.get(message.id)
        if want is not None:
            want.absent.add(sender)
        return self._finish([])

    def delta_arrived(self, covers: Callable[[PushId], bool]) -> None:
        """Want no longer what the node *covers* now; cost O(wanted)."""
        for name in self.wanted.names():
            if covers(name):
                self.wanted.pop(name)

    def tick(self, now: Millis) -> list[Effect]:
        """Announce, and ask for, what is due."""
        self._advance(now)
        if self._wake is not None and self._wake <= now:
            self._wake = None
        effects: list[Effect] = []
        for number, items in self._announcements.take(now):
            effects += self._announce(number, items)
        for name in self.wanted.take_due(now):
            effects += self._ask(name, now)
        return self._finish(effects)

    # -- what came -------------------------------------------------------------

    def _learn(self, tree: Tree, sender: ReplicaId, want: Want | None) -> None:
        """Learn from how a push came that is here for the first time."""
        if want is None or not want.asked:
            self._links.arrived(tree, sender)
        elif sender in want.asked:
            self.patience.was_enough()
        else:
            self.patience.was_short()
            self._links.arrived(tree, sender)

    def _duplicate(self, tree: Tree, sender: ReplicaId, name: PushId) -> list[Effect]:
        """Take in what came again; only what nobody asked for is a fault."""
        if name in self._asked_for:
            if sender not in self._asked_for[name]:
                self.patience.was_short()
        elif self._links.duplicate(tree, sender):
            return [SendTo(sender, Prune(name.origin))]
        return []

    # -- what has not come -----------------------------------------------------

    def _want(self, name: PushId, sender: ReplicaId | None) -> Want | None:
        """Want a push that *sender* has announced; None: one that was asked for."""
        want = self.wanted.get(name)
        if want is None:
            tree = self.overlay.tree(name.origin)
            due = Millis(self._now + self._time_to_come(tree, name, sender))
            return self.wanted.add(name, tree, due)
        if sender is not None and self.overlay.is_near(sender):
            wait = self._time_to_come(want.tree, name, sender)
            self.wanted.hasten(name, Millis(self._now + (0 if want.attempts else wait)))
        return want

    def _time_to_come(
        self, tree: Tree, name: PushId, sender: ReplicaId | None
    ) -> Millis:
        """Return how much later than its announcement a payload may come unasked."""
        overlay = self.overlay
        depth, variation = overlay.plan(tree).depth, 0
        if overlay.direct or sender == name.origin:
            variation = overlay.rtt(name.origin) // FLIGHT_VARIATION
        if not overlay.direct:
            # Those nearer to the root ask sooner, and serve those below.
            variation += depth * overlay.hop // 2
            if sender != name.origin:
                variation += max(0, depth - 1) * overlay.hop
        return Millis(self.patience.span + variation)

    def _ask(self, name: PushId, now: Millis) -> list[Effect]:
        """Ask the most promising holders of a push for it."""
        want = self.wanted.get(name)
        assert want is not None, "what is due is wanted"
        chosen = want.choose(self._candidates(name, want), 2)
        if not chosen or want.attempts >= ATTEMPTS_MAX:
            self.wanted.pop(name)  # a delta will find it (D8)
            return []
        rtt = self.overlay.rtt(chosen[0])
        if rtt <= HEDGE or want.attempts >= QUICK_ATTEMPTS:
            del chosen[1:]
        keep = False
        if not want.attempts:
            self._links.missed(want.tree)
            keep = self._links.wants_keeping(want.tree)
        want.ask(chosen, rtt, now)
        self._remember_asking(name, want)
        self.wanted.again(name)
        return [
            SendTo(peer, Graft(name, keep=keep and peer == chosen[0]))
            for peer in chosen
        ]

    def _candidates(self, name: PushId, want: Want) -> list[ReplicaId]:
        """Return who may have a push, the most promising first."""
        overlay = self.overlay
        found = [peer for peer in want.holders if overlay.is_near(peer)]
        if not found or overlay.direct or want.attempts >= LOCAL_ATTEMPTS:
            found += overlay.sources(want.tree, name.origin)
            found += want.holders
        return [p for p in dict.fromkeys(found) if not overlay.is_unhealthy(p)]

    def _remember_asking(self, name: PushId, want: Want) -> None:
        self._asked_for[name] = want.asked
        if len(self._asked_for) > ASKED_FOR_MAX:
            self._asked_for.popitem(last=False)

    # -- announcements and time ------------------------------------------------

    def _announce(self, number: int, items: Iterable[Item]) -> list[Effect]:
        """Tell of *items* those whose turn it is in round *number*."""
        told: dict[ReplicaId, list[PushId]] = {}
        for item in items:
            peers = list(self.overlay.lazy_links[number])
            tree = self.overlay.tree(item.id.origin)
            if item.is_ours:
                place = DEPUTIES_TOLD_AT_ONCE + number
                deputies = self.overlay.plan(tree).deputies
                peers += [each[place % len(each)] for each in deputies if each]
            if item.entered_here and number == LAST_ROUND:
                peers += self.overlay.neighbours(tree)
            for peer in peers:
                if peer != item.id.origin:
                    told.setdefault(peer, []).append(item.id)
        return [SendTo(*told_now) for told_now in announcements(told)]

    def _advance(self, now: Millis) -> None:
        """Go on to *now*, even if the clock was set back."""
        if now < self._now:
            span = Millis(self._now - now)
            self._announcements.clock_stepped_back(span)
            self.wanted.clock_stepped_back(span)
            self._wake = None
        self._now = now

    def _finish(self, effects: list[Effect]) -> list[Effect]:
        """Return *effects*, with a wish to be woken sooner than wished before."""
        for due in (self._announcements.due, self.wanted.due):
            if due is not None and (self._wake is None or due < self._wake):
                self._wake = due
                effects.append(WakeAt(due))
        return effects
