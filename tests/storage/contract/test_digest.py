"""The digest that turns carry along is what a scan of the store finds (D9)."""

import asyncio
from contextlib import ExitStack
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvnode.core.node.commands import (
    AddToCounter,
    Command,
    Delete,
    Put,
    UpdateDocument,
    UpdateSet,
)
from kvnode.core.node.turn import Turn
from kvnode.core.node.writes import Writer
from kvnode.core.replication.entry_scan import entry_slices, finished, scan_digest
from kvnode.core.versions.rolling_digest import RollingDigest
from kvnode.core.versions.session import NEW_SESSION
from kvnode.core.versions.version import NEVER, Entry
from kvnode.types import EntryKey, Millis, ReplicaId
from tests.storage.stores import STORES, AnyStore, at
from tests.strategies import MEMBERS, YJS_UPDATES

NAMES = (b"\x00", b"k", b"k" * 512)
REPLICAS = (ReplicaId(0xA), ReplicaId(2**64 - 1))
AHEAD_MAX = Millis(500)

keys = st.sampled_from(NAMES).map(at)
members = st.lists(st.sampled_from(MEMBERS), max_size=2).map(tuple)
commands = st.one_of(
    st.builds(
        Put,
        keys,
        st.binary(max_size=9) | st.just(bytes(70_000)),
        st.sampled_from(("", "{}")),
        st.sampled_from((NEVER, Millis(3), Millis(9))),
        if_absent=st.just(value=False),
        if_dot=st.none(),
    ),
    st.builds(Delete, keys, st.none()),
    st.builds(AddToCounter, keys, st.integers(1, 9)),
    st.builds(UpdateSet, keys, members, members),
    st.builds(UpdateDocument, keys, st.sampled_from(YJS_UPDATES)),
)


class Step(NamedTuple):
    """One turn of one node."""

    at: int
    commands: list[Command]
    heard: list[EntryKey]  # merged from the other node
    lost: EntryKey | None  # whose record is taken to be damaged, and replaced
    fails: bool  # the commit finds no room
    scans: bool  # a scan begins; it ends in a later turn of the node


steps = st.builds(
    Step,
    at=st.integers(0, 1),
    commands=st.lists(commands, max_size=4),
    heard=st.lists(keys, max_size=3),
    lost=st.none() | keys,
    fails=st.integers(0, 3).map(lambda drawn: drawn == 0),
    scans=st.booleans(),
)


class Site:
    """A node's turns and its store."""

    def __init__(self, replica: ReplicaId, store: AnyStore) -> None:
        self.replica = replica
        self.store = store
        self.scanned: tuple[int, RollingDigest] | None = None

    def entry(self, key: EntryKey) -> Entry | None:
        """Return what is stored under *key*."""
        with self.store.snapshot() as view:
            return view.entry(key)

    async def perform(self, step: Step, other: "Site") -> None:
        """Perform *step*."""
        with self.store.snapshot() as view:
            turn = Turn(view.state(), view, Millis(5))
            if self.scanned is not None:
                turn.digest = turn.digest.settled(*self.scanned)
                self.scanned = None
            if step.lost is not None and (entry := view.entry(step.lost)) is not None:
                theirs = other.entry(step.lost) or entry
                turn.replace_damaged(step.lost, theirs, entry.version.index_dots)
            for key in step.heard:
                if (incoming := other.entry(key)) is not None:
                    turn.merge(key, incoming)
            writer = Writer(self.replica, turn, NEW_SESSION, ahead_max=AHEAD_MAX)
            for command in step.commands:
                writer.apply(command)
            commit = turn.commit(turn.state())
        if commit is not None and not step.fails:
            await self.store.apply(commit)
        if step.scans:
            self.scanned = (self.scan(), self.store.state().digest)

    def scan(self) -> int:
        """Return the digest of what is stored."""
        with self.store.snapshot() as view:
            return finished(scan_digest(view))

    def check(self) -> None:
        """Assert that the digest carried along is right, if it claims to be."""
        digest = self.store.state().digest
        assert not digest.known or digest.total == self.scan()
        assert digest.settled(self.scan(), digest).total == self.scan()

    def keys(self) -> list[EntryKey]:
        """Return all keys."""
        with self.store.snapshot() as view:
            return [key for rows in entry_slices(view) for key, _ in rows]


@pytest.mark.parametrize("kind", list(STORES))
@given(drawn=st.lists(steps, max_size=8))
@settings(max_examples=40, deadline=None)  # each example waits for the disk
def test_digest_carried_along_is_what_a_scan_finds(
    kind: str, drawn: list[Step]
) -> None:
    """After any commits, also failed ones; and nodes with the same have the same."""
    asyncio.run(_run(kind, drawn))


async def _run(kind: str, drawn: list[Step]) -> None:
    with ExitStack() as stack:
        openers = [stack.enter_context(STORES[kind]()) for _ in REPLICAS]
        sites = [Site(r, o()) for r, o in zip(REPLICAS, openers, strict=True)]
        for step in drawn:
            await sites[step.at].perform(step, sites[1 - step.at])
            sites[step.at].check()
        for own, other in (sites, sites[::-1]):
            all_of_it = Step(0, [], other.keys(), None, fails=False, scans=True)
            await own.perform(all_of_it, other)
            own.check()
        assert sites[0].scan() == sites[1].scan()
        for site, opener in zip(sites, openers, strict=True):
            before = site.store.state()
            site.store.close()
            site.store = opener()
            assert site.store.state() == before
            site.check()
            site.store.close()
