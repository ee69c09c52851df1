"""Calls that another leader, their callers, or the node itself bring to an end."""

import asyncio
from itertools import pairwise

import pytest

from kvnode.errors import (
    IndeterminateError,
    MovedError,
    NotLeaderError,
    UnavailableError,
)
from kvnode.runtime.objects.router import (
    ASK_AGAIN_SECONDS,
    LAST_WORD_SECONDS,
    ROUTING_SECONDS_MAX,
)
from kvnode.types import ReplicaId
from tests.runtime.objects.router_site import (
    HOME,
    NOBODY,
    SHARD,
    A,
    B,
    C,
    Site,
    not_leader,
    now,
    on_a_site,
)

# -- where it lives ------------------------------------------------------------------


def test_call_that_is_moved_on_from_home_ends() -> None:
    """No correct node says so; to go where it is would go on for ever."""

    async def main(site: Site) -> None:
        site.objects.leads_here = True
        moved = MovedError("it lives in west", region="west")
        site.objects.answers.extend([moved] * 9)
        with pytest.raises(MovedError):
            await site.call()
        assert [shard for shard, *_ in site.objects.calls] == [SHARD, HOME]

    on_a_site(main)


def test_authority_is_not_asked_about_a_region_that_only_a_client_has_named() -> None:
    """Voters would keep a row of each, for ever, and have room for so many."""

    async def main(site: Site) -> None:
        for number in range(9):
            with pytest.raises(NotLeaderError):
                await site.call(forwarded=True, home=f"moon{number}")
        await asyncio.sleep(1)
        assert not site.authority.times

    on_a_site(main)


# -- another leads meanwhile ---------------------------------------------------------


def test_call_that_was_sent_on_gives_up_when_another_leads() -> None:
    """Else a leader that is paused would keep its callers for a minute."""

    async def main(site: Site) -> None:
        site.hears_of(B)
        site.says("b", None)
        calling = site.begin()
        await asyncio.sleep(1)
        start = now()
        site.hears_of(C)
        with pytest.raises(
            IndeterminateError, match=r"c has taken the lead of shard s000 from b"
        ):
            await calling
        assert now() - start == pytest.approx(LAST_WORD_SECONDS)
        assert site.peers.cancelled == 1

    on_a_site(main)


def test_last_word_of_who_has_led_is_waited_for() -> None:
    """It has given its lead away and done nothing; news of the next one came first."""

    async def main(site: Site) -> None:
        site.hears_of(B)
        site.says("b", not_leader())
        site.says("c", "there")
        calling = site.begin()
        await asyncio.sleep(0.0005)
        site.hears_of(C)
        assert await calling == "there"
        assert site.peers.cancelled == 0

    on_a_site(main)


@pytest.mark.parametrize("leader", [C, A])
def test_call_with_a_key_goes_on_to_who_leads_meanwhile(leader: ReplicaId) -> None:
    """That may be this node itself."""

    async def main(site: Site) -> None:
        site.hears_of(B)
        site.says("b", None)
        site.says("c", "there")
        calling = site.begin(key="k")
        await asyncio.sleep(1)
        site.objects.leads_here = leader == A
        site.hears_of(leader)
        assert await calling == ("here" if leader == A else "there")

    on_a_site(main)


@pytest.mark.parametrize("leader", [B, NOBODY, ReplicaId(9)])
def test_call_that_was_sent_on_waits_for_who_leads_still(leader: ReplicaId) -> None:
    """News of the same leader, or of one that has no name here, end nothing."""

    async def main(site: Site) -> None:
        site.hears_of(B)
        site.says("b", None)
        calling = site.begin()
        await asyncio.sleep(1)
        site.hears_of(leader)
        await asyncio.sleep(1)
        assert not calling.done()
        calling.cancel()
        await asyncio.wait([calling])

    on_a_site(main)


def test_news_of_one_shard_end_no_call_of_another() -> None:
    """They have leaders of their own."""

    async def main(site: Site) -> None:
        site.hears_of(B)
        site.says("b", None)
        calling = site.begin()
        await asyncio.sleep(1)
        site.router.led("s001", C)
        await asyncio.sleep(1)
        assert not calling.done()
        calling.cancel()
        await asyncio.wait([calling])

    on_a_site(main)


def test_answer_that_has_come_counts_though_another_leads() -> None:
    """It was given while the one before led."""

    async def main(site: Site) -> None:
        site.hears_of(B)
        site.says("b", "there")
        calling = site.begin()
        await asyncio.sleep(0.0005)
        (sending,) = site.router._sent[SHARD]

        def done_before_anybody_knows() -> None:
            assert sending.done()
            assert not calling.done()
            site.hears_of(C)

        site.peers.before_answer = lambda: asyncio.get_running_loop().call_soon(
            done_before_anybody_knows
        )
        assert await calling == "there"
        assert site.router.leader(SHARD) == "c"

    on_a_site(main)


# -- callers that leave, and the end ---------------------------------------------------


@pytest.mark.parametrize("also_led", [False, True])
def test_caller_that_leaves_takes_its_call_along(*, also_led: bool) -> None:
    """Whether or not another leads at the same moment."""

    async def main(site: Site) -> None:
        site.hears_of(B)
        site.says("b", None)
        calling = site.begin(key="k")
        await asyncio.sleep(1)
        calling.cancel()
        if also_led:
            site.hears_of(C)
        await asyncio.wait([calling])
        assert calling.cancelled()
        assert site.peers.cancelled == 1
        assert site.router._sent == {SHARD: {}}
        assert site.peers.asked == ["b"]

    on_a_site(main)


def test_caller_that_has_lost_patience_makes_the_node_ask_who_leads() -> None:
    """A leader that is silent may be none any more."""

    async def main(site: Site) -> None:
        site.authority.leader = B
        site.says("b", None)
        calling = site.begin()
        await asyncio.sleep(1)
        site.authority.leader = C
        site.says("c", "there")
        calling.cancel()
        await asyncio.sleep(0.1)
        assert site.router.leader(SHARD) == "c"
        assert await site.call() == "there"

    on_a_site(main)


def test_authority_is_not_asked_too_often() -> None:
    """However many calls wait, and whether or not it answers."""

    async def main(site: Site) -> None:
        for failure in (None, UnavailableError("too few voters")):
            site.authority.failure = failure
            site.authority.times.clear()
            calls = [site.begin() for _ in range(20)]
            errors = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(error) for error in errors} == {NotLeaderError}
            times = site.authority.times
            assert 3 <= len(times) <= ROUTING_SECONDS_MAX / ASK_AGAIN_SECONDS + 1
            gaps = [later - earlier for earlier, later in pairwise(times)]
            assert min(gaps) >= ASK_AGAIN_SECONDS
            await asyncio.sleep(1)

    on_a_site(main)


def test_others_that_keep_the_shard_are_asked_while_its_leader_was_not_met() -> None:
    """They may never have heard of it; and the authority is asked again."""

    async def main(site: Site) -> None:
        site.authority.leader = B
        site.peers.unmet.add("b")
        site.says("b", "there")
        site.says("c", not_leader())
        calling = site.begin()
        await asyncio.sleep(1)
        assert not calling.done()
        assert set(site.peers.asked) == {"c"}
        assert len(site.authority.times) == 2
        site.peers.unmet.clear()
        assert await calling == "there"

    on_a_site(main)


def test_router_closes_at_once_and_asks_nobody_any_more() -> None:
    """Calls that wait give up, and later ones are refused."""

    async def main(site: Site) -> None:
        calling = site.begin()
        await asyncio.sleep(0.05)
        start = now()
        await site.router.close()
        assert now() == start
        with pytest.raises(UnavailableError):
            await calling
        assert now() - start <= 0.2
        asked = len(site.authority.times)
        with pytest.raises(UnavailableError, match="has stopped"):
            await site.call()
        assert len(site.authority.times) == asked

    on_a_site(main)


@pytest.mark.parametrize("after", [0.005, 0.3])
def test_question_to_the_authority_ends_with_the_router(after: float) -> None:
    """While it is under way, and while the next one may not be asked yet."""

    async def main(site: Site) -> None:
        site.shards.has = False
        with pytest.raises(NotLeaderError):
            await site.call(forwarded=True)
        await asyncio.sleep(after)
        start = now()
        await site.router.close()
        assert now() == start
        assert site.router._asking == {}

    on_a_site(main)
