"""
Which object: a class, and a name or a number that nobody has drawn before.

An id is 32 bytes, written as 64 hexadecimal digits:

    body   24 bytes: of a name, from a hash of class and name, first bit 0;
           of an object without a name, drawn, first bit 1
    check   8 bytes: a hash of class and body

So an id that belongs to another class, or was mistyped, is refused instead of being
a new, empty object.  Where an object lives follows from its body alone.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple, Self

from kvnode.errors import InvalidArgumentError

ID_BYTES: Final = 32
BODY_BYTES: Final = 24
NAME_BYTES_MAX: Final = 1024  # Cloudflare keeps no longer names either
CLASS_CHARS_MAX: Final = 64

NAMES_REMEMBERED: Final = 4096
"""Some MiB at most; to hash a name takes longer than the rest of finding its object."""

_CLASS = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_DRAWN_BIT: Final = 0x80


class ObjectId(NamedTuple):
    """
    An object.

    Attributes:
        class_name: Its class.
        body: See above; two objects of any classes have different ones.
        name: What it was called by; empty if it has no name or that is not known.
    """

    class_name: str
    body: bytes
    name: str = ""

    @staticmethod
    def from_name(class_name: str, name: str) -> "ObjectId":
        """
        Return the object of a class that has a name.

        Raises:
            InvalidArgumentError: One of them is empty, too long, or no name.
        """
        return _named(class_name, name)

    @classmethod
    def drawn(cls, class_name: str, random_bytes: Callable[[int], bytes]) -> Self:
        """
        Return an object without a name that nobody else has.

        Args:
            class_name: Its class.
            random_bytes: Draws so many bytes; from a source that nobody can guess.

        Raises:
            InvalidArgumentError: The class is no name.
        """
        checked_class(class_name)
        body = bytearray(random_bytes(BODY_BYTES))
        body[0] |= _DRAWN_BIT
        return cls(class_name, bytes(body))

    @classmethod
    def parse(cls, class_name: str, text: str) -> Self:
        """
        Return the object whose id is written as *text*; the inverse of `str`.

        Raises:
            InvalidArgumentError: It is no id, or one of another class.
        """
        checked_class(class_name)
        try:
            raw = bytes.fromhex(text)
        except ValueError:
            raw = b""
        if len(raw) != ID_BYTES:
            msg = (
                f"an object's id has {2 * ID_BYTES} hexadecimal digits, unlike {text!r}"
            )
            raise InvalidArgumentError(msg)
        found = cls(class_name, raw[:BODY_BYTES])
        if found.raw != raw:
            msg = f"{text!r} is not the id of an object of class {class_name}"
            raise InvalidArgumentError(msg)
        return found

    @property
    def raw(self) -> bytes:
        """Return the id's 32 bytes."""
        check = _hash(b"check", self.class_name, self.body)
        return self.body + check[: ID_BYTES - BODY_BYTES]

    def __str__(self) -> str:
        return self.raw.hex()

    def shard(self, count: int) -> int:
        """Return which of *count* shards the object lives in; from 0."""
        assert count > 0, "an object lives somewhere"
        return int.from_bytes(self.body[1:9]) % count


def checked_class(class_name: str) -> str:
    """
    Return *class_name* if it may be the name of a class.

    Raises:
        InvalidArgumentError: It may not.
    """
    if len(class_name) > CLASS_CHARS_MAX or not _CLASS.fullmatch(class_name):
        msg = (
            f"{class_name!r} is no name of a class of objects: letters, digits and"
            f" underscores, {CLASS_CHARS_MAX} at most, not beginning with a digit"
        )
        raise InvalidArgumentError(msg)
    return class_name


@lru_cache(maxsize=NAMES_REMEMBERED)
def _named(class_name: str, name: str) -> ObjectId:
    """Return the object that has a name; see `ObjectId.from_name`."""
    checked_class(class_name)
    raw = name.encode()
    if not 0 < len(raw) <= NAME_BYTES_MAX:
        msg = f"an object's name has {len(raw)} bytes; it takes 1 to {NAME_BYTES_MAX}"
        raise InvalidArgumentError(msg)
    digest = bytearray(_hash(b"name", class_name, raw)[:BODY_BYTES])
    digest[0] &= ~_DRAWN_BIT
    return ObjectId(class_name, bytes(digest), name)


def _hash(purpose: bytes, class_name: str, data: bytes) -> bytes:
    return sha256(b"\0".join((purpose, class_name.encode(), data))).digest()
