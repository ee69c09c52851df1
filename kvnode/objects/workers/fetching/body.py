"""
The body of a request or a response: there at once, and read once.

There it is a stream: reading is awaited, and what was read is gone.  Here all of it is
there, but it is read once all the same, so that code which reads twice is found out
here, too.  A message without a body can be read again and again, as there.
"""

import json
from typing import Any, ClassVar, TypeAlias

from kvnode.errors import InvalidArgumentError
from kvnode.objects.workers.fetching.headers import MessageHeaders
from kvnode.objects.workers.names import Facade, not_there

Octets: TypeAlias = bytes
"""Its other name is that of a method here."""


class Body(Facade):
    """
    What requests and responses have in common.

    Attributes:
        headers: Of the message.
    """

    _called: ClassVar[str] = "a message"

    def __init__(self, headers: MessageHeaders, held: Octets | None) -> None:
        """Hold a body; None if there is none, which is not the same as an empty one."""
        self.headers = headers
        self._held = held
        self._is_used = False

    @property
    def body_used(self) -> bool:
        """Tell whether it was read."""
        return self._is_used

    async def text(self) -> str:
        """Return it as text, without a byte order mark; U+FFFD for what is no UTF-8."""
        return self._read().decode("utf-8-sig", errors="replace")

    async def json(self, **named: Any) -> Any:  # noqa: ANN401 -- whatever was sent
        """
        Return what it says in JSON; options are those of `json.loads`.

        Raises:
            ValueError: It is not JSON.
        """
        return json.loads(await self.text(), **named)

    async def bytes(self) -> Octets:
        """Return it as it is."""
        return self._read()

    def _read(self) -> Octets:
        """
        Return it; it is used from then on.

        Raises:
            InvalidArgumentError: It was used before.
        """
        self._check_not_used()
        self._is_used = self._held is not None
        return self._held or b""

    def _check_not_used(self) -> None:
        if self._is_used:
            msg = f"the body of {self._called} was read before, or passed on: clone it"
            raise InvalidArgumentError(msg)


def type_of(given: object) -> str:
    """Return what is said of a body unless something else is; empty for nothing."""
    return "text/plain;charset=UTF-8" if isinstance(given, str) else ""


def octets_of(given: Any, called: str) -> Octets | None:  # noqa: ANN401 -- whose code has types is not known
    """
    Return what *given* is as a body; None if it is None.

    Args:
        given: Text, or bytes.
        called: Whose body it is, for the error.

    Raises:
        InvalidArgumentError: It is something else.
    """
    match given:
        case None:
            return None
        case str():
            return given.encode()
        case bytes() | bytearray() | memoryview():
            return Octets(given)
        case _:
            kind = type(given).__name__
            msg = not_there(
                f"a body of {called} that is neither text nor bytes: {kind}"
            )
            raise InvalidArgumentError(msg)
