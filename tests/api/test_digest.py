"""Nodes that hold the same have the same fingerprint, however they got it."""

import pycrdt
from hypothesis import given
from hypothesis import strategies as st

from kvnode.api.digest import digest, entry_fingerprint
from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.crdt.document import Document
from kvnode.core.versions.store_view import Commit, DurableState, Write
from kvnode.core.versions.version import Entry, Kind, Version
from kvnode.storage.memory_store import MemoryStore
from kvnode.types import Dot, EntryKey, HlcTimestamp, Millis, Namespace, ReplicaId
from tests.runtime.nodes import OWN, PEER

NAMES = (Namespace("a"), Namespace("b"))
ROWS = st.dictionaries(
    st.tuples(st.sampled_from(NAMES), st.sampled_from((b"k", b"l", b"kl"))),
    st.tuples(st.sampled_from((Kind.REGISTER, Kind.TOMBSTONE)), st.integers(1, 3)),
)
Rows = dict[tuple[Namespace, bytes], tuple[Kind, int]]


async def _digest_of(rows: Rows, *, own: ReplicaId, at_once: bool) -> bytes:
    store = MemoryStore(own)
    state = DurableState(own, VersionVector.of({PEER: 9}))
    writes = [
        Write(
            EntryKey(*place), Entry(Version(kind, HlcTimestamp(n), Dot(PEER, n))), None
        )
        for place, (kind, n) in rows.items()
    ]
    for part in [writes] if at_once else [[w] for w in reversed(writes)]:
        await store.apply(Commit(state, tuple(part)))
    if not writes:
        await store.apply(Commit(state))
    with store.snapshot() as view:
        reply = await digest(view, list(view.namespaces()), Millis(0))
    assert reply.entry_count == len(rows)
    return reply.digest


@given(rows=ROWS)
async def test_equal_contents_have_equal_digests(rows: Rows) -> None:
    """Whatever the order of arrival, and whoever holds them."""
    first = await _digest_of(rows, own=OWN, at_once=True)
    second = await _digest_of(rows, own=PEER, at_once=False)
    assert first == second


@given(one=ROWS, other=ROWS)
async def test_different_contents_have_different_digests(
    one: Rows, other: Rows
) -> None:
    """In keys, versions or namespaces."""
    first = await _digest_of(one, own=OWN, at_once=True)
    second = await _digest_of(other, own=OWN, at_once=True)
    assert (first == second) == (one == other)


def test_document_counts_by_its_content_and_not_by_its_bytes() -> None:
    """Yjs may encode equal documents in unequal bytes."""
    updates = []
    for client in (1, 2):
        made = pycrdt.Doc[pycrdt.Text](client_id=client)
        made["t"] = pycrdt.Text("x" * client)
        updates.append(made.get_update())
    one = Document().apply(updates[0]).apply(updates[1]).encode()
    other = Document().apply(updates[1]).apply(updates[0]).encode()
    version = Version(Kind.DOCUMENT, HlcTimestamp(1), Dot(PEER, 1))

    assert entry_fingerprint(Entry(version, one)) == entry_fingerprint(
        Entry(version, other)
    )
    less = Document().apply(updates[0]).encode()
    assert entry_fingerprint(Entry(version, one)) != entry_fingerprint(
        Entry(version, less)
    )
