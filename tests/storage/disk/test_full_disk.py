"""A real full disk: a small tmpfs under the store (rule W3)."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvnode.errors import StoreFullError
from kvnode.storage.durability import Durability
from kvnode.storage.lmdb_store import LmdbStore
from tests.storage.stores import at, open_lmdb, put, register, replica_ids

DISK_BYTES = 8 << 20
VALUE = bytes(100_000)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a tmpfs")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode != 0:
        pytest.skip(f"this machine does not let us mount: {mounted.stderr.strip()}")
    yield tmp_path
    # Lazily, because a store that a failed test left open keeps the disk busy.
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


async def _fill(store: LmdbStore) -> int:
    """Put values until the store is full; return how many it holds."""
    for seq in range(DISK_BYTES // len(VALUE)):
        try:
            await store.apply(put(b"%d" % seq, seq + 1, VALUE))
        except StoreFullError as error:
            assert "nothing was written" in str(error)  # noqa: PT017 -- it comes when it comes
            return seq
    pytest.fail("the disk took more than it can hold")


@pytest.mark.parametrize("durability", list(Durability))
async def test_full_disk_refuses_a_commit_whole_and_writes_resume_by_themselves(
    small_disk: Path, durability: Durability
) -> None:
    """No restart: the same store writes again once there is room."""
    ballast = small_disk / "ballast"
    _write(ballast, bytes(DISK_BYTES // 4))
    store = open_lmdb(small_disk / "data", durability)

    held = await _fill(store)

    assert 10 < held < DISK_BYTES // len(VALUE)
    assert store.state().clock.newest(store.state().replica) == held
    with store.snapshot() as view:
        assert view.entry(at(b"%d" % held)) is None
        assert len(list(view.index(store.state().replica, 1, None))) == held
    ballast.unlink()
    await store.apply(put(b"more", held + 1, VALUE))
    store.close()
    store = open_lmdb(small_disk / "data", durability)
    with store.snapshot() as view:
        assert view.entry(at(b"more")) == register(held + 1, VALUE)
        assert view.entry(at(b"0")) == register(1, VALUE)
    store.close()


async def test_reserve_is_left_when_client_writes_are_refused(
    small_disk: Path,
) -> None:
    """Who stops at `accepts_client_writes` can still shrink what is there."""
    store = LmdbStore.open(
        small_disk / "data",
        random_replica=replica_ids(),
        map_bytes=1 << 28,
        reserve_bytes=DISK_BYTES // 4,
    )
    seq = 0
    while store.usage().accepts_client_writes:
        seq += 1
        await store.apply(put(b"%d" % seq, seq, VALUE))
    assert store.usage().entry_count == seq > 10

    for old in range(1, seq + 1):
        over = register(old, VALUE)
        await store.apply(put(b"%d" % old, seq + old, b"", over=over))

    assert store.usage().accepts_client_writes
    store.close()


def test_default_reserve_of_a_small_disk_is_a_twentieth(small_disk: Path) -> None:
    """64 MiB would be more than there is."""
    store = open_lmdb(small_disk / "data")

    assert store.usage().reserve_bytes == DISK_BYTES // 20
    assert store.usage().free_bytes < DISK_BYTES
    store.close()


def _write(file: Path, data: bytes) -> None:
    file.write_bytes(data)
