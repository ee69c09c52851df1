"""
Messages that are put together from parts that are bytes already.

A repeated field is just its elements in a row, so a frame of serialized messages is
their concatenation, and its size is known without building it.  What comes twice of a
field that is one message is merged, so parts of that may stand apart, too.

Reference: Protocol Buffers, "Encoding", on embedded messages that are merged.
"""

from typing import Final

_ELEMENT_TAG: Final = b"\x0a"  # the one field of any frame has number 1, with a length
_LENGTH_DELIMITED: Final = 2
_NUMBER_MAX: Final = 15  # what one byte has room for
_VARINT_BITS: Final = 7
_VARINT_MORE: Final = 1 << _VARINT_BITS


def frame_element(payload: bytes) -> bytes:
    """Return a serialized message as one element of a frame."""
    return _tagged(_ELEMENT_TAG, payload)


def embedded(number: int, payload: bytes) -> bytes:
    """Return a serialized message as field *number*, 1 to 15, of another one."""
    assert 1 <= number <= _NUMBER_MAX, "tags of one byte are enough"
    return _tagged(bytes((number << 3 | _LENGTH_DELIMITED,)), payload)


def _tagged(tag: bytes, payload: bytes) -> bytes:
    size = len(payload)
    if size < _VARINT_MORE:
        return b"%b%c%b" % (tag, size, payload)
    varint = bytearray()
    while size >= _VARINT_MORE:
        varint.append(size & (_VARINT_MORE - 1) | _VARINT_MORE)
        size >>= _VARINT_BITS
    varint.append(size)
    return b"".join((tag, varint, payload))
