"""
Sessions: causal consistency across nodes, for those who ask for it (S1).

Every operation of a session carries the token of what the session has read and
written, and a node answers when it has all of that.  So a session reads its own
writes, never goes back in time, and its writes are ordered after what it has
read, whichever node it talks to.

The token can be handed on: to a later session in another process, or to another
user who must see what this one did.

A write that only one node had is lost with that node.  If the session has seen it, no
node can keep the promise any more, and each says so with a SessionLostError, once the
members have agreed that nobody has the write.  The session stays as it is until
`accept_loss` is called, or another one is begun.
"""

from kvnode.client.session_token import Token
from kvnode.client.store import Dispatching, Store
from kvnode.errors import SessionLostError


class Session(Store):
    """The data methods, with a token; made by `Client.session`."""

    def __init__(
        self, dispatcher: Dispatching, namespace: str, deadline: float, token: bytes
    ) -> None:
        self._session_token = Token(token)
        super().__init__(namespace, deadline, self._session_token)
        self._shared_dispatcher = dispatcher

    @property
    def token(self) -> bytes:
        """What the session has seen so far; at most a few KiB."""
        return self._session_token.current

    def accept_loss(self, error: SessionLostError) -> None:
        """
        Go on without what *error* says is lost, and with all else that was seen.

        From now on reads may show what was there before the lost writes.  Whether these
        should be done once more, only the caller can tell: the error names them by the
        numbers that the versions of their results begin with.
        """
        self._session_token.give_up(error.lost)

    def _dispatcher(self) -> Dispatching:
        return self._shared_dispatcher
