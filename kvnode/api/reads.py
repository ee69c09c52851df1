"""
Reading: from a snapshot, on the spot.

A read never enters the node's loop.  It fills protobuf replies in place, since
building a message costs as much as reading the store.
"""

from typing import NamedTuple

from kvnode._pb import kv_pb2 as pb
from kvnode.api.limits import checked_key, checked_page_size, checked_prefix
from kvnode.api.namespaces import Namespaces
from kvnode.api.port import NodePort
from kvnode.api.tokens import encode_session, encode_version
from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.crdt.counter import PnCounter
from kvnode.core.crdt.document import Document
from kvnode.core.crdt.kinds import readable
from kvnode.core.crdt.set import ObservedRemoveSet
from kvnode.core.versions.conflict_log import shown
from kvnode.core.versions.floor import Floor
from kvnode.core.versions.session import Session
from kvnode.core.versions.store_view import ConflictRecord, StoreView
from kvnode.core.versions.version import CRDT_KINDS, Entry, Kind
from kvnode.errors import DamagedRecordError, WrongTypeError
from kvnode.types import DEFAULT_NAMESPACE, EntryKey, Millis, Namespace

LIST_ROWS_MAX = 10_000
"""Rows looked at for one page: deleted ones may make a page short, even empty."""

LIST_BYTES_MAX = 16 * 1024 * 1024
"""Values in one page; a page has at least one item, however large."""

_TYPES = {
    Kind.TOMBSTONE: pb.VALUE_TYPE_ABSENT,
    Kind.REGISTER: pb.VALUE_TYPE_REGISTER,
    Kind.COUNTER: pb.VALUE_TYPE_COUNTER,
    Kind.SET: pb.VALUE_TYPE_SET,
    Kind.DOCUMENT: pb.VALUE_TYPE_DOCUMENT,
}


class Reading(NamedTuple):
    """What a read sees beside the snapshot, and what it owes the caller."""

    view: StoreView
    now: Millis
    covered: VersionVector
    pending: VersionVector
    floor: Floor
    session: Session
    want_session: bool
    stale: bool

    def token(self, entry: Entry | None) -> bytes:
        """Return the session after reading *entry*; empty if not wanted."""
        if not self.want_session:
            return b""
        session = self.session
        if entry is not None:
            session = self.saw(session, entry)
        return self.encoded(session)

    def encoded(self, session: Session) -> bytes:
        """Return *session* as a token."""
        return encode_session(session, self.floor)

    def saw(self, session: Session, entry: Entry) -> Session:
        """Return *session* after reading *entry* here and now."""
        return session.saw_entry(entry, covered=self.covered, pending=self.pending)


def fill_entry(reply: pb.GetReply, entry: Entry, now: Millis) -> None:
    """Put what a reader at *now* sees of *entry* into *reply*."""
    version, value, metadata = entry
    if not entry.live(now):
        return
    kind = version.kind
    reply.type = _TYPES[kind]
    reply.value = readable(kind, value) if kind in CRDT_KINDS else value
    if metadata:
        reply.metadata = metadata
    reply.version = encode_version(version.dot)
    if version.deadline:
        reply.expires_at_ms = version.deadline
    reply.hlc = version.hlc


class Reader:
    """Answers reads of one node."""

    def __init__(self, node: NodePort, namespaces: Namespaces) -> None:
        self._node = node
        self._namespaces = namespaces

    def key_of(self, namespace: str, key: bytes) -> EntryKey:
        """Return the checked place of a key in a namespace that exists."""
        place = checked_key(namespace, key)
        self._namespaces.check(place.namespace)
        return place

    def namespace_of(self, namespace: str) -> Namespace:
        """Return the namespace if it exists; empty is the default one."""
        name = Namespace(namespace or DEFAULT_NAMESPACE)
        self._namespaces.check(name)
        return name

    def get(
        self, request: pb.GetRequest, reply: pb.GetReply, at: Reading
    ) -> Entry | None:
        """Answer a get; return what is stored."""
        entry = at.view.entry(self.key_of(request.namespace, request.key))
        if entry is not None:
            fill_entry(reply, entry, at.now)
        if at.want_session:
            reply.session = at.token(entry)
        if at.stale:
            reply.stale = True
        return entry

    def list(self, request: pb.ListRequest, reply: pb.ListReply, at: Reading) -> None:
        """Answer one page of a list."""
        namespace = self.namespace_of(request.namespace)
        limit = checked_page_size(request.limit)
        prefix = checked_prefix(request.prefix)
        cursor = checked_prefix(request.cursor, "cursor")
        start = cursor + b"\0" if cursor else prefix
        session = at.session
        if at.want_session:  # what is not there has been seen, too
            session = session.saw_all_of(at.covered)
        rows, size, last = 0, 0, b""
        for key, entry in at.view.scan(namespace, start=start, prefix=prefix):
            if (
                len(reply.items) >= limit
                or rows >= LIST_ROWS_MAX
                or size >= LIST_BYTES_MAX
            ):
                reply.cursor = last
                break
            rows, last = rows + 1, key
            if at.want_session and not at.covered.covers_all(entry.version.index_dots):
                session = at.saw(session, entry)
            if entry.live(at.now):
                size += self._add_item(reply, key, entry, values=request.with_values)
        else:
            reply.complete = True
        if at.want_session:
            reply.session = at.encoded(session)
        reply.stale = at.stale

    @staticmethod
    def _add_item(
        reply: pb.ListReply, key: bytes, entry: Entry, *, values: bool
    ) -> int:
        version = entry.version
        item = reply.items.add(
            key=key,
            metadata=entry.metadata,
            expires_at_ms=version.deadline,
            version=encode_version(version.dot),
            type=_TYPES[version.kind],
        )
        if values:
            item.value = (
                readable(version.kind, entry.value)
                if version.kind in CRDT_KINDS
                else entry.value
            )
        return len(item.value)

    def counter(
        self, request: pb.CounterRequest, reply: pb.CounterReply, at: Reading
    ) -> None:
        """Answer the value of a counter; one that was never touched is 0."""
        entry = self._entry_of(request.namespace, request.key, Kind.COUNTER, at)
        if entry is not None:
            fill_counter(reply, entry)
        reply.session = at.token(entry)
        reply.stale = at.stale

    def set(self, request: pb.SetRequest, reply: pb.SetReply, at: Reading) -> None:
        """Answer the members of a set; one that was never touched has none."""
        entry = self._entry_of(request.namespace, request.key, Kind.SET, at)
        if entry is not None:
            fill_set(reply, entry, members=request.want_members)
        reply.session = at.token(entry)
        reply.stale = at.stale

    def document(
        self, request: pb.DocumentRequest, reply: pb.DocumentReply, at: Reading
    ) -> None:
        """Answer what a document has beyond the caller's state vector."""
        entry = self._entry_of(request.namespace, request.key, Kind.DOCUMENT, at)
        if entry is not None:
            fill_document(reply, entry, request)
        reply.session = at.token(entry)
        reply.stale = at.stale

    def _entry_of(
        self, namespace: str, key: bytes, kind: Kind, at: Reading
    ) -> Entry | None:
        entry = at.view.entry(self.key_of(namespace, key))
        if entry is None or not entry.live(at.now):
            return None
        if entry.version.kind is not kind:
            msg = (
                f"the key holds a {entry.version.kind.name.lower()}, not a"
                f" {kind.name.lower()}"
            )
            raise WrongTypeError(msg)
        return entry

    def conflicts(
        self, request: pb.ConflictsRequest, reply: pb.ConflictsReply, at: Reading
    ) -> None:
        """Answer the conflict logs of one key or of a page of keys."""
        namespace = self.namespace_of(request.namespace)
        reply.total_ever = at.view.state().conflicts_ever
        if request.key:
            place = checked_key(namespace, request.key)
            reply.conflicts.extend(_losers(place, at.view.conflicts(place), at))
            reply.complete = True
            return
        limit = checked_page_size(request.limit)
        cursor = checked_prefix(request.cursor, "cursor")
        start = cursor + b"\0" if cursor else b""
        keys, size, last = 0, 0, b""
        for key, log in at.view.scan_conflicts(namespace, start=start):
            place = EntryKey(namespace, key)
            messages = _losers(place, log, at)
            size += sum(len(m.value) for m in messages)
            if keys and (keys >= limit or size > LIST_BYTES_MAX):
                reply.cursor = last
                return
            keys, last = keys + 1, key
            reply.conflicts.extend(messages)
        reply.complete = True


def _losers(
    place: EntryKey, log: tuple[ConflictRecord, ...], at: Reading
) -> list[pb.Conflict]:
    """Return what is to be shown of a key's conflict log."""
    try:
        stored = at.view.entry(place)
    except DamagedRecordError:
        stored = None  # its log can be read all the same
    return [conflict_message(place, each) for each in shown(log, stored, at.now)]


def fill_counter(reply: pb.CounterReply, entry: Entry) -> None:
    """Put the counter that *entry* holds into *reply*, within 64 bits."""
    # Each replica's part is bounded; the sum of many concurrent ones may not be.
    reply.value = max(-(2**63), min(2**63 - 1, PnCounter.decode(entry.value).value))
    reply.version = encode_version(entry.version.dot)


def fill_set(reply: pb.SetReply, entry: Entry, *, members: bool) -> None:
    """Put the set that *entry* holds into *reply*."""
    held = ObservedRemoveSet.decode(entry.value).value
    reply.size = len(held)
    if members:
        reply.members.extend(held)
    reply.version = encode_version(entry.version.dot)


def fill_document(
    reply: pb.DocumentReply, entry: Entry, request: pb.DocumentRequest
) -> None:
    """Put what the caller lacks of the document into *reply*, if asked for."""
    if request.want_update:
        document = Document.decode(entry.value)
        reply.update = document.diff(request.state_vector)
    reply.version = encode_version(entry.version.dot)


def conflict_message(key: EntryKey, record: ConflictRecord) -> pb.Conflict:
    """Return a conflict as clients see it."""
    version, value, metadata = record.loser
    return pb.Conflict(
        namespace=key.namespace,
        key=key.key,
        type=_TYPES[version.kind],
        value=readable(version.kind, value) if version.kind in CRDT_KINDS else value,
        metadata=metadata,
        version=encode_version(version.dot),
        hlc=version.hlc,
        replica=version.dot.replica,
        winner_version=encode_version(record.winner),
        noticed_at_ms=record.noticed_at,
    )
