"""
Identities: nodes that come back as somebody they no longer are.

A node that is given an old backup, or nothing at all, and goes on under its old
name may count anew where others have seen it count already: its new updates then
look old to them and are lost without a word.  The generator leaves some quiet
before each of these, so that what had been acknowledged is on other nodes, too,
and every loss is the store's fault.

Reference:
    Riak issue riak_kv #679: writes lost to reused counters after a restore.
"""

from collections.abc import Iterator, Sequence
from random import Random

from jepsen_like.nemesis.faults import (
    RemoveFormer,
    RestoreBackup,
    TakeBackup,
    Wipe,
)
from jepsen_like.nemesis.nemesis import Nemesis
from jepsen_like.plan import Strike


def _restore(
    random: Random, nodes: Sequence[str], duration_ms: int
) -> Iterator[Strike]:
    node = random.choice(nodes)
    taken = random.randint(duration_ms // 10, duration_ms // 3)
    restored = random.randint(duration_ms // 2, duration_ms * 3 // 4)
    yield Strike(taken, TakeBackup(node))
    yield Strike(restored, RestoreBackup(node))


def _wipe(random: Random, nodes: Sequence[str], duration_ms: int) -> Iterator[Strike]:
    node = random.choice(nodes)
    yield Strike(random.randint(duration_ms // 3, duration_ms * 3 // 4), Wipe(node))


def _bury(random: Random, nodes: Sequence[str], duration_ms: int) -> Iterator[Strike]:
    node = random.choice(nodes)
    wiped = random.randint(duration_ms // 6, duration_ms // 3)
    buried = random.randint(wiped, duration_ms // 2)
    yield Strike(wiped, Wipe(node))
    yield Strike(buried, RemoveFormer(node))


IDENTITIES = (
    Nemesis("restore-backup", "Restore a node from an old backup.", _restore, 2),
    Nemesis("wipe", "Wipe a node and let it reuse its name.", _wipe, 2),
    Nemesis(
        "wipe-removal",
        "Wipe a node, and soon declare gone what it was before.",
        _bury,
        2,
    ),
)
