"""
Unsigned integers of variable length: seven bits a byte, the low ones first.

The high bit of a byte says that another follows (LEB128, as in Yjs and protocol
buffers).  An integer has one shortest form and no other is written here, so
that equal states are equal bytes.
"""

_LAST_SHIFT = 63
"""Where the tenth byte's bits go: no integer here needs more than 70 bits."""


def encode_varint(number: int) -> bytes:
    """Return *number*, >= 0, in its shortest form."""
    assert number >= 0, "varints are unsigned"
    if number < 0x80:  # noqa: PLR2004 -- one byte's worth: the usual case
        return bytes((number,))
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004 -- seven bits
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def decode_varint(data: bytes, at: int) -> tuple[int, int]:
    """
    Return the integer at *at* and the offset after it.

    Raises:
        IndexError: The data ends within the integer.
        ValueError: It takes more than ten bytes.
    """
    byte = data[at]
    if byte < 0x80:  # noqa: PLR2004 -- one byte's worth: the usual case
        return byte, at + 1
    number = shift = 0
    while byte & 0x80:
        number |= (byte & 0x7F) << shift
        shift += 7
        if shift > _LAST_SHIFT:
            msg = f"integer at offset {at} is longer than ten bytes"
            raise ValueError(msg)
        at += 1
        byte = data[at]
    return number | byte << shift, at + 1
