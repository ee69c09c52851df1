"""
Sessions: causal consistency across nodes, for those who ask for it (S1).

Every operation of a session carries the token of what the session has read and
written, and a node answers when it has all of that.  So a session reads its own
writes, never goes back in time, and its writes are ordered after what it has
read, whichever node it talks to.

The token can be handed on: to a later session in another process, or to another
user who must see what this one did.
"""

from kvnode.client.session_token import Token
from kvnode.client.store import Dispatching, Store


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

    def _dispatcher(self) -> Dispatching:
        return self._shared_dispatcher
