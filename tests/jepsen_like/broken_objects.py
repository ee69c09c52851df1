"""
Objects that break a rule, to see that a run of the harness notices.

Each is one line of a replica, a gate or an instance that is wrong, patched in a test
and nowhere else.  Those that judges below the harness are tried on as well are theirs
(tests.simulation.test_shard_sabotage, tests.objects.running.test_sabotage).
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import pytest

from jepsen_like import generator
from jepsen_like.adapters.trial_object import COPY
from jepsen_like.nemesis.faults import Cut, Heal, Kill, SlowDisk, Start
from jepsen_like.nemesis.partitions import between
from jepsen_like.plan import Invoke, Plan, Step, Strike
from jepsen_like.workloads.workload import Extent
from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.events import Opened
from kvnode.core.objects.homes import number_of, shard_name
from kvnode.core.objects.leadership import Leadership
from kvnode.core.objects.map_change import Change, encode_changes
from kvnode.core.objects.settings import ShardSettings
from kvnode.core.objects.shard_turn import ShardTurn
from kvnode.errors import KvError, UnavailableError
from kvnode.objects.object_id import BODY_BYTES, ObjectId
from kvnode.objects.points import object_points
from kvnode.objects.points.bookmark import Bookmark
from kvnode.objects.points.object_points import ObjectPoints
from kvnode.objects.points.point_calls import Restored
from kvnode.objects.running.claims import Claims
from kvnode.objects.running.instance import Instance
from kvnode.objects.running.kept_results import KeptResults
from kvnode.objects.running.output_gate import Mark, OutputGate
from kvnode.objects.running.restorer import Restorer
from kvnode.objects.running.shard_objects import ShardObjects
from kvnode.objects.storing import committer
from kvnode.objects.storing.keys import Kind, object_prefix
from kvnode.types import ReplicaId
from tests.objects.running.test_sabotage import (
    alarm_is_kept_in_memory,
    input_gate_off,
    reads_are_not_confirmed,
    writes_leave_at_once,
)
from tests.simulation.test_shard_sabotage import (
    answers_before_durable,
    lease_is_not_kept,
    no_adoption,
    no_seal,
)


def reads_leave_at_once(patch: pytest.MonkeyPatch) -> None:
    """What a call reads may not be committed yet; it waits for its own writes alone."""
    leave_of = OutputGate.leave_later

    def leave_later(
        self: OutputGate, since: Mark, left: Callable[[KvError | None], None]
    ) -> None:
        if self._committer.count > since.entries:
            leave_of(self, since, left)
        else:
            left(None)

    patch.setattr(OutputGate, "leave_later", leave_later)


def leads_for_ever(patch: pytest.MonkeyPatch) -> None:
    """
    Who believes to lead answers, for as long as nobody tells it otherwise.

    A leader that nobody confirms stops by itself before others begin, which saves its
    readers even where reads are not confirmed: so it must not do that either.
    """
    reads_are_not_confirmed(patch)
    patch.setattr(Leadership, "is_stale", lambda _self, _now: False)


def results_are_not_kept(patch: pytest.MonkeyPatch) -> None:
    """A call with a key runs again whenever it is sent again."""
    patch.setattr(KeptResults, "find", lambda _self, _key, _now: None)


def opens_at_once(patch: pytest.MonkeyPatch) -> None:
    """It serves before an entry of its own epoch is committed."""
    begin = Leadership.__init__

    def begun(
        self: Leadership,
        configuration: Configuration,
        own: ReplicaId,
        settings: ShardSettings,
        turn: ShardTurn,
    ) -> None:
        begin(self, configuration, own, settings, turn)
        self.is_open = True
        turn.at_once.append(Opened(self.epoch, turn.committed))

    patch.setattr(Leadership, "__init__", begun)


def restore_leaves_a_key_out(patch: pytest.MonkeyPatch) -> None:
    """One of two that are written together stays what it is."""
    restoring_of = ObjectPoints.restoring

    def restoring(self: ObjectPoints, number: int, kept: Iterable[str]) -> list[Change]:
        return restoring_of(self, number, (*kept, COPY))

    patch.setattr(ObjectPoints, "restoring", restoring)


def restore_leaves_the_database_out(patch: pytest.MonkeyPatch) -> None:
    """What keys hold is put back, and what the object's database holds is not."""
    restored = (Kind.ALARM, Kind.STORED)
    patch.setattr(object_points, "_RESTORED", restored)


def database_is_not_in_the_log(patch: pytest.MonkeyPatch) -> None:
    """What was written to it beside keys is in this node's memory alone."""

    def encoded(changes: list[Change]) -> bytes:
        pages = object_prefix(b"\0" * BODY_BYTES, Kind.SQL_PAGE)
        kept = [c for c in changes if c.key[len(pages) - 1 : len(pages)] != pages[-1:]]
        return encode_changes(kept)

    patch.setattr(committer, "encode_changes", encoded)


def bookmark_is_of_the_entry_before(patch: pytest.MonkeyPatch) -> None:
    """The last entry that is known to be committed is not in it."""
    current_of = ObjectPoints.current

    def current(self: ObjectPoints) -> str:
        bookmark = Bookmark.parse(self._body, current_of(self), self._region)
        return bookmark._replace(number=bookmark.number - 1).text_for(
            self._body, self._region
        )

    patch.setattr(ObjectPoints, "current", current)


def bookmark_that_undoes_is_of_the_restore(patch: pytest.MonkeyPatch) -> None:
    """It names what the object has become, and not what it was."""
    restored_of = ObjectPoints.restored

    def restored(self: ObjectPoints, number: int) -> Restored:
        undo = Bookmark(number).text_for(self._body, self._region)
        return restored_of(self, number)._replace(undo=undo)

    patch.setattr(ObjectPoints, "restored", restored)


def instance_outlives_the_restore(patch: pytest.MonkeyPatch) -> None:
    """What it has in memory is not read again."""
    begin = Restorer.__init__

    async def go_on(id_: ObjectId, why: UnavailableError) -> None:
        del id_, why

    def begun(self: Restorer, *given: Any, **named: Any) -> None:  # noqa: ANN401 -- whatever it takes
        begin(self, *given, **{**named, "end": go_on})

    patch.setattr(Restorer, "__init__", begun)


def claims_are_not_in_the_log(patch: pytest.MonkeyPatch) -> None:
    """Who leads next knows nothing of them."""

    async def claim(self: Claims, id_: ObjectId, region: str) -> None:
        number = number_of(self._shard)
        assert number is not None
        await self._found(shard_name(number, region))
        self._unseen[id_.body] = ENTRIES_MAX, region

    patch.setattr(Claims, "_claim", claim)


def claims_are_told_before_they_are_committed(patch: pytest.MonkeyPatch) -> None:
    """They are in the log of who leads, and may go with it."""
    claim_of = Claims._claim

    async def claim(self: Claims, id_: ObjectId, region: str) -> None:
        task = asyncio.ensure_future(claim_of(self, id_, region))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._unseen[id_.body] = ENTRIES_MAX, region

    patch.setattr(Claims, "_claim", claim)


def claims_go_before_what_is_stored(patch: pytest.MonkeyPatch) -> None:
    """An object that lives here is placed elsewhere, where it has nothing."""
    patch.setattr(Claims, "has_stored", lambda _self, _body: False)


def claims_go_before_who_is_in_memory(patch: pytest.MonkeyPatch) -> None:
    """One that has been asked, and has stored nothing yet, goes on beside it."""
    instance_of = ShardObjects.instance

    async def instance(
        self: ShardObjects, id_: ObjectId, location_hint: str = ""
    ) -> Instance:
        there = self._instances.pop(id_.body, None) if location_hint else None
        try:
            return await instance_of(self, id_, location_hint)
        finally:
            if there is not None:
                self._instances[id_.body] = there

    patch.setattr(ShardObjects, "instance", instance)
    patch.setattr(ShardObjects, "present", lambda _self, _id: None)


def bookmarks_of_another_log_are_taken(patch: pytest.MonkeyPatch) -> None:
    """What was named before an object was placed is something else where it lives."""
    patch.setattr(object_points, "region_of", lambda _shard: "")


NODES = ("n1", "n2", "n3")
USUAL = Extent()
FIRST_LEADER = "n2"
"""Of the shard in which object `k0` lives: shards are founded one after another."""

WRITERS = 4
READERS = 40
"""Who is not answered asks for nothing else: so there must be others."""


def drawn(
    workload: str, nemeses: tuple[str, ...], extent: Extent = USUAL
) -> Callable[[int], Plan]:
    """Return what draws a plan from a seed."""
    return lambda seed: generator.plan(workload, nemeses, seed, NODES, extent)


def read_of_the_first_leader(seed: int, *faults: Strike) -> Plan:
    """
    Return a plan that writes elsewhere, and reads at the first leader.

    Before it is harmed nobody writes for a while: what waits to be committed there
    would keep in all that is read later.
    """
    writes = [
        Invoke(at, at // 20 % WRITERS, "n1", "write", "k0", at)
        for at in (*range(0, 300, 20), *range(1500, 7000, 20))
    ]
    reads = [
        Invoke(at, WRITERS + at // 20 % READERS, FIRST_LEADER, "read", "k0")
        for at in range(0, 7000, 20)
    ]
    unordered: list[Step] = [*faults, *writes, *reads]
    steps = tuple(sorted(unordered, key=lambda step: step.at))
    return Plan("object-register", seed, NODES, steps, generator.SETTLE_MS)


def heard_by_one_alone(seed: int) -> Plan:
    """
    Let one of two followers hear nothing of the first leader, and take over.

    The other one is heard by it until about then, so that it has a lease.
    """
    deaf = Cut(((FIRST_LEADER, "n1"), ("n1", FIRST_LEADER)))
    mute = Cut((("n3", FIRST_LEADER),))
    return read_of_the_first_leader(
        seed,
        Strike(1000, deaf),
        Strike(2000 + seed * 97 % 1000, mute),
        Strike(6000, Heal()),
    )


def cut_off(seed: int) -> Plan:
    """Let nobody hear of the first leader, nor that of them."""
    others = [node for node in NODES if node != FIRST_LEADER]
    cut = Cut(between([FIRST_LEADER], others))
    return read_of_the_first_leader(seed, Strike(1000, cut), Strike(6000, Heal()))


def power_fails_while_disks_are_slow(seed: int) -> Plan:
    """Let all end while two have an entry on its way to disk, and those begin again."""
    followers = tuple(node for node in NODES if node != FIRST_LEADER)
    return read_of_the_first_leader(
        seed,
        *(Strike(1400, SlowDisk(node, 1500)) for node in followers),
        Strike(2500, Kill(NODES)),
        *(Strike(2600, SlowDisk(node, 0)) for node in followers),
        Strike(2600, Start(followers)),
        Strike(5000, Start((FIRST_LEADER,))),
    )


class BrokenObjects(NamedTuple):
    """
    Broken objects, and the runs that should show it.

    Attributes:
        apply: What is wrong.
        plan: Plans that bring it out, by their seeds.
        seed: Where to begin: one that showed it once.
        is_drawn: The plans are like those of every run, and not made for this.
    """

    apply: Callable[[pytest.MonkeyPatch], None]
    plan: Callable[[int], Plan]
    seed: int = 0
    is_drawn: bool = True


ONE_OBJECT = Extent(operations=300, workers=8, keys=1)
"""So that many ask for the same, while its shard has many leaders."""

MANY_OBJECTS = Extent(operations=300, workers=8, keys=30)
"""So that many are asked for the first time, whatever is done to them."""

ENTRIES_MAX = 1 << 62

FEW_ALARMS = Extent(operations=30, keys=8)
"""Each alarm that is set rings for all that wait: so another must not come soon."""

BROKEN_OBJECTS: Mapping[str, BrokenObjects] = {
    "no seal at takeover": BrokenObjects(
        no_seal, drawn("object-list-append", ("partition",)), seed=2
    ),
    "own log taken for the most advanced": BrokenObjects(
        no_adoption,
        drawn("object-list-append", ("partition", "restart-storm"), ONE_OBJECT),
        seed=8,
    ),
    "serves before its own epoch has committed": BrokenObjects(
        opens_at_once,
        drawn("object-register", ("partition", "restart-storm"), ONE_OBJECT),
    ),
    "acknowledged before it is durable": BrokenObjects(
        answers_before_durable,
        power_fails_while_disks_are_slow,
        seed=57,
        is_drawn=False,
    ),
    "lease not kept by those who gave it": BrokenObjects(
        lease_is_not_kept, heard_by_one_alone, seed=24, is_drawn=False
    ),
    "reads without confirmation": BrokenObjects(
        leads_for_ever, cut_off, is_drawn=False
    ),
    "input gate off": BrokenObjects(
        input_gate_off, drawn("object-bank", ("none",), Extent(operations=300, keys=1))
    ),
    "reads leave before what they saw is committed": BrokenObjects(
        reads_leave_at_once,
        drawn("object-register", ("partition-one",), ONE_OBJECT),
        seed=25,
    ),
    "reply before commit": BrokenObjects(
        writes_leave_at_once,
        drawn("object-list-append", ("partition-one",), ONE_OBJECT),
        seed=2,
    ),
    "alarm not in the log": BrokenObjects(
        alarm_is_kept_in_memory,
        drawn("object-alarm", ("kill",), FEW_ALARMS),
    ),
    "results not kept": BrokenObjects(
        results_are_not_kept, drawn("object-counter", ("none",))
    ),
    "restore leaves a key out": BrokenObjects(
        restore_leaves_a_key_out, drawn("object-restore", ("none",))
    ),
    "restore leaves the database out": BrokenObjects(
        restore_leaves_the_database_out, drawn("object-restore", ("none",))
    ),
    "database not in the log": BrokenObjects(
        database_is_not_in_the_log, drawn("object-register", ("kill",))
    ),
    "bookmark is of the entry before": BrokenObjects(
        bookmark_is_of_the_entry_before, drawn("object-restore", ("none",))
    ),
    "bookmark that undoes a restore is of the restore": BrokenObjects(
        bookmark_that_undoes_is_of_the_restore, drawn("object-restore", ("none",))
    ),
    "instance outlives the restore": BrokenObjects(
        instance_outlives_the_restore, drawn("object-restore", ("none",))
    ),
    "bookmarks of another log are taken": BrokenObjects(
        bookmarks_of_another_log_are_taken,
        drawn("object-restore", ("none",), MANY_OBJECTS),
        seed=1,
    ),
    "claims not in the log": BrokenObjects(
        claims_are_not_in_the_log,
        drawn("object-register", ("kill",), MANY_OBJECTS),
        seed=2,
    ),
    "claims told before they are committed": BrokenObjects(
        claims_are_told_before_they_are_committed,
        drawn("object-register", ("partition-one",), MANY_OBJECTS),
        seed=1,
    ),
    "claims go before what is stored": BrokenObjects(
        claims_go_before_what_is_stored,
        drawn("object-register", ("kill",), MANY_OBJECTS),
        seed=1,
    ),
    "claims go before who is in memory": BrokenObjects(
        claims_go_before_who_is_in_memory,
        drawn("object-register", ("none",), MANY_OBJECTS),
        seed=1,
    ),
}
