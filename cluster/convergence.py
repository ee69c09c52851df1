"""
Whether nodes hold the same, and if not, who lacks what.

Two nodes agree when they cover the same writes (equal clocks) and hold the same
entries (equal digests).  Both are asked for: equal clocks with different digests
mean corruption or a bug (D9), and equal digests with different clocks happen
while the last writes, which changed nothing that was kept, are still on their
way.

The nodes are asked one after the other, so agreement is certain only once writes
have ended; while they go on, nodes that are a moment apart look different.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from time import monotonic

from cluster.errors import NotConvergedError
from kvnode.client import Digest
from kvnode.errors import KvError
from kvnode.types import ReplicaId

POLL_SECONDS = 0.1
ANSWER_SECONDS = 30.0
"""A digest reads every entry: seconds for millions of them."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What all nodes hold, and how long it took to come to that."""

    digest: Digest
    waited_seconds: float


Ask = Callable[[], Awaitable[Digest]]
"""Asks one node; may raise KvError or TimeoutError, which counts as no answer."""


async def wait_until_equal(
    nodes: Mapping[str, Ask],
    timeout_seconds: float,
    *,
    answer_seconds: float = ANSWER_SECONDS,
) -> Agreement:
    """
    Wait until all nodes hold the same.

    Args:
        nodes: How to ask each node, by name; at least one.
        timeout_seconds: How long to wait at most; nodes are asked at least once.
        answer_seconds: How long one node may take to answer.

    Raises:
        NotConvergedError: They still differ; the message says who lacks what.
    """
    began = monotonic()
    while True:
        answers = dict(
            zip(
                nodes,
                await asyncio.gather(
                    *(_ask(ask, answer_seconds) for ask in nodes.values())
                ),
                strict=True,
            )
        )
        differences = explain(answers)
        waited = monotonic() - began
        first = next(iter(answers.values()))
        if not differences and isinstance(first, Digest):
            return Agreement(first, waited)
        if waited >= timeout_seconds:
            msg = f"nodes differ after {waited:.1f} s: {'; '.join(differences)}"
            raise NotConvergedError(msg)
        await asyncio.sleep(POLL_SECONDS)


async def _ask(ask: Ask, seconds: float) -> Digest | str:
    """Return what the node holds, or why it did not say."""
    try:
        async with asyncio.timeout(seconds):
            return await ask()
    except TimeoutError:
        return f"no answer within {seconds:g} s"
    except KvError as error:
        return str(error)


def explain(answers: Mapping[str, Digest | str]) -> list[str]:
    """
    Return one line for each thing in which nodes differ; nothing if they agree.

    A text in place of a digest is the reason why that node did not answer.
    """
    lines = [
        f"{name} did not answer: {answer}"
        for name, answer in answers.items()
        if isinstance(answer, str)
    ]
    holdings = {
        name: answer for name, answer in answers.items() if isinstance(answer, Digest)
    }
    clocks = {name: _covered(held) for name, held in holdings.items()}
    for replica in sorted({replica for clock in clocks.values() for replica in clock}):
        newest = max(clock.get(replica, 0) for clock in clocks.values())
        for name, clock in clocks.items():
            if missing := newest - clock.get(replica, 0):
                lines.append(f"{name} lacks {missing:,} writes of {replica:016x}")
    for (one, mine), (other, theirs) in pairwise(holdings.items()):
        if mine.digest == theirs.digest:
            continue
        counts = f"{mine.entry_count:,} and {theirs.entry_count:,} entries"
        if clocks[one] == clocks[other]:
            lines.append(
                f"{one} and {other} cover the same writes but differ ({counts}):"
                " a bug, or a damaged disk"
            )
        else:
            lines.append(f"{one} and {other} hold {counts}")
    return lines


def _covered(digest: Digest) -> dict[ReplicaId, int]:
    """Return the highest covered write by replica, of those that have written."""
    return {entry.replica: entry.covered for entry in digest.clock if entry.covered}
