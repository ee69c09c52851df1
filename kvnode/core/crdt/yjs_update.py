"""
What a Yjs update says, read without applying it.

An update is a set of blocks, each a run of consecutive operations of one client,
and a set of deleted operations:

    clients   varint, then for each:
      blocks    varint number, client, clock of the first; then the blocks:
        info      u8: low five bits the content's type, then flags
        origin    client, clock of the left neighbour       only with flag 0x80
        origin    client, clock of the right neighbour      only with flag 0x40
        parent    1 and a root's name, or 0 and client, clock    without either
        key       within the parent, a map       without either, with flag 0x20
        content
    clients   varint, then for each:
      ranges    client, varint number; then clock and length of each

Every update of a client is read here before the Yjs library sees it.  The
library is native code: it follows nested values by recursion and believes
counts before it meets the end of the data, so that a few hostile bytes could
end the process or take its memory.  Whatever passes here is no deeper, no
longer and no later than stated, and names no operation as built on itself.

Subdocuments are refused: their content would live outside of the value.  So are
JSON strings as a content of their own, which Yjs itself has not written since
2020 and which the native library misreads.

References:
    https://github.com/yjs/yjs/blob/main/INTERNALS.md and src/utils/encoding.js:
        update format, version 1.
"""

from typing import NamedTuple

from kvnode.core.crdt.varint import decode_varint

DEPTH_MAX = 64
"""Of lists and maps within each other: twice what people can follow."""
CLOCK_MAX = 2**31 - 1
"""Operations of one client; the library counts them in 32 bits."""
CLIENT_MAX = 2**53 - 1
"""JavaScript's largest exact integer: what a Yjs client can be."""

_GC, _DELETED, _BINARY, _STRING = 0, 1, 3, 4
_EMBED, _FORMAT, _TYPE, _ANY, _SKIP = 5, 6, 7, 8, 10
_CONTENT_BITS = 0x1F
_KEY, _RIGHT, _LEFT = 0x20, 0x40, 0x80
_XML_ELEMENT = 3  # the one shared type that is followed by a name
_SHARED_TYPES = frozenset({0, 1, 2, _XML_ELEMENT, 4, 6})  # 5, the XML hook, is gone
_ANY_BYTES = {127: 0, 126: 0, 124: 4, 123: 8, 122: 8, 121: 0, 120: 0}
_ANY_INTEGER, _ANY_STRING, _ANY_MAP, _ANY_LIST, _ANY_BINARY = 125, 119, 118, 117, 116

Id = tuple[int, int]
"""Client and clock of an operation."""
Ranges = dict[int, list[tuple[int, int]]]
"""For each client ascending half-open ranges of clocks that do not touch."""


class Block(NamedTuple):
    """
    A run of operations and where it hangs.

    `link` is a neighbour, whose parent is the block's own; without one,
    `parent` is the operation that made the parent, or None for a root.
    """

    client: int
    clock: int
    length: int
    parent: Id | None = None
    link: Id | None = None
    makes_type: bool = False


class Update(NamedTuple):
    """The blocks of an update, and what it deletes."""

    blocks: list[Block]
    deleted: Ranges

    @property
    def operations(self) -> Ranges:
        """Return the operations that the update carries."""
        ranges: Ranges = {}
        for block in self.blocks:
            end = block.clock + block.length
            ranges.setdefault(block.client, []).append((block.clock, end))
        return normalised(ranges)


def normalised(ranges: Ranges) -> Ranges:
    """Return *ranges* sorted by client and clock, neighbours fused."""
    result: Ranges = {}
    for client in sorted(ranges):
        fused: list[tuple[int, int]] = []
        for first, end in sorted(ranges[client]):
            if fused and first <= fused[-1][1]:
                fused[-1] = (fused[-1][0], max(end, fused[-1][1]))
            elif first < end:
                fused.append((first, end))
        if fused:
            result[client] = fused
    return result


def read_update(data: bytes) -> Update:
    """
    Return what the update *data* says.

    Cost: about 2 us a block.

    Raises:
        ValueError: It is malformed or passes a bound above; the message says
            which, and where.
    """
    try:
        blocks: list[Block] = []
        count, at = decode_varint(data, 0)
        for _ in range(count):
            at = _read_client(data, at, blocks)
        deleted, at = _read_deleted(data, at)
    except IndexError:
        msg = f"it ends early, after {len(data)} bytes"
        raise ValueError(msg) from None
    if at != len(data):
        msg = f"{len(data) - at} bytes follow its end"
        raise ValueError(msg)
    return Update(blocks, deleted)


def read_state_vector(data: bytes) -> dict[int, int]:
    """
    Return the number of operations known of each client.

    Raises:
        ValueError: It is malformed.
    """
    try:
        count, at = decode_varint(data, 0)
        vector: dict[int, int] = {}
        for _ in range(count):
            (client, clock), at = _read_id(data, at)
            vector[client] = clock
    except IndexError:
        msg = f"it ends early, after {len(data)} bytes"
        raise ValueError(msg) from None
    if at != len(data):
        msg = f"{len(data) - at} bytes follow its end"
        raise ValueError(msg)
    return vector


def _read_id(data: bytes, at: int) -> tuple[Id, int]:
    client, at = decode_varint(data, at)
    clock, at = decode_varint(data, at)
    if client > CLIENT_MAX or clock > CLOCK_MAX:
        msg = f"operation {clock} of client {client} is out of range at offset {at}"
        raise ValueError(msg)
    return (client, clock), at


def _read_text(data: bytes, at: int) -> tuple[str, int]:
    size, at = decode_varint(data, at)
    if at + size > len(data):
        raise IndexError(at)
    return str(data[at : at + size], "utf-8"), at + size


def _read_client(data: bytes, at: int, blocks: list[Block]) -> int:
    count, at = decode_varint(data, at)
    (client, clock), at = _read_id(data, at)
    for _ in range(count):
        info = data[at]
        content = info & _CONTENT_BITS
        if content in {_GC, _SKIP}:
            length, at = decode_varint(data, at + 1)
            block = Block(client, clock, length)
        else:
            block, at = _read_item(data, at + 1, info, (client, clock))
        length = block.length
        if length > CLOCK_MAX - clock:
            msg = f"a block of client {client} has {length} operations at offset {at}"
            raise ValueError(msg)
        # The library leaves an empty text where it split a surrogate pair.
        if content != _SKIP and length:
            blocks.append(block)
        clock += length
    return at


def _read_item(data: bytes, at: int, info: int, own: Id) -> tuple[Block, int]:
    parent = link = None
    if info & _LEFT:
        link, at = _read_origin(data, at, own)
    if info & _RIGHT:
        right, at = _read_origin(data, at, own)
        link = link or right
    if link is None:
        named, at = decode_varint(data, at)
        if named == 1:
            _, at = _read_text(data, at)
        elif named == 0:
            parent, at = _read_origin(data, at, own)
        else:
            msg = f"a parent is neither named nor an operation at offset {at}"
            raise ValueError(msg)
        if info & _KEY:
            _, at = _read_text(data, at)
    content = info & _CONTENT_BITS
    length, at = _read_content(data, at, content)
    return Block(*own, length, parent, link, content == _TYPE), at


def _read_origin(data: bytes, at: int, own: Id) -> tuple[Id, int]:
    origin, at = _read_id(data, at)
    if origin[0] == own[0] and origin[1] >= own[1]:
        msg = (
            f"operation {own[1]} of client {own[0]} builds on operation {origin[1]},"
            " which is not earlier"
        )
        raise ValueError(msg)
    return origin, at


def _read_content(data: bytes, at: int, content: int) -> tuple[int, int]:
    """Return how many operations the content at *at* holds, and where it ends."""
    if content == _DELETED:
        return decode_varint(data, at)
    if content == _STRING:
        text, at = _read_text(data, at)
        # Yjs counts UTF-16 units: characters beyond the first plane are two.
        return len(text) + sum(c > "\uffff" for c in text), at
    if content == _ANY:
        count, at = decode_varint(data, at)
        for _ in range(count):
            at = _skip_any(data, at, 0)
        return count, at
    if content == _BINARY:
        size, at = decode_varint(data, at)
        at += size
    elif content == _EMBED:
        _, at = _read_text(data, at)
    elif content == _FORMAT:
        _, at = _read_text(data, at)
        _, at = _read_text(data, at)
    elif content == _TYPE and data[at] in _SHARED_TYPES:
        named = data[at] == _XML_ELEMENT
        at += 1
        if named:
            _, at = _read_text(data, at)
    else:
        msg = f"content of type {content} at offset {at} is not supported here"
        raise ValueError(msg)
    return 1, at


def _skip_any(data: bytes, at: int, depth: int) -> int:
    tag = data[at]
    at += 1
    size = _ANY_BYTES.get(tag)
    if size is not None:
        return at + size
    if tag == _ANY_INTEGER:  # its first byte holds six bits and a sign
        return decode_varint(data, at)[1]
    if tag == _ANY_STRING:
        return _read_text(data, at)[1]
    count, at = decode_varint(data, at)
    if tag == _ANY_BINARY:
        return at + count
    if tag not in {_ANY_LIST, _ANY_MAP}:
        msg = f"value of type {tag} at offset {at} is unknown"
        raise ValueError(msg)
    if depth == DEPTH_MAX:
        msg = f"values nest deeper than {DEPTH_MAX} (DEPTH_MAX) at offset {at}"
        raise ValueError(msg)
    for _ in range(count):
        if tag == _ANY_MAP:
            _, at = _read_text(data, at)
        at = _skip_any(data, at, depth + 1)
    return at


def _read_deleted(data: bytes, at: int) -> tuple[Ranges, int]:
    ranges: Ranges = {}
    client_count, at = decode_varint(data, at)
    for _ in range(client_count):
        client, at = decode_varint(data, at)
        range_count, at = decode_varint(data, at)
        found = ranges.setdefault(client, [])
        for _ in range(range_count):
            clock, at = decode_varint(data, at)
            length, at = decode_varint(data, at)
            if client > CLIENT_MAX or clock + length > CLOCK_MAX:
                msg = f"a deletion of {length} operations is out of range at {at}"
                raise ValueError(msg)
            found.append((clock, clock + length))
    return normalised(ranges), at
