"""
The judge: what must be true of every node's disk at every instant.

It sees each commit when it has happened, and each disk when a node starts, and
looks at nothing else.  What merging means it takes from kvnode's one merge
function; the rest it judges by comparison:

    I1      what a node covers is stored there, or something that supersedes it
    I2      with a write, all that it depends on is covered
    W2      a write is known elsewhere only when it is durable at home
    dots    no two writes have the same dot
    back    an entry never goes back to an older one
    index   the rows are exactly the dots of the entries
    equal   nodes that cover the same, and hold nothing beyond, hold the same
    kept    a restart loses nothing that was durable
    floor   only what a floor forgets is dropped, and floors only rise
    ended   what something forgotten has ended is not stored again
    digest  what turns carry along is what a scan finds (D9)
    rescued what only a store that starts over had is put aside (G2b)
    member  nobody must start over who counts (G1; cluster.simulated.admissions), and
            nobody who has nothing, and was not removed (D10)
    lost    what is told to be lost for good no member has, or gets (S2;
            cluster.simulated.endings)
    served  nobody answers a client while it is being filled or replaced, nor with
            nothing while a peer that it has met has something (D10)

All is judged commit by commit at the cost of what the commit holds.  A store that
starts over (G2b) is another replica's from then on: of what it drops there may be no
other copy.  Its clock says until the end what it had, which tells the fate of each
entry, and is no claim while it is marked: whoever opens a marked store replaces it
before a node runs on it (kvnode.runtime.start_over), and that may die with half of the
entries gone.  When the mark goes, all is judged that is claimed then.

A flipped bit may take what nobody else has.  So when a damaged record has been
replaced, the node may cover less, and hold an older entry; and of what is on no
disk any more anybody may claim what he likes.

So may members claim writes of a replica that is gone if no member has them
(docs/decisions/0015).  Nobody can ask the disk of one that is gone, which may run on
and have them all the same: until it hears of its removal it covers what others cover,
and holds more.  It then starts over, and must put aside what was *given up* so: kept,
it would be one store's alone for good.
"""

from collections.abc import Callable, Collection, Iterator

from cluster.simulated.admissions import Admissions
from cluster.simulated.disk import Disk
from cluster.simulated.endings import Endings
from cluster.simulated.judged_disk import (
    JudgedDisk,
    claimed,
    contains,
    entries_of,
    includes_write,
    is_blank,
    newly,
    starts_over,
)
from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.replication.entry_scan import finished, scan_digest
from kvnode.core.versions.floor import GROUND, Floor, forgets, mortal_from
from kvnode.core.versions.store_view import Commit, DurableState, StoreView
from kvnode.core.versions.version import (
    CRDT_KINDS,
    Entry,
    Version,
    outranks,
)
from kvnode.storage.durability import Durability
from kvnode.types import Dot, EntryKey, ReplicaId

VIOLATIONS_MAX = 50


class Judge:
    """Judges the disks of a cluster, and keeps what it finds wrong."""

    def __init__(self, now: Callable[[], float]) -> None:
        """Make a judge; *now* tells virtual seconds."""
        self._now = now
        self._sites: dict[str, JudgedDisk] = {}
        self._written: dict[Dot, tuple[EntryKey, Entry]] = {}
        self._durable: dict[ReplicaId, int] = {}
        self._violations: list[str] = []
        self._damaged: set[Dot] = set()
        self._given_up: set[Dot] = set()
        self._gone: set[Dot] = set()  # claimed when nobody held it, as may be
        self._floor = GROUND
        self._ends: dict[EntryKey, dict[Dot, Version]] = {}
        self._admissions = Admissions()
        self._endings = Endings()

    def violations(self) -> tuple[str, ...]:
        """Return what was wrong so far, oldest first."""
        return tuple(self._violations)

    def complain(self, rule: str, what: str) -> None:
        """Note that *rule* does not hold."""
        if len(self._violations) < VIOLATIONS_MAX:
            self._violations.append(f"{rule}: at {self._now():.6f} s, {what}")

    def is_gone(self, replica: ReplicaId) -> None:
        """Note that *replica* was removed, or has lost its store."""
        self._admissions.is_gone(replica)

    def is_new(self, replica: ReplicaId) -> None:
        """Note that *replica* has begun, empty or from a backup."""
        self._admissions.is_new(replica, excused=True)

    def flipped(self, name: str, key: EntryKey) -> None:
        """Note that the record of *key* is damaged: what it held may be lost."""
        self._damaged.update(self._sites[name].entries[key].version.index_dots)

    # -- when a node starts ---------------------------------------------------

    def opened(self, name: str, disk: Disk) -> None:
        """Judge all that node *name* finds on its disk."""
        before = self._sites.get(name)
        site = self._sites[name] = JudgedDisk(disk, self._now())
        if before is not None:
            site.filled_since = before.filled_since
        with disk.undamaged() as view:
            state = view.state()
            site.replica = state.replica
            site.floor, site.starts_over = state.floor, starts_over(state)
            site.marked = site.has_dropped = state.start_over is not None
            self._note_filled(site, state)
            self._note_durable(state)
            for key, entry in entries_of(view):
                site.put(key, entry)
                site.uncovered[key] = None
                self._note_own(name, site.replica, key, entry)
            self._judge_index(name, view)
        if site.marked:
            site.clock = claimed(state)  # what it had: it may have dropped some
        else:
            self._judge_coverage(name, site, claimed(state))
        self._judge_uncovered(site)
        kept = disk.durability is Durability.FSYNC
        if kept and before is not None and before.replica == site.replica:
            self._judge_kept(name, before, site)

    def _note_durable(self, state: DurableState) -> None:
        """Note how far the writes of a node itself are durable at home."""
        before = self._durable.get(state.replica, 0)
        self._durable[state.replica] = max(before, state.seq)

    def _note_filled(self, site: JudgedDisk, state: DurableState) -> None:
        """Note since when the store has something, or is being filled."""
        if not state.clock and not starts_over(state):
            site.filled_since = None
        elif site.filled_since is None:
            site.filled_since = self._now()

    def _judge_kept(self, name: str, before: JudgedDisk, after: JudgedDisk) -> None:
        if not after.clock.includes(before.clock):
            self.complain(
                "kept", f"{name} covered {before.clock}, now only {after.clock}"
            )
        for key, entry in before.entries.items():
            if not contains(after.entries.get(key), entry):
                self.complain("kept", f"{name} has lost what it held of {key.key!r}")

    # -- when a client is answered --------------------------------------------

    def answered(
        self, name: str, state: DurableState, connected: Collection[ReplicaId]
    ) -> None:
        """
        Judge that node *name* has answered a client (D10).

        Args:
            name: Which node.
            state: What its next turn will build on, be it durable yet or not.
            connected: The peers that it has met, and is connected to.  Who speaks in
                the name of one is none: of an attacker that repeats what a peer said
                when it was new, all looks as if it came from a new peer.
        """
        site = self._sites[name]
        if site.disk.state().filling is not None:
            self.complain("served", f"{name} answered while it was filled")
        elif site.marked and site.has_dropped:
            self.complain("served", f"{name} answered while its store was replaced")
        elif state.filling is None and is_blank(state, site):
            for other_name, other in self._sites.items():
                if (
                    other.replica in connected
                    and state.roster.counts(other.replica)
                    and self._had_something_to_say(other, before=site.opened_at)
                ):
                    self.complain(
                        "served", f"{name} answered with nothing, and met {other_name}"
                    )

    def _had_something_to_say(self, site: JudgedDisk, *, before: float) -> bool:
        """Tell whether each hello since *before* said that there is something."""
        since = site.filled_since
        if since is None or since >= before:
            return False
        # If all who had something are gone, one that was being filled gives it up.
        return any(
            self._admissions.counts(one.replica, one.clock)
            for one in self._sites.values()
            if one.clock
        )

    # -- after every commit ---------------------------------------------------

    def applied(self, name: str, commit: Commit) -> None:
        """Judge what *commit* has made of the disk of node *name*."""
        site, state = self._sites[name], commit.state
        self._judge_endings(name, state)
        self._note_durable(state)
        self._note_filled(site, state)
        self._judge_start_over(name, site, commit)
        self._judge_floor(name, site, state)
        with site.disk.undamaged() as view:
            last = {write.key: None for write in commit.writes}
            for key in last:
                entry = view.entry(key)
                if entry is None:
                    self._judge_dropping(name, site, state, key)
                    continue
                if key in site.disk.mended:
                    self._judge_mending(name, site, key, entry, state.clock)
                self._judge_write(name, site, view, key, entry)
        self._note_identity(name, site, state)
        clock = claimed(state)
        if not starts_over(state):
            self._admissions.knows(state.replica, clock, state.roster)
        if site.disk.mended:
            self._judge_uncovering(name, site, clock)
        elif not clock.includes(site.clock):
            self.complain("kept", f"{name} uncovers what it covered: {clock}")
        if clock != site.clock:
            self._judge_coverage(name, site, clock)
        for key in last:
            if key in site.entries:
                site.uncovered[key] = None
        self._judge_uncovered(site)
        self._judge_equality(name, site)

    def _judge_endings(self, name: str, state: DurableState) -> None:
        """Judge what *state* says is lost for good, the first time it is said."""
        for gone, end, members in self._endings.learn(state.roster):
            for other_name, site in self._sites.items():
                if site.replica not in members:
                    continue
                held = {
                    dot
                    for entry in site.entries.values()
                    for dot in entry.version.index_dots
                    if dot.replica == gone and dot.seq > end
                }
                if held or site.clock.newest(gone) > end:
                    self.complain(
                        "lost",
                        f"{name} says that {gone:016x} ends at {end}, and {other_name}"
                        f" covers {site.clock.newest(gone)} and holds {sorted(held)}",
                    )

    def _judge_lost(self, name: str, site: JudgedDisk, dots: Collection[Dot]) -> None:
        """Judge that nothing comes that sessions have been told is lost."""
        state = site.disk.state()
        if starts_over(state):
            return  # it has just heard of that, and the rest is put aside
        if lost := self._endings.lost(state.replica, state.roster, dots):
            self.complain("lost", f"{name} gets {lost}, which were lost for good")

    def _note_identity(self, name: str, site: JudgedDisk, state: DurableState) -> None:
        """Note whose store it is now, and whether it is to be replaced."""
        if site.replica != state.replica:  # in relaxed mode that may be all
            self._admissions.is_gone(site.replica)
            self._admissions.is_new(state.replica, excused=False)
        site.replica = state.replica
        was_marked, site.marked = site.marked, state.start_over is not None
        if was_marked and not site.marked:
            site.clock = EMPTY  # it said what it had: what it claims now is judged anew
            site.has_dropped = False
            self._judge_keeping(name, site)

    def _judge_floor(self, name: str, site: JudgedDisk, state: DurableState) -> None:
        """Judge what *state* says is forgotten (G2)."""
        began_again = site.replica != state.replica
        if not began_again and not state.floor.includes(site.floor):
            self.complain("floor", f"{name} went back from {site.floor}")
        if not state.clock.includes(state.floor.vector) and not self._damaged:
            self.complain("floor", f"{name} forgets what it does not cover")
        site.floor, site.starts_over = state.floor, starts_over(state)
        if state.floor is not self._floor:
            self._floor = self._floor.join(state.floor)

    def _judge_start_over(self, name: str, site: JudgedDisk, commit: Commit) -> None:
        """
        Judge that the store has a reason to start over, if it begins to.

        What a push brings in the same turn is one: nobody can tell whether something
        forgotten has ended it (G2b).  Another one is to have what all members of then
        have agreed to be lost (docs/decisions/0034).
        """
        state = commit.state
        mark = state.start_over
        if mark is None or site.starts_over:
            return
        # After an unclean stop in relaxed mode the replica may be another one; damage
        # makes a node give up claims.
        lasting = site.disk.durability is Durability.FSYNC and not self._damaged
        if not lasting or site.replica != state.replica:
            return
        clock = claimed(state)
        if clock.includes(mark.floor.vector):
            clock = site.clock  # the rest of the turn has brought what it lacked
        if not (
            self._admissions.may_start_over(state.replica, clock)
            or self._endings.agreed_without(state.replica, state.roster, state.clock)
        ):
            self.complain("member", f"{name} must start over, and was a member")
        takes_in = any(write.entry is not None for write in commit.writes)
        has_nothing = is_blank(state, site) and not takes_in
        if has_nothing and not state.roster.gone(state.replica):
            self.complain("member", f"{name} must start over, and had nothing")

    def _judge_dropping(
        self, name: str, site: JudgedDisk, state: DurableState, key: EntryKey
    ) -> None:
        """Judge that nothing is left of *key* (G2, G2b)."""
        before = site.entries.get(key)
        if before is None:
            return
        mark = state.start_over
        if mark is not None:
            site.has_dropped = True
            held = before.version.index_dots
            if state.filling is not None and not any(map(state.clock.covers, held)):
                held = ()  # a bootstrap had brought it: its donor has it
            dots = [
                d for d in held if d in self._given_up or not mark.covered.covers(d)
            ]
            self._damaged.update(dots)
            is_lost = key in site.disk.mended  # its record was damaged
            if dots and not is_lost and (key, before) not in site.disk.rescued:
                self.complain("rescued", f"{name} lost {key.key!r}, which was {before}")
        elif not starts_over(state) and not forgets(state.floor, before.version):
            self.complain("floor", f"{name} dropped {key.key!r}, which is {before}")
        site.forget(key)

    def _judge_keeping(self, name: str, site: JudgedDisk) -> None:
        """Judge that a store that has started over has kept nothing given up."""
        for key, entry in site.entries.items():
            if not self._given_up.isdisjoint(entry.version.index_dots):
                self.complain("rescued", f"{name} keeps {key.key!r}, which is given up")

    def _ended(self, key: EntryKey, entry: Entry, floor: Floor) -> bool:
        """Tell whether something that *floor* forgets has ended *entry*."""
        return any(
            forgets(floor, version) and outranks(version, entry.version)
            for version in self._ends.get(key, {}).values()
        )

    def _judge_mending(
        self,
        name: str,
        site: JudgedDisk,
        key: EntryKey,
        entry: Entry,
        clock: VersionVector,
    ) -> None:
        """Judge what is claimed of a damaged key if its entry is older now (I1)."""
        if contains(entry, site.entries[key]):
            return
        site.forget(key)
        for dot, (written_key, written) in self._written.items():
            if (
                written_key == key
                and clock.covers(dot)
                and not includes_write(entry, written)
                and not self._ended(key, written, self._floor)
                and self._exists(key, written)
            ):
                self.complain(
                    "I1", f"{name} still covers {dot} of {key.key!r}, damaged and gone"
                )

    def _exists(self, key: EntryKey, written: Entry) -> bool:
        """Tell whether some disk has a sound record that includes a write."""
        return next(self._holders(key, written), None) is not None

    def _holders(self, key: EntryKey, written: Entry) -> Iterator[JudgedDisk]:
        """Yield whose disks have a sound record that includes a write."""
        for site in self._sites.values():
            if includes_write(
                site.entries.get(key), written
            ) and not site.disk.is_damaged(key):
                yield site

    def _may_be_gone(
        self, site: JudgedDisk, dot: Dot, key: EntryKey, written: Entry
    ) -> bool:
        """Tell whether a write that *site* claims may be on no member's disk."""
        holders = tuple(self._holders(key, written))
        is_gone = site.disk.state().roster.gone(dot.replica)
        if not holders:
            if is_gone:
                self._gone.add(dot)
            return is_gone or bool(self._damaged)
        # What has replaced it since, by its stamp, only seems to hold it.
        if is_gone and dot in self._gone:
            return True
        if not self._is_closed(dot) or not all(
            self._admissions.has_gone(holder.replica) for holder in holders
        ):
            return False
        self._given_up.add(dot)
        return True

    def _is_closed(self, dot: Dot) -> bool:
        """Tell whether some roster says that *dot* is claimed whoever has it."""
        records = (
            site.disk.state().roster.get(dot.replica) for site in self._sites.values()
        )
        return any(r is not None and r.closed_above < dot.seq for r in records)

    def _judge_uncovering(
        self, name: str, site: JudgedDisk, clock: VersionVector
    ) -> None:
        """Judge that what is not covered any more is not stored here (I1)."""
        for replica, first, last in site.clock.missing_from(clock):
            with site.disk.undamaged() as view:
                for dot, key in view.index(replica, first, last):
                    self.complain(
                        "kept", f"{name} uncovers {dot} of {key.key!r}, which it holds"
                    )

    def _judge_write(
        self, name: str, site: JudgedDisk, view: StoreView, key: EntryKey, entry: Entry
    ) -> None:
        before = site.entries.get(key)
        if self._ended(key, entry, site.floor) and before is None:
            self.complain("ended", f"{name}: {key.key!r} is {entry} again")
        if (
            before is not None
            and not contains(entry, before)
            and not forgets(self._floor, before.version)
            and not self._ended(key, before, self._floor)
        ):
            self.complain("back", f"{name}: {key.key!r} went from {before} to {entry}")
        dots = entry.version.index_dots
        for dot in dots:
            rows = tuple(view.index(dot.replica, dot.seq, dot.seq))
            if rows != ((dot, key),):
                self.complain("index", f"{name}: {dot} of {key.key!r} has rows {rows}")
            if dot.seq > self._durable.get(dot.replica, dot.seq):
                self.complain("W2", f"{name} holds {dot}, not durable at home")
        had = before.version.index_dots if before is not None else ()
        self._judge_lost(name, site, [dot for dot in dots if dot not in had])
        for dot in had:
            if dot not in dots and any(view.index(dot.replica, dot.seq, dot.seq)):
                self.complain("index", f"{name}: a row of {dot} was left behind")
        self._note_own(name, site.replica, key, entry)
        site.put(key, entry)

    def _note_own(
        self, name: str, replica: ReplicaId, key: EntryKey, entry: Entry
    ) -> None:
        """Note a write of node *name* itself; its dot must be new."""
        dot = entry.version.dot
        if dot.replica != replica:
            return
        known = self._written.get(dot)
        if known is None:
            self._written[dot] = (key, entry)
            if mortal_from(entry.version) is not None:
                self._ends.setdefault(key, {})[dot] = entry.version
        elif known[0] != key or not (
            contains(entry, known[1]) or contains(known[1], entry)
        ):
            self.complain("dots", f"{name} gave {dot} to {key.key!r} and {known[0]}")

    def _judge_coverage(
        self, name: str, site: JudgedDisk, clock: VersionVector
    ) -> None:
        """Judge what is covered now and was not before (I1, I2)."""
        for dot in newly(site.clock, clock):
            self._judge_lost(name, site, (dot,))
            written = self._written.get(dot)
            if written is None:
                continue
            key, entry = written
            if (
                not includes_write(site.entries.get(key), entry)
                and not forgets(self._floor, entry.version)
                and not self._ended(key, entry, self._floor)
                and not self._may_be_gone(site, dot, key, entry)
            ):
                self.complain("I1", f"{name} covers {dot} of {key.key!r} and lacks it")
            needed = entry.version.dependencies
            # A value that merges may have been joined, in the turn that wrote it,
            # with one that the push of the write does not have.
            joins = entry.version.kind in CRDT_KINDS
            lacking = [d for d in needed if not clock.covers(d)]
            if not joins and not self._damaged.issuperset(lacking):
                self.complain("I2", f"{name} covers {dot} without all of {needed}")
        site.clock = clock

    @staticmethod
    def _judge_uncovered(site: JudgedDisk) -> None:
        """Find which of the entries that may be uncovered are."""
        for key in tuple(site.uncovered):
            if site.clock.covers_all(site.entries[key].version.index_dots):
                del site.uncovered[key]

    def _judge_equality(self, name: str, site: JudgedDisk) -> None:
        # What a damaged record would say does not count: it may be replaced by less.
        if not site.settled or self._has_given_up(site):
            return
        for other_name, other in self._sites.items():
            if (
                other is not site
                and other.digest != site.digest
                and other.clock == site.clock
                and other.floor == site.floor
                and other.settled
                and not self._has_given_up(other)
            ):
                self.complain(
                    "equal", f"{name} and {other_name} cover the same, hold different"
                )

    def _has_given_up(self, site: JudgedDisk) -> bool:
        """Tell whether a store of one that is gone has what members do without."""
        return self._admissions.has_gone(site.replica) and any(
            map(site.clock.covers, self._given_up)
        )

    # -- at the end -----------------------------------------------------------

    def judge_all(self) -> None:
        """Judge every disk from beginning to end once more."""
        for name, site in self._sites.items():
            with site.disk.undamaged() as view:
                self._judge_index(name, view)
                if dict(entries_of(view)) != site.entries:
                    self.complain("kept", f"{name} holds what it never committed")
                digest, scanned = view.state().digest, finished(scan_digest(view))
                if digest.known and digest.total != scanned:
                    self.complain("digest", f"{name} has {digest}, not {scanned}")

    def _judge_index(self, name: str, view: StoreView) -> None:
        rows = sorted(
            row
            for replica in view.indexed_replicas()
            for row in view.index(replica, 1, None)
        )
        due = sorted(
            (dot, k) for k, e in entries_of(view) for dot in e.version.index_dots
        )
        if rows != due:
            wrong = sorted(set(rows) ^ set(due))
            self.complain("index", f"{name} has rows and entries that differ: {wrong}")
