"""What leaves an object with the same entry leaves together, and nothing too early."""

from functools import partial
from weakref import ref

import pytest

from kvnode.core.objects.map_change import Change, ChangeKind
from kvnode.errors import KvError, UnavailableError
from kvnode.objects.running.output_gate import OutputGate
from kvnode.objects.storing.committer import Committer
from kvnode.objects.storing.overlay import Overlay
from tests.objects.running.fake_log import DictState, FakeLog
from tests.objects.running.objects import SHARD, Site, settled


class LeasedLog(FakeLog):
    """
    Counts.

    Attributes:
        looks: How often somebody has looked at the lease.
    """

    looks = 0

    def has_lease(self, shard: str) -> bool:
        """Count."""
        self.looks += 1
        return super().has_lease(shard)


class Gated:
    """An output gate, and what leaves by it."""

    def __init__(self) -> None:
        self.log = LeasedLog(Site().host)
        self.log.applies = False
        self.overlay = Overlay(DictState())
        self.committer = Committer(
            self.overlay,
            partial(self.log.propose, SHARD),
            on_commit=lambda: None,
            on_failure=self._failed,
        )
        self.gate = OutputGate(self.committer, self.log, SHARD)
        self.left: list[tuple[str, KvError | None]] = []

    def _failed(self, failure: KvError) -> None:
        self.committer.fail(failure)
        self.committer.release()

    def write(self, key: bytes) -> None:
        """Stage a change."""
        self.overlay.stage([Change(ChangeKind.PUT, key, b"1")])
        self.committer.wrote()

    def leave(self, name: str) -> None:
        """Let *name* leave as soon as it may."""
        mark = self.gate.mark()
        self.gate.leave_later(mark, lambda why: self.left.append((name, why)))

    @property
    def names(self) -> list[str]:
        """Return who has left."""
        return [name for name, _ in self.left]


async def test_all_that_wait_for_an_entry_leave_with_one_look_at_the_lease() -> None:
    """It is looked at when they leave, which is after all of them have read."""
    gated = Gated()
    for name in ("a", "b", "c"):
        gated.write(name.encode())
        gated.leave(name)
    assert gated.log.looks == 0

    await settled()

    assert gated.left == [("a", None), ("b", None), ("c", None)]
    assert gated.log.looks == 1


async def test_who_has_written_later_waits_for_the_next_entry() -> None:
    """The first entry was proposed before: it says nothing of what came then."""
    gated = Gated()
    gated.log.commits.clear()
    gated.write(b"a")
    gated.leave("a")
    await settled()
    gated.write(b"b")
    gated.leave("b")
    first = len(gated.log.entries)
    await settled()
    assert (first, len(gated.log.entries), gated.names) == (1, 2, [])

    gated.log.commits.set()
    await settled()

    assert gated.names == ["a", "b"]
    assert gated.log.looks == 2  # once with each entry


async def test_who_has_read_what_is_durable_waits_for_nobody() -> None:
    """Neither for what was proposed before it came, nor for what is staged later."""
    gated = Gated()
    gated.leave("reader")
    gated.write(b"a")
    gated.leave("writer")

    assert gated.names == ["reader"]
    await settled()
    assert gated.names == ["reader", "writer"]


async def test_nobody_is_forgotten_when_the_object_ends_before_it_proposes() -> None:
    """Who comes after the others were let go does not join them."""
    gated = Gated()
    gated.write(b"a")
    gated.leave("a")

    gated._failed(UnavailableError("it has ended"))
    gated.leave("b")
    await settled()
    gated.leave("c")

    assert gated.names == ["a", "b", "c"]
    assert all(isinstance(why, UnavailableError) for _, why in gated.left)
    assert not gated.log.entries


async def test_what_has_left_is_kept_no_longer() -> None:
    """An object that rests would else keep the results of its last calls."""
    gated = Gated()

    def left(_: KvError | None) -> None:
        gated.left.append(("a", None))

    gone = ref(left)
    gated.write(b"a")
    gated.gate.leave_later(gated.gate.mark(), left)
    del left
    assert gone() is not None
    await settled()

    assert gated.names == ["a"]
    assert gone() is None


async def test_all_that_leave_together_are_told_that_the_entry_is_lost() -> None:
    """Each by what it has begun with."""
    gated = Gated()
    gated.log.refusal = UnavailableError("another leads")
    for name in ("a", "b"):
        gated.write(name.encode())
        gated.leave(name)
    await settled()

    assert gated.names == ["a", "b"]
    assert all(isinstance(why, UnavailableError) for _, why in gated.left)


@pytest.mark.parametrize("lost", [False, True])
async def test_without_a_lease_each_is_confirmed(*, lost: bool) -> None:
    """By rounds of messages, which the log shares among those that wait."""
    gated = Gated()
    gated.log.leased = False
    for name in ("a", "b"):
        gated.write(name.encode())
        gated.leave(name)
    gated.log.loss = UnavailableError("another leads") if lost else None
    await settled()

    assert gated.names == ["a", "b"]
    assert [why is not None for _, why in gated.left] == [lost, lost]
    assert gated.log.confirmed == (0 if lost else 2)
