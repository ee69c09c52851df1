"""Writers that remember what was acknowledged."""

import asyncio
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from cluster.demo.writers import Writers
from kvnode.client import Client, WriteResult
from kvnode.errors import ConnectionLostError, KvError, UnavailableError


class FakeNode:
    """Fails its first puts with *errors*, one each, and takes all others."""

    def __init__(self, *errors: KvError, enough: int = 1) -> None:
        self.held: dict[str, str] = {}
        self.filled = asyncio.Event()
        self._errors = list(errors)
        self._enough = enough

    async def put(self, key: str, value: str, *, deadline: float) -> WriteResult:
        """Store, or fail; *deadline* is kept by being fast."""
        assert deadline > 0
        await asyncio.sleep(0)
        if self._errors:
            raise self._errors.pop(0)
        self.held[key] = value
        if len(self.held) >= self._enough:
            self.filled.set()
        return WriteResult(applied=True, version="1", current_version="", replicas=1)


def writers_at(node: FakeNode) -> Writers:
    """Writers at a fake node."""
    return Writers("tokyo", cast("Client", node))


async def test_every_acknowledged_write_is_remembered_with_its_value() -> None:
    """What the writers believe to be stored is what the node has."""
    node = FakeNode(enough=20)
    writers = writers_at(node)

    writers.start()
    await node.filled.wait()
    await writers.stop()

    assert {
        key.decode(): value.decode() for key, value in writers.acknowledged.items()
    } == node.held
    assert len(writers.acknowledged_at) == len(node.held)


async def test_failed_writes_are_not_counted_as_stored() -> None:
    """A lost connection leaves a write unknown; a refusal leaves it undone."""
    node = FakeNode(ConnectionLostError("gone"), UnavailableError("no"))
    writers = writers_at(node)

    writers.start()
    await node.filled.wait()
    await writers.stop()

    assert (writers.unknown, writers.refused) == (1, 1)
    assert len(writers.acknowledged) == len(node.held)


@given(moments=st.lists(st.integers(1, 99), max_size=20))
def test_longest_pause_is_the_widest_gap_between_acknowledgements(
    moments: list[int],
) -> None:
    """The ends of the span count too: a writer that stalls at once is seen."""
    writers = writers_at(FakeNode())
    writers.acknowledged_at = [float(moment) for moment in sorted(moments)]

    widest = 0
    last = 0
    for moment in range(1, 101):
        if moment in moments or moment == 100:
            widest, last = max(widest, moment - last), moment
    assert writers.longest_pause(0, 100) == widest
    assert writers.count(0, 100) == len(moments)
