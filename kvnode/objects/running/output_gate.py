"""
The output gate: what may leave an object, and when.

A reply rests on what its event has read and written, and so does what it raises, and
every call of another object.  It leaves when all that was written here until then is
durable on a majority, and when this node has led the shard after it was read: so no
later leader can have changed it before.  That is looked at when the reply leaves: a
lease that was there when the call came in may be over.

What cannot leave becomes an error, which says whether anything may have happened: an
entry that was proposed since the event began, or a call of another object.

References:
    Varda, 2021.  Durable Objects: easy, fast, correct: choose three.  Cloudflare.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from kvnode.completion import called_back
from kvnode.errors import IndeterminateError, KvError, Outcome, UnavailableError
from kvnode.objects.running.log_port import ShardLog
from kvnode.objects.storing.committer import Committer


class Mark(NamedTuple):
    """
    How much had left an object when something began.

    Attributes:
        entries: Proposed.
        calls: Of other objects.
    """

    entries: int
    calls: int


Left = Callable[[KvError | None], None]
"""Is called when something has left, or with why it cannot."""

Leaving = tuple[Mark, Left]
"""What had left the object when something began, and what it does once it has left."""


class OutputGate:
    """The output gate of one object."""

    def __init__(self, committer: Committer, log: ShardLog, shard: str) -> None:
        """
        Keep in what is not so yet.

        Args:
            committer: Of the object's writes.
            log: Where they become durable, and what knows who leads.
            shard: Where the object lives.
        """
        self._committer = committer
        self._log = log
        self._shard = shard
        self._calls = 0
        self._mark = Mark(0, 0)
        self._round: object = None
        self._together: list[Leaving] = []  # once what that writes is durable
        self._confirming: set[asyncio.Task[KvError | None]] = set()

    def mark(self) -> Mark:
        """Return how much has left until now."""
        mark, entries = self._mark, self._committer.count
        if mark.entries != entries or mark.calls != self._calls:
            mark = self._mark = Mark(entries, self._calls)
        return mark

    async def leave(self, since: Mark) -> None:
        """
        Return once what was written or read here holds for good.

        Args:
            since: What had left the object when the event began.

        Raises:
            UnavailableError: It does not, and nothing was done since.
            IndeterminateError: Nobody knows.
        """
        failure = await called_back(partial(self.leave_later, since))
        if failure is not None:
            raise failure

    def leave_later(self, since: Mark, left: Left) -> None:
        """Call *left* as `leave` returns, or with what that raises; perhaps at once."""
        current = self._committer.round
        if current is not None and current is self._round:
            self._together.append((since, left))
            return
        together = [(since, left)]
        self._round, self._together = current, together
        self._committer.when_settled(partial(self._settled, together))

    def _settled(self, together: list[Leaving]) -> None:
        """Let all leave that wait for the same entry: the lease is looked at once."""
        if together is self._together:  # what has left is kept no longer
            self._round, self._together = None, []
        if self._committer.failure is not None:
            for since, left in together:
                left(self.failed_since(since))
        elif self._log.has_lease(self._shard):
            for _, left in together:
                left(None)
        else:
            for since, left in together:
                self._leave_confirmed(since, left)

    def _leave_confirmed(self, since: Mark, left: Left) -> None:
        """Call *left* once it is known whether this node leads."""

        def confirmed(confirming: asyncio.Task[KvError | None]) -> None:
            self._confirming.discard(confirming)
            if not confirming.cancelled():
                left(confirming.result())

        confirming = asyncio.create_task(self._confirmed(since))
        self._confirming.add(confirming)
        confirming.add_done_callback(confirmed)

    async def _confirmed(self, since: Mark) -> KvError | None:
        """Return once this node is known to lead, or with what is told if not."""
        try:
            await self._log.confirm(self._shard)
        except UnavailableError as error:
            if self._committer.count == since.entries:
                return self._told(error, since)
            return IndeterminateError(
                f"{error}; what the call wrote has happened, its result is not known"
            )
        return None

    async def leave_for_a_call(self) -> None:
        """
        Return once a call of another object may leave.

        Raises:
            InvalidArgumentError: What was written becomes durable only later.
            KvError: See `leave`.
        """
        self._committer.check_not_held()
        await self.leave(self.mark())
        self._calls += 1

    def failed_since(self, since: Mark) -> KvError:
        """Return what the object's end means to what began then."""
        return self._told(self._committer.failed_since(since.entries), since)

    def _told(self, error: KvError, since: Mark) -> KvError:
        """Return *error*, unless that says that nothing was done, and it was."""
        if error.outcome is not Outcome.FAILED or self._calls == since.calls:
            return error
        return IndeterminateError(f"{error}; it has called other objects before")
