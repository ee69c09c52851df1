"""
Frames of many small messages, put together from messages that are bytes already.

A repeated field is just its elements in a row, so a frame of serialized messages is
their concatenation, and its size is known without building it.
"""

from typing import Final

_ELEMENT_TAG: Final = b"\x0a"  # the one field of any frame has number 1, with a length
_VARINT_BITS: Final = 7
_VARINT_MORE: Final = 1 << _VARINT_BITS


def frame_element(payload: bytes) -> bytes:
    """Return a serialized message as one element of a frame."""
    size = len(payload)
    if size < _VARINT_MORE:
        return b"%b%c%b" % (_ELEMENT_TAG, size, payload)
    varint = bytearray()
    while size >= _VARINT_MORE:
        varint.append(size & (_VARINT_MORE - 1) | _VARINT_MORE)
        size >>= _VARINT_BITS
    varint.append(size)
    return b"".join((_ELEMENT_TAG, varint, payload))
