"""
Who this node is to etcd: a user whose password has been exchanged for a token.

Tokens end: after five minutes without use, when etcd starts again, or when its users
change.  The endpoint that was asked says so, having done nothing; then a new token is
had from it, and it is asked once more.

One login is under way at a time: a password costs etcd a tenth of a second of a core,
and all shards would want their tokens at once.
"""

import asyncio
from typing import Final

from kvnode._pb import etcd_pb2 as pb
from kvnode.authority.etcd.connection import Connection
from kvnode.authority.etcd.failure import AUTHENTICATION_IS_OFF, Failure
from kvnode.authority.etcd.wire import LOGIN, NEED_LEADER, TOKEN

NOT_WANTED: Final = ""
"""In place of a token, while etcd asks nobody who they are."""


class Login:
    """The token of a user; of nobody, if there is none."""

    def __init__(self, user: str, password: str) -> None:
        """
        Begin without a token.

        Args:
            user: As etcd knows it; empty if etcd asks nobody who they are.
            password: The user's.
        """
        self._user = user
        self._password = password
        self._token: str | None = None
        self._changing = asyncio.Lock()

    @property
    def is_possible(self) -> bool:
        """Tell whether there is a user to log in."""
        return bool(self._user)

    @property
    def token(self) -> str | None:
        """Return what the user goes by; NOT_WANTED, or None before the first login."""
        return self._token

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return what goes along with a request."""
        return ((TOKEN, self._token),) if self._token else ()

    async def renew(
        self, connection: Connection, useless: str | None, until: float
    ) -> Failure | None:
        """
        Have another token than *useless*, from *connection*; return why not.

        Args:
            connection: The endpoint to ask, unless another token is here by now.
            useless: What was tried.
            until: By the loop's clock.
        """
        assert self.is_possible, "somebody logs in"
        try:
            async with asyncio.timeout_at(until), self._changing:
                return await self._renew(connection, useless, until)
        except TimeoutError:
            reason = f"a login at {connection.endpoint} has not ended in time"
            return Failure(reason)

    async def _renew(
        self, connection: Connection, useless: str | None, until: float
    ) -> Failure | None:
        if self._token != useless:
            return None
        request = pb.EtcdLogin(name=self._user, password=self._password)
        answer = await connection.ask(LOGIN, request, (NEED_LEADER,), until)
        if isinstance(answer, pb.EtcdLoginReply):
            self._token = answer.token
            return None
        if answer.said == AUTHENTICATION_IS_OFF:
            self._token = NOT_WANTED
            return None
        return answer
