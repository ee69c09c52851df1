"""
What every authority promises, whichever it is.

Whoever has another one derives from this class, and has a fixture `authority`, which
holds nothing at first.
"""

import asyncio

from kvnode.authority.port import Authority
from kvnode.core.objects.configuration import Configuration
from kvnode.types import ReplicaId

A, B, C = map(ReplicaId, (1, 2, 3))
FIRST = Configuration(1, A, (A, B, C))


class AuthorityContract:
    """The promises of kvnode.authority.port.Authority."""

    async def test_shard_that_was_never_begun_has_no_configuration(
        self, authority: Authority
    ) -> None:
        """Nobody leads it."""
        assert await authority.read("eu/1") is None

    async def test_shard_begins_once(self, authority: Authority) -> None:
        """Who comes second is told who was first."""
        other = Configuration(1, B, (A, B, C))

        assert await authority.swap("eu/1", None, FIRST) == FIRST
        assert await authority.swap("eu/1", None, other) == FIRST
        assert await authority.read("eu/1") == FIRST

    async def test_lead_changes_for_whom_knows_what_is_held(
        self, authority: Authority
    ) -> None:
        """Who knows less changes nothing and is told what is held."""
        await authority.swap("eu/1", None, FIRST)
        second = FIRST.taken_over_by(B)

        assert await authority.swap("eu/1", FIRST, second) == second
        assert await authority.swap("eu/1", FIRST, FIRST.taken_over_by(C)) == second

    async def test_change_that_has_happened_is_answered_alike_again(
        self, authority: Authority
    ) -> None:
        """Who was not told may ask again."""
        await authority.swap("eu/1", None, FIRST)
        second = FIRST.taken_over_by(B)
        await authority.swap("eu/1", FIRST, second)

        assert await authority.swap("eu/1", FIRST, second) == second

    async def test_shards_are_apart(self, authority: Authority) -> None:
        """Each has a register of its own."""
        await authority.swap("eu/1", None, FIRST)

        assert await authority.read("eu/2") is None

    async def test_one_of_many_at_once_wins(self, authority: Authority) -> None:
        """And all others are told of it."""
        await authority.swap("eu/1", None, FIRST)
        wishes = [FIRST.taken_over_by(each) for each in (A, B, C)]

        answers = await asyncio.gather(
            *(authority.swap("eu/1", FIRST, wish) for wish in wishes)
        )

        assert len(set(answers)) == 1
        assert answers[0] in wishes
        assert await authority.read("eu/1") == answers[0]
