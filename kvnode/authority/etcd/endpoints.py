"""
The endpoints of one etcd, of which any will do.

They are asked one after another, first the one that has answered last, each for its
share of the time that is left; so one that is silent leaves enough for the others, and
is asked last from then on.  When all were asked, it begins again, until the deadline.

A request may reach several of them so.  That is for the caller to make harmless; reads
are, and so is a transaction that changes what it compares.
"""

import asyncio
import logging
from typing import Final

import grpc

from kvnode.authority.etcd.connection import Connection
from kvnode.authority.etcd.failure import Failure
from kvnode.authority.etcd.login import Login
from kvnode.authority.etcd.wire import NEED_LEADER, Method, ReplyT, RequestT
from kvnode.errors import IndeterminateError, UnavailableError

logger = logging.getLogger(__name__)

SHARE_SECONDS_MIN: Final = 0.3
"""A round trip around the Earth: an endpoint that is given less may look silent."""

PAUSE_SECONDS: Final = 0.05
PAUSE_SECONDS_MAX: Final = 0.4
"""Before all are asked again: doubled each time."""


class Endpoints:
    """Asks whichever answers."""

    def __init__(
        self,
        endpoints: tuple[str, ...],
        *,
        credentials: grpc.ChannelCredentials | None,
        login: Login,
    ) -> None:
        """
        Connect to none yet.

        Args:
            endpoints: As in the settings; the order is that of the first questions.
            credentials: For TLS, which is spoken if they are given.
            login: Who asks.
        """
        assert endpoints, "somebody is to be asked"
        self._order = [Connection(each, credentials) for each in endpoints]
        self.all = tuple(self._order)
        self._login = login
        self._failing: set[str] = set()

    async def ask(
        self, method: Method[RequestT, ReplyT], request: RequestT, deadline: float
    ) -> ReplyT:
        """
        Return what one of them answers.

        Args:
            method: What is called.
            request: Harmless if it arrives more than once.
            deadline: By the loop's clock.

        Raises:
            UnavailableError: None of them did, or one refused; nothing has happened.
            IndeterminateError: None of them did, and it may have happened.
        """
        loop = asyncio.get_running_loop()
        troubles: dict[str, str] = {}
        pause, may_have_happened = PAUSE_SECONDS, False
        waiting = list(self._order)
        while (left := deadline - loop.time()) > 0:
            if not waiting:
                await asyncio.sleep(min(pause, left))
                pause = min(PAUSE_SECONDS_MAX, 2 * pause)
                waiting = list(self._order)
                continue
            share = max(SHARE_SECONDS_MIN, left / len(waiting))
            connection = waiting.pop(0)
            answer = await self.ask_one(
                connection, method, request, loop.time() + min(share, left)
            )
            if not isinstance(answer, Failure):
                self._has_answered(connection)
                return answer
            if left >= SHARE_SECONDS_MIN or connection.endpoint not in troubles:
                # Of a try that the deadline cut short only the end would be told.
                troubles[connection.endpoint] = answer.reason
            may_have_happened = may_have_happened or answer.may_have_happened
            self._has_failed(connection, answer.reason)
            if answer.is_final:
                break
        msg = "etcd has not done it: " + (
            "; ".join(troubles.values()) or "no time left"
        )
        raise IndeterminateError(msg) if may_have_happened else UnavailableError(msg)

    async def ask_one(
        self,
        connection: Connection,
        method: Method[RequestT, ReplyT],
        request: RequestT,
        until: float,
    ) -> ReplyT | Failure:
        """Ask one of them; log in first, and again, if that is wanted."""
        login = self._login
        token = login.token
        if login.is_possible and token is None:
            failure = await login.renew(connection, token, until)
            if failure is not None:
                return failure
            token = login.token
        answer = await connection.ask(
            method, request, (NEED_LEADER, *login.metadata), until
        )
        if isinstance(answer, Failure) and answer.wants_login and login.is_possible:
            failure = await login.renew(connection, token, until)
            if failure is not None:
                return failure
            answer = await connection.ask(
                method, request, (NEED_LEADER, *login.metadata), until
            )
        return answer

    def _has_answered(self, connection: Connection) -> None:
        """Ask it first from now on."""
        self._order.remove(connection)
        self._order.insert(0, connection)
        if connection.endpoint in self._failing:
            self._failing.discard(connection.endpoint)
            logger.info("etcd at %s answers again", connection.endpoint)

    def _has_failed(self, connection: Connection, reason: str) -> None:
        """Ask it last from now on."""
        self._order.remove(connection)
        self._order.append(connection)
        if connection.endpoint not in self._failing:
            self._failing.add(connection.endpoint)
            logger.warning("etcd: %s", reason)

    async def close(self) -> None:
        """End all connections; calls under way may fail."""
        await asyncio.gather(*(each.close() for each in self.all))
