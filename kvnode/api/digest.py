"""
A fingerprint of what a node holds; equal on nodes that agree.

It covers every entry with its version, in key order, tombstones and expired
ones too: what reconciliation compares.  Documents enter by their content, since
Yjs encodes equal documents in unequal bytes.
"""

import asyncio
from hashlib import blake2b

from kvnode._pb import admin_pb2 as pb
from kvnode.core.clocks.clock_codec import encode_clock
from kvnode.core.crdt.kinds import fingerprint
from kvnode.core.versions.record import WIRE, encode
from kvnode.core.versions.store_view import StoreView
from kvnode.core.versions.version import CRDT_KINDS, Entry
from kvnode.types import Millis, Namespace

ROWS_PER_SLICE = 500
"""Entries hashed before other work gets its turn: about 5 ms."""


def entry_fingerprint(entry: Entry) -> bytes:
    """Return bytes that are equal for entries that replicas consider equal."""
    if entry.version.kind in CRDT_KINDS:
        entry = entry._replace(value=fingerprint(entry.version.kind, entry.value))
    return encode(entry, WIRE)


async def digest(
    view: StoreView, namespaces: list[Namespace], now: Millis
) -> pb.DigestReply:
    """Return the fingerprint of *namespaces* in *view*."""
    reply = pb.DigestReply()
    total = blake2b(digest_size=32)
    total.update(encode_clock(view.state().clock))
    for namespace in sorted(namespaces):
        total.update(len(namespace).to_bytes(2) + namespace.encode())
        for key, entry in view.scan(namespace):
            total.update(len(key).to_bytes(2) + key)
            record = entry_fingerprint(entry)
            total.update(len(record).to_bytes(4) + record)
            reply.entry_count += 1
            reply.live_count += entry.live(now)
            if reply.entry_count % ROWS_PER_SLICE == 0:
                await asyncio.sleep(0)
    reply.digest = total.digest()
    return reply
