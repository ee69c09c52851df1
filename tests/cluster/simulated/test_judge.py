"""What the judge of every commit takes for a broken rule, and what not."""

import pytest

from cluster.simulated.chance import Chance
from cluster.simulated.disk import Disk
from cluster.simulated.judge import Judge
from cluster.simulated.loop import VirtualLoop
from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.store_view import (
    Commit,
    DurableState,
    Filling,
    StartOver,
    Write,
)
from kvnode.storage.durability import Durability
from kvnode.types import Dot, HlcTimestamp, ReplicaId
from tests.core.replication.entries import B, C, at, register

KEY = at(b"k")
DOT = Dot(C, 2)
MARK = StartOver(
    VersionVector.of({B: 1}), Floor(VersionVector.of({B: 1}), HlcTimestamp(50))
)


def complaints(clock: VersionVector, filling: Filling | None) -> tuple[str, ...]:
    """
    Return what is said of a store that starts over and drops all without a rescue.

    Args:
        clock: What it claims.
        filling: Whether a bootstrap was under way, and how far it was.
    """
    disk = Disk("node", Chance(0), Durability.FSYNC)
    disk.open()
    judge = Judge(lambda: 0.0)
    judge.opened("node", disk)
    disk.on_applied = lambda commit: judge.applied("node", commit)
    replica = disk.state().replica
    judge.may_start_over(replica)

    async def main() -> None:
        entry = register(DOT, hlc=10)
        state = DurableState(replica, clock, filling=filling)
        await disk.apply(Commit(state, (Write(KEY, entry, None),)))
        marked = DurableState(replica, clock, filling=filling, start_over=MARK)
        await disk.apply(Commit(marked))
        await disk.apply(Commit(marked, (Write(KEY, None, entry.version),)))

    VirtualLoop(Chance(0)).run_until_complete(main())  # type: ignore[abstract]
    return judge.violations()


def test_what_a_bootstrap_has_brought_need_not_be_rescued() -> None:
    """Its donor has it, covered or not, and the next one brings it again (G2b)."""
    assert complaints(EMPTY, Filling()) == ()


@pytest.mark.parametrize(
    ("clock", "filling"),
    [
        (VersionVector.of({C: 2}), Filling()),
        (VersionVector.of({C: 2}), None),
        (EMPTY, None),
    ],
)
def test_judge_sees_what_is_dropped_and_was_only_here(
    clock: VersionVector, filling: Filling | None
) -> None:
    """Whether it was claimed in a bootstrap, or held by a store that was whole."""
    [complaint] = complaints(clock, filling)

    assert complaint.startswith("rescued: ")


class Cluster:
    """Disks, and a judge that sees all that is committed to them."""

    def __init__(self) -> None:
        self.judge = Judge(lambda: 0.0)
        self.disks: dict[str, Disk] = {}

    def replica(self, name: str) -> ReplicaId:
        """Return who *name* is; its disk is made if there is none."""
        if name not in self.disks:
            chance = Chance(len(self.disks))  # another identity for each
            disk = self.disks[name] = Disk(name, chance, Durability.FSYNC)
            disk.open()
            self.judge.opened(name, disk)
            disk.on_applied = lambda commit: self.judge.applied(name, commit)
        return self.disks[name].state().replica

    def commit(self, name: str, state: DurableState, *writes: Write) -> None:
        """Make *state* and *writes* durable at *name*."""
        apply = self.disks[name].apply(Commit(state, writes))
        VirtualLoop(Chance(0)).run_until_complete(apply)  # type: ignore[abstract]

    def complaints(self, rule: str) -> list[str]:
        """Return what the judge has said of *rule*."""
        return [v for v in self.judge.violations() if v.startswith(f"{rule}: ")]


@pytest.mark.parametrize("mark", [None, MARK])
def test_opened_store_lacks_what_it_covers_only_while_it_starts_over(
    mark: StartOver | None,
) -> None:
    """I1: the clock of a marked store tells what it had, and nobody is told of it."""
    cluster = Cluster()
    origin, other = cluster.replica("origin"), cluster.replica("other")
    entry = register(Dot(origin, 1))
    put, clock = Write(KEY, entry, None), VersionVector.of({origin: 1})
    cluster.commit("origin", DurableState(origin, clock, seq=1), put)
    cluster.commit("other", DurableState(other, clock), put)
    state = DurableState(other, clock, start_over=mark)

    cluster.commit("other", state, Write(KEY, None, entry.version))
    cluster.judge.opened("other", cluster.disks["other"])

    assert bool(cluster.complaints("I1")) == (mark is None)
