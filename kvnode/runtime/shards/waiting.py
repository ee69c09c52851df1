"""Who waits for what became of an entry, or for who leads."""

import asyncio
from typing import Final, NamedTuple

from kvnode.errors import KvError, OverloadedError

UNANSWERED_MAX: Final = 20_000
"""Proposals and confirmations of one shard that wait; more are refused."""

UNANSWERED_BYTES_MAX: Final = 64 * 1024 * 1024
"""Of their entries: four of the largest, and seconds of what a disk takes."""


class _Question(NamedTuple):
    """One who waits, and how large its entry is."""

    future: asyncio.Future[int]
    size_bytes: int

    def answer(self, outcome: int | KvError) -> None:
        """Tell who waits, unless it has given up."""
        if self.future.done():
            return
        if isinstance(outcome, KvError):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class Waiting:
    """
    Those who wait for one shard.

    Who has asked has a token; who has proposed what stands in the log has its number.
    """

    def __init__(self) -> None:
        self._asked: dict[int, _Question] = {}
        self._proposed: dict[int, _Question] = {}  # numbers ascend: a leader appends
        self._size_bytes = 0

    def ask(self, token: int, size_bytes: int, shard: str) -> asyncio.Future[int]:
        """
        Return what will be the answer to *token*.

        Raises:
            OverloadedError: Too many wait.
        """
        if (
            len(self._asked) + len(self._proposed) >= UNANSWERED_MAX
            or self._size_bytes > UNANSWERED_BYTES_MAX
        ):
            msg = (
                f"{UNANSWERED_MAX} requests, or {UNANSWERED_BYTES_MAX} bytes of them,"
                f" wait for shard {shard}, which is as many as may: try again"
            )
            raise OverloadedError(msg)
        future = asyncio.get_running_loop().create_future()
        self._asked[token] = _Question(future, size_bytes)
        self._size_bytes += size_bytes
        return future

    def proposed(self, token: int, number: int) -> None:
        """Note that what *token* proposed is entry *number*."""
        if token in self._asked:  # who was failed meanwhile is not told again
            self._proposed[number] = self._asked.pop(token)

    def committed(self, number: int) -> None:
        """Tell whose entries are committed: those up to *number*."""
        while self._proposed:
            place = next(iter(self._proposed))
            if place > number:
                return
            self._answer(self._proposed.pop(place), place)

    def confirmed(self, tokens: tuple[int, ...]) -> None:
        """Tell who asked whether this node leads that it does."""
        for token in tokens:
            if token in self._asked:
                self._answer(self._asked.pop(token), 0)

    def declined(self, token: int, error: KvError) -> None:
        """Tell one who asked that nothing came of it."""
        if token in self._asked:
            self._answer(self._asked.pop(token), error)

    def fail_asked(self, error: KvError) -> None:
        """Tell all whose entries are in no log."""
        while self._asked:
            self._answer(self._asked.popitem()[1], error)

    def fail_behind(self, number: int, error: KvError) -> None:
        """Tell those whose entries come behind *number*."""
        while self._proposed and next(reversed(self._proposed)) > number:
            self._answer(self._proposed.popitem()[1], error)

    def fail(self, error: KvError) -> None:
        """Tell all."""
        self.fail_asked(error)
        self.fail_behind(-1, error)

    def _answer(self, question: _Question, outcome: int | KvError) -> None:
        self._size_bytes -= question.size_bytes
        question.answer(outcome)
