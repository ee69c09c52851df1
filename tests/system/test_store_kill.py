"""SIGKILL at any instant leaves a whole store with all that was told."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.versions.store_view import Commit, DurableState, Write
from kvnode.core.versions.version import Version
from kvnode.storage.durability import Durability
from kvnode.storage.lmdb_store import LmdbStore
from kvnode.types import DEFAULT_NAMESPACE, EntryKey
from tests.storage.stores import OWN, at, open_lmdb, register

pytestmark = pytest.mark.system

GROUP = 16
KEYS = 200


async def _write_for_ever(directory: Path, durability: Durability) -> None:
    """Overwrite keys in groups, and print each group's last seq when told."""
    store = open_lmdb(directory, durability)
    held: dict[EntryKey, Version] = {}
    seq = 0
    while True:
        writes = []
        for _ in range(GROUP):
            seq += 1
            key, entry = at(b"%d" % (seq * 7 % KEYS)), register(seq, b"%d" % seq)
            writes.append(Write(key, entry, held.get(key)))
            held[key] = entry.version
        state = DurableState(OWN, VersionVector.of({OWN: seq}), seq=seq)
        await store.apply(Commit(state, tuple(writes)))
        print(seq, flush=True)  # noqa: T201 -- the parent reads it


def _told_before_the_kill(directory: Path, durability: Durability, span: float) -> int:
    """Run a writer, kill it after *span* seconds of writing; return what it told."""
    with subprocess.Popen(
        [sys.executable, "-m", __name__, str(directory), durability.value],
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdout is not None, "it is a pipe"
        told = [int(writer.stdout.readline())]
        time.sleep(span)
        writer.kill()
        told.extend(int(line) for line in writer.stdout if line.endswith("\n"))
    return told[-1]


def _check(store: LmdbStore, told: int) -> None:
    """Assert I1 as far as one store can: entries, index and clock agree."""
    newest = store.state().clock.newest(OWN)
    assert newest >= told
    assert newest % GROUP == 0
    expected = {at(b"%d" % (seq * 7 % KEYS)): seq for seq in range(1, newest + 1)}
    with store.snapshot() as view:
        stored = {
            EntryKey(DEFAULT_NAMESPACE, key): entry.version.dot.seq
            for key, entry in view.scan(DEFAULT_NAMESPACE)
        }
        assert stored == expected
        index = {key: dot.seq for dot, key in view.index(OWN, 1, None)}
        assert index == expected


@pytest.mark.parametrize("durability", list(Durability))
def test_killed_store_holds_whole_groups_and_all_that_was_told(
    tmp_path: Path, durability: Durability
) -> None:
    """In both modes: the page cache outlives the process."""
    for round_number, span in enumerate((0.0, 0.03, 0.1)):
        directory = tmp_path / str(round_number)
        told = _told_before_the_kill(directory, durability, span)

        store = open_lmdb(directory)

        assert store.unclean is (durability is Durability.RELAXED)
        _check(store, told)
        store.close()


if __name__ == "__main__":
    asyncio.run(_write_for_ever(Path(sys.argv[1]), Durability(sys.argv[2])))
