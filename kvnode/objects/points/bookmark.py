"""
A bookmark: the name of a point in the life of one object.

    number of an entry of the shard's log, 16 hexadecimal digits
    -0- or -1-
    check, 16 hexadecimal digits

With 0 it is the object as it was behind that entry.  With 1 it is the object as it is
right before the first restore behind that entry, which may be yet to come: that is what
undoes a restore which waits for the object's next session.

Of one object, what sorts later is later.  The check is a hash of it all, of the object,
and of the region in which it was placed, if it was: so one of another object, or from
before it was placed, or a mistyped one, is refused.
"""

import re
from hashlib import sha256
from typing import Final, NamedTuple, Self

from kvnode.errors import InvalidArgumentError

_TEXT: Final = re.compile(r"([0-9a-f]{16})-([01])-[0-9a-f]{16}", re.ASCII)
_SHOWN_CHARS_MAX: Final = 80  # of what was given, in an error


class Bookmark(NamedTuple):
    """
    A point in the life of an object.

    Attributes:
        number: Of an entry of the shard's log.
        is_before_restore: Whether it is right before the first restore behind that.
    """

    number: int
    is_before_restore: bool = False

    @classmethod
    def parse(cls, subject: bytes, text: str) -> Self:
        """
        Return what *text* names, of the object *subject*; the inverse of `text_for`.

        Raises:
            InvalidArgumentError: It is no bookmark of that object.
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            msg = (
                f"{text[:_SHOWN_CHARS_MAX]!r} is no bookmark: those look like"
                f" {cls(7).text_for(subject)}"
            )
            raise InvalidArgumentError(msg)
        made = cls(int(found[1], 16), found[2] == "1")
        if made.text_for(subject) != text:
            msg = (
                f"{text} is no bookmark of this object: it is one of another, or was"
                " mistyped, or the object was placed in a region since"
            )
            raise InvalidArgumentError(msg)
        return made

    def text_for(self, subject: bytes) -> str:
        """Return its text; *subject* is the body of the object, and then its region."""
        shown = f"{self.number:016x}-{self.is_before_restore:d}"
        check = sha256(b"bookmark\0" + subject + shown.encode()).hexdigest()[:16]
        return f"{shown}-{check}"
