"""Nodes without a network end up with what nodes with one have."""

from pathlib import Path

from cluster.scale.replicas import Replicas, store_directory
from kvnode.core.node.commands import Put
from kvnode.core.versions.version import Entry
from kvnode.types import Dot, Millis
from tests.core.replication.entries import at
from tests.storage.stores import open_lmdb

KEY = at(b"k")
COUNT = 3


def _stored(directory: Path) -> list[Entry | None]:
    """Return what each node's store holds under the key."""
    found = []
    for n in range(COUNT):
        store = open_lmdb(store_directory(directory, n))
        with store.snapshot() as view:
            found.append(view.entry(KEY))
        store.close()
    return found


async def test_all_nodes_store_the_last_write_with_the_clock_of_all_writers(
    tmp_path: Path,
) -> None:
    """Each had merged what the one before it wrote."""
    replicas = await Replicas.open(tmp_path, COUNT)
    for n in range(COUNT):
        await replicas.write(n, [Put(KEY, b"%d" % n)])
    replicas.close()

    entry, *rest = _stored(tmp_path)

    assert entry is not None
    assert entry.value == b"2"
    assert [dot.seq for dot in entry.version.key_clock] == [1, 1, 1]
    assert len({dot.replica for dot in entry.version.key_clock}) == COUNT
    assert rest == [entry, entry]


async def test_nodes_go_on_from_the_writes_they_made_before(tmp_path: Path) -> None:
    """And what others wrote before is covered, so nobody waits for it."""
    replicas = await Replicas.open(tmp_path, COUNT, writes_before=10**9)
    await replicas.write(1, [Put(KEY, b"v")])
    session = replicas.session(0)
    await replicas.let_pass(Millis(3000), step=Millis(500))
    await replicas.write(0, [Put(KEY, b"w")], session)
    replicas.close()

    entry, *rest = _stored(tmp_path)

    assert entry is not None
    assert entry.version.dot.seq == 10**9 + 1
    assert sorted(seq for _, seq in session.seen) == [10**9, 10**9, 10**9 + 1]
    assert entry.version.dependencies == tuple(
        Dot(replica, seq)
        for replica, seq in session.seen
        if replica != entry.version.dot.replica
    )
    assert rest == [entry, entry]
